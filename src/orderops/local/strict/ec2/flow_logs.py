"""Flow logs: what cannot be made stands in a list of an answer that is well."""

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

SPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
SERVICE = "vpc-flow-logs.amazonaws.com"
TWICE = (
    "FlowLogAlreadyExists",
    "Error. There is an existing Flow Log with the same configuration and log destination.",
)
NO_ROLE = ("InvalidParameter", "Unable to assume given IAM role")


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Tell what did not succeed as AWS does."""
    emulator.instead["ec2", "CreateFlowLogs"] = _unsuccessful


def _unsuccessful(call: Request) -> Response | None:
    wanted = [value for key, value in call.form.items() if key.startswith("ResourceId.")]
    role = call.form.get("DeliverLogsPermissionArn")
    if role and not _assumable(role):
        return _answer([(each, *NO_ROLE) for each in wanted])
    there = {_place(one) for one in backend("ec2", call.region).flow_logs.values()}
    where = (call.form.get("LogGroupName"), call.form.get("LogDestination"))
    twice = [each for each in wanted if (each, *where) in there]
    return _answer([(each, *TWICE) for each in twice]) if twice else None


def _place(log: Any) -> tuple[str, str | None, str | None]:
    return log.resource_id, log.log_group_name, log.log_destination


def _assumable(arn: str) -> bool:
    """Whether there is such a role, and flow logs may take it."""
    role = role_by_arn(arn)
    return role is not None and SERVICE in json.dumps(_document(role.assume_role_policy_document))


def _document(told: Any) -> Any:
    return json.loads(unquote(told)) if isinstance(told, str) else told


def _answer(failed: list[tuple[str, str, str]]) -> Response:
    items = "".join(_item(*each) for each in failed)
    request = element("requestId", uuid.uuid4())
    text = f"{request}<flowLogIdSet/><unsuccessful>{items}</unsuccessful>"
    body = f'<CreateFlowLogsResponse xmlns="{SPACE}">{text}</CreateFlowLogsResponse>'
    return Response(200, body.encode(), [("Content-Type", "text/xml")])


def _item(resource: str, code: str, words: str) -> str:
    error = element("code", code) + element("message", words)
    return f"<item>{element('resourceId', resource)}<error>{error}</error></item>"
