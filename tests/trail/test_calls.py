"""The calls that change a resource exist in AWS's models, with the parameter that names it."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import pytest

from orderops.infra.stack import KINDS
from orderops.trail.calls import SETTERS, Setter

CLIENTS = {"autoscaling": "application-autoscaling"}
# Made by AWS's own calls, or by none that leaves something of ours behind.
WITHOUT_EVENTS = {"iam-service-linked-role", "logs-service-group"}
# S3 writes other names than its API has: "Amazon S3 CloudTrail events" (S3 user guide).
IN_S3 = {"PutBucketLifecycle", "DeleteBucketLifecycle", "PutBucketPublicAccessBlock", "DeleteBucketPublicAccessBlock"}
CASES = [
    pytest.param(kind, setter, id=f"{kind} {setter.event}") for kind, setters in SETTERS.items() for setter in setters
]


def test_every_kind_has_calls_that_change_it() -> None:
    assert {kind.kind for kind in KINDS} - SETTERS.keys() <= WITHOUT_EVENTS


@pytest.mark.parametrize("kind, setter", CASES)
def test_a_call_and_the_parameter_that_names_the_resource_are_those_of_the_api(kind: str, setter: Setter) -> None:
    service = kind.partition("-")[0]
    if setter.event in IN_S3:
        return
    model = model_of(CLIENTS.get(service, service))

    operation = model.operation_model(setter.event)

    first = setter.path.removeprefix(f"{setter.event}Request.").split(".")[0]
    # EC2's own spellings, and S3's Bucket.
    first = {"resourcesSet": "Resources", "bucketName": "Bucket", "FlowLogId": "FlowLogIds"}.get(first, first)
    assert first.lower() in {member.lower() for member in operation.input_shape.members}


@cache
def model_of(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)
