"""RDS's own forms: what a call gives, read out of the flat query protocol, and answers in the shapes of its model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.serialize import QuerySerializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from orderops.local.emulator.protocol import Request, Response


def backend_of(call: Request) -> Any:
    """The databases, groups and snapshots of the region that is called."""
    return get_backend("rds")[DEFAULT_ACCOUNT_ID][call.region]


def ec2_of(call: Request) -> Any:
    """The network of the same region."""
    return get_backend("ec2")[DEFAULT_ACCOUNT_ID][call.region]


def given(call: Request, name: str) -> bool:
    """The call says something of this parameter."""
    return any(key.partition(".")[0] == name for key in call.form)


def told_true(call: Request, name: str) -> bool:
    """The call says `true` for this parameter."""
    return call.form.get(name, "").lower() == "true"


def listed(call: Request, name: str) -> list[str]:
    """The values of a list: `VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1` becomes ["sg-1"]."""
    return [value for key, value in call.form.items() if key.partition(".")[0] == name and value]


def tags_in(call: Request) -> list[dict[str, str]]:
    """The tags that a call gives."""
    return structures(call, "Tags")


def structures(call: Request, name: str) -> list[dict[str, str]]:
    """A list of structures, whatever the model calls its members: `Tags.Tag.1.Key=…` becomes [{"Key": …}]."""
    found: dict[int, dict[str, str]] = {}
    for key, value in call.form.items():
        parts = key.split(".")
        if parts[0] == name and len(parts) == 4:
            found.setdefault(int(parts[2]), {})[parts[3]] = value
    return [found[index] for index in sorted(found)]


def leave_out(call: Request, names: Collection[str]) -> None:
    """Let moto see the call without these parameters."""
    kept = {key: value for key, value in call.form.items() if key.partition(".")[0] not in names}
    call.body = urlencode(kept).encode()
    call.__dict__["form"] = kept  # where the call keeps what it read


def answer_with(call: Request, result: dict[str, Any]) -> Response:
    """An answer in the shape that the model of the call has for it."""
    operation = get_service_model("rds").operation_model(call.action)
    serializer = QuerySerializer(operation_model=operation, value_picker=XFormedAttributePicker())
    made = serializer.serialize(result)
    body = made["body"]
    return Response(
        made["status_code"], body if isinstance(body, bytes) else body.encode(), [("Content-Type", "text/xml")]
    )
