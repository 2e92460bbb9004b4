"""The role by which API Gateway writes the access logs of REST APIs: one for the whole account in a region."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import Ownership
from orderops.engine.features import Feature
from orderops.engine.resource import Leftover, Observed, Outputs, Properties, Resource
from orderops.resources.apigatewayv2_api import FEATURE

NAME = "log-role"
ROLE = "orderops-ApiGatewayLogs"
"""Environments have no capital letters in their names, so the role is of none of them."""
POLICY = "orderops"
# As the managed policy AmazonAPIGatewayPushToCloudWatchLogs has them.
ACTIONS = (
    *(f"logs:{verb}" for verb in ("CreateLogGroup", "CreateLogStream", "DescribeLogGroups", "DescribeLogStreams")),
    *(f"logs:{verb}" for verb in ("FilterLogEvents", "GetLogEvents", "PutLogEvents")),
)


class ApigatewayAccount(Resource):
    """Set if the account has none, and never changed: every REST API of the account in the region logs by it."""

    permissions_boundary: str | None = None

    kind: ClassVar[str] = "apigateway-account"
    feature: ClassVar[Feature | None] = FEATURE
    untagged: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "EntityAlreadyExists",
            "NoSuchEntity",
            # A role of a few seconds.
            "BadRequestException: role",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        if arn := aws.apigateway.get_account().get("cloudwatchRoleArn"):
            yield Observed(arn, tags={}, name=NAME, arn=arn)

    def desired(self, outputs: Outputs) -> Properties:
        return {}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        # Only the last call makes it findable. Those before are harmless to repeat, and no other resource has the role.
        trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        boundary = {"PermissionsBoundary": self.permissions_boundary} if self.permissions_boundary else {}
        if_found(
            aws.iam.create_role,
            "EntityAlreadyExists",
            RoleName=ROLE,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            Description="lets API Gateway write the access logs of REST APIs",
            **boundary,
        )
        allowed = {"Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        aws.iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=document)
        arn = f"arn:{aws.partition}:iam::{aws.account}:role/{ROLE}"
        patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
        aws.apigateway.update_account(patchOperations=[patch])

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Do nothing: other APIs of the account may need the role that is set."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        """Do nothing: the account shares the role."""

    @classmethod
    def leftovers(cls, aws: Aws, owner: Ownership) -> Iterator[Leftover]:
        found = [one.arn.rpartition("/")[2] for one in cls.listing(aws, owner) if one.arn.endswith(f"/{ROLE}")]
        command = (
            "aws apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value= && "
            f"aws iam delete-role-policy --role-name NAME --policy-name {POLICY} && "
            "aws iam delete-role --role-name NAME"
        )
        yield Leftover("role of the whole account", command, tuple(found))
