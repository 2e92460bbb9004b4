"""Listings that lag: a secret, queue or role just created is left out, and one just deleted is still listed.

Reads by name do not lag. From the Secrets Manager API reference (ListSecrets: "All Secrets Manager operations are
eventually consistent … you can get more recent information … by calling DescribeSecret") and the IAM User Guide.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import role_by_name
from orderops.local.strict.xml import edited


@dataclass(frozen=True)
class Change:
    """A create or a delete that listings do not show yet; `entry` is what they show of a deleted resource."""

    at: float
    entry: Any = None


def register(emulator: Emulator, delays: Delays) -> None:
    """Let listings lag, and nothing else."""
    for service, action in (("secretsmanager", "CreateSecret"), ("secretsmanager", "RestoreSecret")):
        emulator.on_after(service, action, _note_secret)
    emulator.on_before("secretsmanager", "DeleteSecret", _note_deleted_secret)
    emulator.on_after("secretsmanager", "ListSecrets", _lagging(delays, "SecretList", _name_of_secret, _lists_secret))
    emulator.on_before("sqs", "CreateQueue", _note_queue)
    emulator.on_before("sqs", "DeleteQueue", _note_deleted_queue)
    emulator.on_after("sqs", "ListQueues", _lagging(delays, "QueueUrls", _name_of_queue, _lists_queue))
    emulator.on_before("iam", "CreateRole", _note_role)
    emulator.on_after("iam", "GetAccountAuthorizationDetails", _without_new_roles(delays))


def _lagging(
    delays: Delays, key: str, name_of: Callable[[Any], str], lists: Callable[[Request, str], bool]
) -> Callable[[Request, Response], Response]:
    """Edit a page of a JSON listing; deleted resources are on its last page."""

    def lag(request: Request, response: Response) -> Response:
        document = json.loads(response.body)
        recent = {
            name: change for name, change in _changes(request).items() if time.time() - change.at < delays.listing
        }
        shown = [entry for entry in document.get(key) or () if name_of(entry) not in recent]
        if not document.get("NextToken"):
            shown += [
                change.entry for name, change in recent.items() if change.entry is not None and lists(request, name)
            ]
        return replace(response, body=json.dumps({**document, key: shown}).encode())

    return lag


def _note_secret(request: Request, response: Response) -> None:
    _note(request, json.loads(response.body)["Name"])


def _note_deleted_secret(request: Request) -> None:
    for secret in list(_backend(request).secrets.values()):
        if request.json.get("SecretId") in (secret.name, secret.arn) and not secret.is_deleted():
            _note(request, secret.name, secret.to_dict())


def _name_of_secret(entry: dict[str, Any]) -> str:
    return str(entry["Name"])


def _lists_secret(request: Request, name: str) -> bool:
    """Whether the filters of a ListSecrets match a name; other filters than those of names match nothing."""
    return all(
        sought["Key"] == "name" and any(name.startswith(value) for value in sought["Values"])
        for sought in request.json.get("Filters") or ()
    )


def _note_queue(request: Request) -> None:
    if request.json["QueueName"] not in _backend(request).queues:
        _note(request, request.json["QueueName"])


def _note_deleted_queue(request: Request) -> None:
    url = request.json["QueueUrl"]
    if _name_of_queue(url) in _backend(request).queues:
        _note(request, _name_of_queue(url), url)


def _name_of_queue(url: str) -> str:
    return url.rpartition("/")[2]


def _lists_queue(request: Request, name: str) -> bool:
    return name.startswith(request.json.get("QueueNamePrefix") or "")


def _note_role(request: Request) -> None:
    if role_by_name(request.form["RoleName"]) is None:
        _note(request, request.form["RoleName"])


def _without_new_roles(delays: Delays) -> Callable[[Request, Response], Response]:
    def lag(request: Request, response: Response) -> Response:
        new = {name for name, change in _changes(request).items() if time.time() - change.at < delays.listing}

        def leave_out(root: Element) -> None:
            for roles in root.iter("RoleDetailList"):
                for role in [member for member in roles if member.findtext("RoleName") in new]:
                    roles.remove(role)

        return edited(response, leave_out)

    return lag


def _note(request: Request, name: str, entry: Any = None) -> None:
    _changes(request)[name] = Change(time.time(), entry)


def _changes(request: Request) -> dict[str, Change]:
    """The latest change of each resource, stored on moto's backend."""
    changes: dict[str, Change] = vars(_backend(request)).setdefault("listed_late", {})
    return changes


def _backend(request: Request) -> Any:
    region = "aws" if request.service == "iam" else request.region
    return get_backend(request.service)[DEFAULT_ACCOUNT_ID][region]
