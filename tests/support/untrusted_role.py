"""A role that ECS cannot assume from the moment at which a service is updated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from support.faulty_proxy import Proxy, SeenRequest

STATEMENT = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
UNTRUSTED = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})


@contextmanager
def untrusted_during_updates(proxy: Proxy, name: str) -> Iterator[None]:
    """Change the trust policy when UpdateService arrives, after every check of the command; restore it at the end."""
    trusted: list[Any] = []

    def rule(request: SeenRequest) -> None:
        if request.action == "UpdateService" and not trusted:
            trusted.append(_role(name).assume_role_policy_document)
            _role(name).assume_role_policy_document = UNTRUSTED

    proxy.rule = rule
    try:
        yield
    finally:
        proxy.forget()
        for document in trusted:
            _role(name).assume_role_policy_document = document


def _role(name: str) -> Any:
    return next(role for role in get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].roles.values() if role.name == name)
