"""The calls that are refused while a role they name, or the role of their service, is not known yet.

They are refused ahead of everything else that answers such calls, with the codes of each service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.serialize import EC2Serializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.iam.roles import linked_role, role_by_arn, unknown_yet

ECS = "ecs.amazonaws.com"
SCALING = "ecs.application-autoscaling.amazonaws.com"
NO_ECS = ApiError(
    "InvalidParameterException",
    "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
)
NOT_PASSED = ApiError(
    "InvalidParameterException",
    "Unable to assume role and validate the listeners configured on your load balancer. "
    "Please verify that the ECS service role being passed has the proper permissions.",
)
NO_TASK_ROLE = ApiError("ClientException", "Role is not valid")
NO_MONITORING = ApiError(
    "InvalidParameterValue",
    "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING",
)
POLICIES = {
    ("sqs", "SetQueueAttributes"): ApiError("InvalidAttributeValue", "Invalid value for the parameter Policy."),
    ("sns", "SetTopicAttributes"): ApiError("InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound"),
    ("secretsmanager", "PutResourcePolicy"): ApiError(
        "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
    ),
}
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")


def take_part(emulator: Emulator) -> None:
    """Look ahead of the others at the calls that use roles."""
    _ahead(emulator, "ec2", "CreateFlowLogs", _flow_log)
    _ahead(emulator, "ecs", "RegisterTaskDefinition", _task_definition)
    for action in ("CreateService", "UpdateService", "CreateCluster"):
        _ahead(emulator, "ecs", action, _service)
    for action in ("CreateDBInstance", "ModifyDBInstance"):
        _ahead(emulator, "rds", action, _monitored)
    _ahead(emulator, "application-autoscaling", "RegisterScalableTarget", _scalable)
    for service, action in POLICIES:
        _ahead(emulator, service, action, _policy)


def _ahead(emulator: Emulator, service: str, action: str, look: Callable[[Request], Response | None]) -> None:
    """Let `look` answer or refuse, and then whoever answered such calls before."""
    then = emulator.instead.get((service, action))

    def instead(call: Request) -> Response | None:
        return look(call) or (then(call) if then else None)

    emulator.instead[service, action] = instead


def _flow_log(call: Request) -> Response | None:
    if not _unknown(call.form.get("DeliverLogsPermissionArn")):
        return None
    error = {"Code": "InvalidParameter", "Message": "Unable to assume given IAM role"}
    asked = [value for key, value in call.form.items() if key.startswith("ResourceId.")]
    operation = get_service_model("ec2").operation_model(call.action)
    serializer = EC2Serializer(operation_model=operation, value_picker=XFormedAttributePicker())
    made = serializer.serialize({"Unsuccessful": [{"ResourceId": each, "Error": error} for each in asked]})
    body = made["body"]
    return Response(200, body if isinstance(body, bytes) else body.encode(), [("Content-Type", "text/xml")])


def _task_definition(call: Request) -> None:
    if any(_unknown(call.json.get(name)) for name in ("taskRoleArn", "executionRoleArn")):
        raise NO_TASK_ROLE


def _service(call: Request) -> None:
    if unknown_yet(linked_role(ECS)):
        raise NO_ECS
    if _unknown(call.json.get("role")):
        raise NOT_PASSED


def _monitored(call: Request) -> None:
    arn = call.form.get("MonitoringRoleArn")
    if arn and (_unknown(arn) or role_by_arn(arn) is None):
        raise NO_MONITORING


def _scalable(call: Request) -> None:
    role = role_by_arn(call.json["RoleARN"]) if "RoleARN" in call.json else linked_role(SCALING)
    if unknown_yet(role):
        raise ApiError("ValidationException", f"Unable to assume IAM role: {role.arn}")


def _policy(call: Request) -> None:
    if any(role_by_arn(arn) is None or _unknown(arn) for arn in _roles_in(call)):
        raise POLICIES[call.service, call.action]


def _roles_in(call: Request) -> Iterator[str]:
    """The roles of this account that are named anywhere in the call."""
    found = ROLE.findall(" ".join(call.form.values()) or call.body.decode())
    yield from (arn for arn in found if f"::{DEFAULT_ACCOUNT_ID}:" in arn)


def _unknown(arn: str | None) -> bool:
    return bool(arn) and unknown_yet(role_by_arn(arn or ""))
