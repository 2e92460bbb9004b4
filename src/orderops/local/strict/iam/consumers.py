"""Requests that fail while a role they name, or the service's own role, is not known yet.

These checks run ahead of all others, with each service's error codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.serialize import EC2Serializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.iam.roles import linked_role, not_yet_known, role_by_arn

ECS = "ecs.amazonaws.com"
RDS = "rds.amazonaws.com"
SCALING = "ecs.application-autoscaling.amazonaws.com"
ECS_ROLE_ERROR = ApiError(
    "InvalidParameterException",
    "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
)
SERVICE_ROLE_ERROR = ApiError(
    "InvalidParameterException",
    "Unable to assume role and validate the listeners configured on your load balancer. "
    "Please verify that the ECS service role being passed has the proper permissions.",
)
TASK_ROLE_ERROR = ApiError("ClientException", "Role is not valid")
MONITORING_ROLE_ERROR = ApiError(
    "InvalidParameterValue",
    "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING",
)
# In the words of terraform-aws-modules/terraform-aws-rds#364 and aws-samples/eks-workshop-v2#1609.
RDS_ROLE_ERRORS = {
    "CreateDBSubnetGroup": "Missing necessary credentials. Please check "
    "http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html",
    "CreateDBInstance": "Unable to create the resource. Verify that you have permission to create service linked role. "
    "Otherwise wait and try again later",
}
POLICY_ERRORS = {
    ("sqs", "SetQueueAttributes"): ApiError("InvalidAttributeValue", "Invalid value for the parameter Policy."),
    ("sns", "SetTopicAttributes"): ApiError("InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound"),
    ("secretsmanager", "PutResourcePolicy"): ApiError(
        "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
    ),
}
ROLE_ARN = re.compile(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+")


def register(emulator: Emulator) -> None:
    """Add the checks to requests that use roles."""
    _check_first(emulator, "ec2", "CreateFlowLogs", _check_flow_log)
    _check_first(emulator, "ecs", "RegisterTaskDefinition", _check_task_definition)
    _check_first(emulator, "ecs", "RunTask", _check_task)
    for action in ("CreateService", "UpdateService", "CreateCluster"):
        _check_first(emulator, "ecs", action, _check_service)
    for action in ("CreateDBInstance", "ModifyDBInstance"):
        _check_first(emulator, "rds", action, _check_monitoring)
    for action in RDS_ROLE_ERRORS:
        _check_first(emulator, "rds", action, _check_database_role)
    _check_first(emulator, "application-autoscaling", "RegisterScalableTarget", _check_scalable_target)
    for service, action in POLICY_ERRORS:
        _check_first(emulator, service, action, _check_policy)


def _check_first(emulator: Emulator, service: str, action: str, check: Callable[[Request], Response | None]) -> None:
    """Run `check` ahead of the handler that answered such requests before."""
    previous = emulator.instead.get((service, action))

    def instead(request: Request) -> Response | None:
        return check(request) or (previous(request) if previous else None)

    emulator.instead[service, action] = instead


def _check_flow_log(request: Request) -> Response | None:
    if not _not_yet_known(request.form.get("DeliverLogsPermissionArn")):
        return None
    error = {"Code": "InvalidParameter", "Message": "Unable to assume given IAM role"}
    resources = [value for key, value in request.form.items() if key.startswith("ResourceId.")]
    operation = get_service_model("ec2").operation_model(request.action)
    serializer = EC2Serializer(operation_model=operation, value_picker=XFormedAttributePicker())
    serialized = serializer.serialize(
        {"Unsuccessful": [{"ResourceId": resource, "Error": error} for resource in resources]}
    )
    body = serialized["body"]
    return Response(200, body if isinstance(body, bytes) else body.encode(), [("Content-Type", "text/xml")])


def _check_task_definition(request: Request) -> None:
    if any(_not_yet_known(request.json.get(name)) for name in ("taskRoleArn", "executionRoleArn")):
        raise TASK_ROLE_ERROR


def _check_task(request: Request) -> None:
    """Check a role that the task gets instead of its definition's."""
    arn = request.json.get("overrides", {}).get("taskRoleArn")
    if arn and (_not_yet_known(arn) or role_by_arn(arn) is None):
        raise TASK_ROLE_ERROR


def _check_service(request: Request) -> None:
    if not_yet_known(linked_role(ECS)):
        raise ECS_ROLE_ERROR
    if _not_yet_known(request.json.get("role")):
        raise SERVICE_ROLE_ERROR


def _check_monitoring(request: Request) -> None:
    arn = request.form.get("MonitoringRoleArn")
    if arn and (_not_yet_known(arn) or role_by_arn(arn) is None):
        raise MONITORING_ROLE_ERROR


def _check_database_role(request: Request) -> None:
    """Check that RDS has its role and knows it: unlike ECS, it does not go on without one."""
    role = linked_role(RDS)
    if role is None or not_yet_known(role):
        raise ApiError("InvalidParameterValue", RDS_ROLE_ERRORS[request.action])


def _check_scalable_target(request: Request) -> None:
    role = role_by_arn(request.json["RoleARN"]) if "RoleARN" in request.json else linked_role(SCALING)
    if not_yet_known(role):
        raise ApiError("ValidationException", f"Unable to assume IAM role: {role.arn}")


def _check_policy(request: Request) -> None:
    if any(role_by_arn(arn) is None or _not_yet_known(arn) for arn in _roles_in(request)):
        raise POLICY_ERRORS[request.service, request.action]


def _roles_in(request: Request) -> Iterator[str]:
    """Yield the roles of this account that the request names."""
    found = ROLE_ARN.findall(" ".join(request.form.values()) or request.body.decode())
    yield from (arn for arn in found if f"::{DEFAULT_ACCOUNT_ID}:" in arn)


def _not_yet_known(arn: str | None) -> bool:
    return bool(arn) and not_yet_known(role_by_arn(arn or ""))
