"""Parameters of RDS requests in the query protocol, and responses in the shapes of RDS's model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.serialize import QuerySerializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from orderops.local.emulator.protocol import Request, Response


def backend_of(request: Request) -> Any:
    """Return moto's RDS backend of the request's region."""
    return get_backend("rds")[DEFAULT_ACCOUNT_ID][request.region]


def ec2_of(request: Request) -> Any:
    """Return moto's EC2 backend of the same region."""
    return get_backend("ec2")[DEFAULT_ACCOUNT_ID][request.region]


def has_parameter(request: Request, name: str) -> bool:
    """Tell whether the request has this parameter."""
    return any(key.partition(".")[0] == name for key in request.form)


def is_true(request: Request, name: str) -> bool:
    """Tell whether this parameter is `true`."""
    return request.form.get(name, "").lower() == "true"


def list_of(request: Request, name: str) -> list[str]:
    """Return the values of a list: `VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1` becomes ["sg-1"]."""
    return [value for key, value in request.form.items() if key.partition(".")[0] == name and value]


def tags_in(request: Request) -> list[dict[str, str]]:
    """Return the tags in the request."""
    return structures(request, "Tags")


def structures(request: Request, name: str) -> list[dict[str, str]]:
    """Return a list of structures, whatever the name of its members: `Tags.Tag.1.Key=…` becomes [{"Key": …}]."""
    structures_by_index: dict[int, dict[str, str]] = {}
    for key, value in request.form.items():
        parts = key.split(".")
        if parts[0] == name and len(parts) == 4:
            structures_by_index.setdefault(int(parts[2]), {})[parts[3]] = value
    return [structures_by_index[index] for index in sorted(structures_by_index)]


def remove_parameters(request: Request, names: Collection[str]) -> None:
    """Hide these parameters from moto."""
    remaining = {key: value for key, value in request.form.items() if key.partition(".")[0] not in names}
    request.body = urlencode(remaining).encode()
    # Replaces the value cached by Request.form.
    request.__dict__["form"] = remaining


def rds_response(request: Request, result: dict[str, Any]) -> Response:
    """Return a response in the shape that RDS's model defines for the request."""
    operation = get_service_model("rds").operation_model(request.action)
    serializer = QuerySerializer(operation_model=operation, value_picker=XFormedAttributePicker())
    serialized = serializer.serialize(result)
    body = serialized["body"]
    return Response(
        serialized["status_code"], body if isinstance(body, bytes) else body.encode(), [("Content-Type", "text/xml")]
    )
