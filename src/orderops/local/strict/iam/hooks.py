"""IAM: trust in whom there is, and a role that is unknown to the services for a while after it was made.

When the services know a role stands on the role; `iam_consumers` has the calls that ask.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.iam.roles import role_by_arn, role_by_name, unknown_yet

LINKED = "/aws-service-role/"
PRINCIPALS = """
application-autoscaling apigateway backup batch bedrock chatbot cloudtrail codebuild codedeploy codepipeline
custom.rds.application-autoscaling config delivery.logs dms ec2 ecr ecs ecs-tasks ecs.application-autoscaling
edgelambda.lambda eks elasticloadbalancing events events.rds firehose fis glue guardduty kinesis kms lambda
logdelivery.elasticloadbalancing logs monitoring monitoring.rds pipes rds replication.ecr s3 scheduler
secretsmanager ses sns sqs ssm states transfer vpc-flow-logs wafv2 xray
"""
SERVICES = frozenset(PRINCIPALS.split())
"""Services that assume roles, as they stand before .amazonaws.com; some with a region behind."""


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse and delay what AWS does."""
    emulator.on_before("iam", "CreateRole", _trusts("AssumeRolePolicyDocument"))
    emulator.on_before("iam", "UpdateAssumeRolePolicy", _trusts("PolicyDocument"))
    emulator.on_before("iam", "CreateServiceLinkedRole", _is_not_there)
    for action in ("DeleteRole", "UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "UpdateRole"):
        emulator.on_before("iam", action, _is_not_linked)

    def made(call: Request, answer: Response) -> None:
        for role in _named(call):
            role.known_from = time.time() + pace.role

    emulator.on_after("iam", "CreateRole", made)
    emulator.on_after("iam", "CreateServiceLinkedRole", made)


def _named(call: Request) -> Iterator[Any]:
    if call.action == "CreateRole":
        yield role_by_name(call.form["RoleName"])
        return
    roles = get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].roles.values()
    yield from [role for role in roles if role.path == f"{LINKED}{call.form['AWSServiceName']}/"]


def _trusts(parameter: str) -> Callable[[Request], None]:
    """Refuse a trust policy that is none, or trusts somebody who is not there."""

    def refuse(call: Request) -> None:
        text = call.form.get(parameter, "")
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
            _refuse_principal(statement["Principal"])

    return refuse


def _refuse_principal(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict):
        raise _malformed("Invalid principal in policy.")
    for kind, told in principal.items():
        if kind not in ("AWS", "CanonicalUser", "Federated", "Service"):
            raise _malformed(f"Invalid principal in policy: {json.dumps(kind)}")
        for each in [told] if isinstance(told, str) else told:
            if (kind == "Service" and not _is_service(each)) or (kind == "AWS" and not _is_there(each)):
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{each}"')


def _is_service(name: str) -> bool:
    service, dot, _ = name.partition(".amazonaws.com")
    return bool(dot) and (service in SERVICES or service.rpartition(".")[0] in SERVICES)  # delivery.logs; logs.REGION


def _is_there(principal: str) -> bool:
    if principal == "*" or (principal.isdecimal() and len(principal) == 12) or principal.endswith(":root"):
        return True
    if principal.startswith(("AROA", "AIDA")):
        return False  # what is left of one that was deleted
    if ":role/" in principal:
        role = role_by_arn(principal)
        return role is not None and not unknown_yet(role)
    users = get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].users.values()
    return any(user.arn == principal for user in users) or ":assumed-role/" in principal


def _malformed(words: str) -> ApiError:
    return ApiError("MalformedPolicyDocument", words)


def _is_not_there(call: Request) -> None:
    for role in _named(call):
        raise ApiError(
            "InvalidInput",
            f"Service role name {role.name} has been taken in this account, please try a different suffix.",
        )


def _is_not_linked(call: Request) -> None:
    role = role_by_name(call.form.get("RoleName", ""))
    if role and role.path.startswith(LINKED):
        raise ApiError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS",
        )
