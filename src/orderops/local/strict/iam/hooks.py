"""IAM: trust policies with existing principals, and roles that other services do not know for a while.

The time from which services know a role is stored on the role; `iam.consumers` has the requests that check it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

from orderops.local.emulator.partition import global_backends
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam import policies
from orderops.local.strict.iam.roles import not_yet_known, role_by_arn, role_by_name

LINKED_ROLE_PATH = "/aws-service-role/"
PRINCIPALS = """
application-autoscaling apigateway backup batch bedrock chatbot cloudtrail codebuild codedeploy codepipeline
custom.rds.application-autoscaling config delivery.logs dms ec2 ecr ecs ecs-tasks ecs.application-autoscaling
edgelambda.lambda eks elasticloadbalancing events events.rds firehose fis glue guardduty kinesis kms lambda
logdelivery.elasticloadbalancing logs monitoring monitoring.rds pipes rds replication.ecr s3 scheduler
secretsmanager ses sns sqs ssm states transfer vpc-flow-logs wafv2 xray
"""
# Services that assume roles, without `.amazonaws.com`; some have a region appended.
SERVICES = frozenset(PRINCIPALS.split())


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject and delay what AWS does."""
    policies.register(emulator)
    emulator.on_before("iam", "CreateRole", _check_trust("AssumeRolePolicyDocument"))
    emulator.on_before("iam", "UpdateAssumeRolePolicy", _check_trust("PolicyDocument"))
    emulator.on_before("iam", "CreateServiceLinkedRole", _check_no_linked_role)
    for action in ("DeleteRole", "UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "UpdateRole"):
        # Service-linked roles can be changed by AWS only; moto lets anyone change them.
        emulator.on_before("iam", action, _check_not_linked)

    def note_creation(request: Request, response: Response) -> None:
        for role in _created_roles(request):
            role.known_from = time.time() + delays.role

    # IAM is eventually consistent: other services reject a new role for several seconds.
    emulator.on_after("iam", "CreateRole", note_creation)
    emulator.on_after("iam", "CreateServiceLinkedRole", note_creation)


def _created_roles(request: Request) -> Iterator[Any]:
    if request.action == "CreateRole":
        yield role_by_name(request.form["RoleName"])
        return
    roles = [role for backend in global_backends("iam") for role in backend.roles.values()]
    yield from [role for role in roles if role.path == f"{LINKED_ROLE_PATH}{request.form['AWSServiceName']}/"]


def _check_trust(parameter: str) -> Callable[[Request], None]:
    """Return a check for a malformed trust policy, or one with missing principals."""

    def check(request: Request) -> None:
        text = request.form.get(parameter, "")
        try:
            document = json.loads(text)
        except ValueError:
            raise _malformed("This policy contains invalid Json") from None
        try:
            IAMTrustPolicyDocumentValidator(text).validate()
        except MalformedPolicyDocument as error:
            raise _malformed(str(error.message)) from None
        statements = document["Statement"]
        for statement in [statements] if isinstance(statements, dict) else statements:
            if "Principal" not in statement:
                raise _malformed("Missing required field Principal")
            _check_principal(statement["Principal"])

    return check


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise _malformed("Invalid principal in policy.")
    for kind, principals in principal.items():
        if kind not in ("AWS", "CanonicalUser", "Federated", "Service"):
            raise _malformed(f"Invalid principal in policy: {json.dumps(kind)}")
        for name in [principals] if isinstance(principals, str) else principals:
            if (kind == "Service" and not _is_service(name)) or (kind == "AWS" and not _principal_exists(name)):
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{name}"')


def _is_service(name: str) -> bool:
    service, dot, _ = name.partition(".amazonaws.com")
    return bool(dot) and (
        service in SERVICES or service.rpartition(".")[0] in SERVICES
        # Both delivery.logs and logs.REGION.
    )


def _principal_exists(principal: str) -> bool:
    if principal == "*" or (principal.isdecimal() and len(principal) == 12) or principal.endswith(":root"):
        return True
    if principal.startswith(("AROA", "AIDA")):
        # AWS replaces the ARN of a deleted principal by its id.
        return False
    if ":role/" in principal:
        role = role_by_arn(principal)
        return role is not None and not not_yet_known(role)
    users = [user for backend in global_backends("iam") for user in backend.users.values()]
    return any(user.arn == principal for user in users) or ":assumed-role/" in principal


def _malformed(message: str) -> ApiError:
    return ApiError("MalformedPolicyDocument", message)


def _check_no_linked_role(request: Request) -> None:
    for role in _created_roles(request):
        raise ApiError(
            "InvalidInput",
            f"Service role name {role.name} has been taken in this account, please try a different suffix.",
        )


def _check_not_linked(request: Request) -> None:
    role = role_by_name(request.form.get("RoleName", ""))
    if role and role.path.startswith(LINKED_ROLE_PATH):
        raise ApiError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS",
        )
