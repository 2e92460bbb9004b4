"""Flow logs: failures are listed in a successful response."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import unquote

from orderops.local.emulator.protocol import Request, Response, element
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import role_by_arn
from orderops.local.strict.interfaces import backend

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
SERVICE = "vpc-flow-logs.amazonaws.com"
# Code and message as AWS returns them in `unsuccessful`.
DUPLICATE_ERROR = (
    "FlowLogAlreadyExists",
    "Error. There is an existing Flow Log with the same configuration and log destination.",
)
ROLE_ERROR = ("InvalidParameter", "Unable to assume given IAM role")


def register(emulator: Emulator, _delays: Delays) -> None:
    """Report failures as AWS does."""
    emulator.instead["ec2", "CreateFlowLogs"] = _check_flow_logs


def _check_flow_logs(request: Request) -> Response | None:
    resources = [value for key, value in request.form.items() if key.startswith("ResourceId.")]
    role = request.form.get("DeliverLogsPermissionArn")
    # AWS answers 200 even if every flow log failed.
    if role and not _assumable(role):
        return _response([(resource, *ROLE_ERROR) for resource in resources])
    existing = {_identity(flow_log) for flow_log in backend("ec2", request.region).flow_logs.values()}
    destination = (request.form.get("LogGroupName"), request.form.get("LogDestination"))
    duplicates = [resource for resource in resources if (resource, *destination) in existing]
    return _response([(resource, *DUPLICATE_ERROR) for resource in duplicates]) if duplicates else None


def _identity(log: Any) -> tuple[str, str | None, str | None]:
    return log.resource_id, log.log_group_name, log.log_destination


def _assumable(arn: str) -> bool:
    """Tell whether the role exists and trusts flow logs."""
    role = role_by_arn(arn)
    return role is not None and SERVICE in json.dumps(_parsed(role.assume_role_policy_document))


def _parsed(document: Any) -> Any:
    return json.loads(unquote(document)) if isinstance(document, str) else document


def _response(failed: list[tuple[str, str, str]]) -> Response:
    items = "".join(_item(*failure) for failure in failed)
    request = element("requestId", uuid.uuid4())
    text = f"{request}<flowLogIdSet/><unsuccessful>{items}</unsuccessful>"
    body = f'<CreateFlowLogsResponse xmlns="{NAMESPACE}">{text}</CreateFlowLogsResponse>'
    return Response(200, body.encode(), [("Content-Type", "text/xml")])


def _item(resource: str, code: str, message: str) -> str:
    error = element("code", code) + element("message", message)
    return f"<item>{element('resourceId', resource)}<error>{error}</error></item>"
