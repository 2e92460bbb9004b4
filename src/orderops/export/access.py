"""Access: roles, buckets and their parts, schedules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.export.hcl import Json, blocks
from orderops.export.part import Found, Part, ignoring


def role(found: Found) -> Iterator[Part]:
    """A role, its inline policies, and the managed policies that it has."""
    properties = found.properties
    body = {
        "name": found.name,
        "path": properties["Path"],
        "assume_role_policy": Json(properties["AssumeRolePolicyDocument"]),
        "permissions_boundary": properties["PermissionsBoundary"],
        "tags": found.tags,
        "lifecycle": ignoring("description"),
    }
    yield Part("aws_iam_role", found.name, body)
    mine = found.references.named("iam-role", found.name)
    for name, document in properties["InlinePolicies"].items():
        policy = {"name": name, "role": mine, "policy": Json(document)}
        yield Part("aws_iam_role_policy", f"{found.name}:{name}", policy, suffix=name)
    for arn in properties["ManagedPolicies"]:
        attached = {"role": mine, "policy_arn": arn}
        yield Part("aws_iam_role_policy_attachment", f"{found.name}/{arn}", attached, suffix=arn.rpartition("/")[2])


def service_linked_role(found: Found) -> Iterator[Part]:
    """A role that AWS makes for one of its services, and that all environments of an account share."""
    body = {"aws_service_name": found.resource.name, "lifecycle": ignoring("description", "tags")}
    yield Part("aws_iam_service_linked_role", found.observed.arn, body)


def bucket(found: Found) -> Iterator[Part]:
    """A bucket; the provider has a resource of its own for each of its settings."""
    properties = found.properties
    mine = found.references.named("s3-bucket", found.name, "id")
    yield Part("aws_s3_bucket", found.name, {"bucket": found.name, "tags": found.tags})
    settings: dict[str, dict[str, Any] | None] = {
        "aws_s3_bucket_public_access_block": _public_access(properties["PublicAccessBlock"]),
        "aws_s3_bucket_ownership_controls": _one_rule({"object_ownership": properties["ObjectOwnership"]}),
        "aws_s3_bucket_server_side_encryption_configuration": _encryption(properties["SSEAlgorithm"]),
        "aws_s3_bucket_lifecycle_configuration": _lifecycle(properties["LifecycleRules"]),
        "aws_s3_bucket_policy": {"policy": Json(properties["Policy"])} if properties["Policy"] else None,
    }
    for kind, body in settings.items():
        if body:
            yield Part(kind, found.name, {"bucket": mine, **body})


def _public_access(block: Mapping[str, bool] | None) -> dict[str, Any] | None:
    return (
        None
        if block is None
        else {
            "block_public_acls": block["BlockPublicAcls"],
            "ignore_public_acls": block["IgnorePublicAcls"],
            "block_public_policy": block["BlockPublicPolicy"],
            "restrict_public_buckets": block["RestrictPublicBuckets"],
        }
    )


def _one_rule(rule: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"rule": blocks(rule)} if all(rule.values()) else None


def _encryption(algorithm: str | None) -> dict[str, Any] | None:
    default = {"apply_server_side_encryption_by_default": blocks({"sse_algorithm": algorithm})}
    return {"rule": blocks(default)} if algorithm else None


def _lifecycle(rules: list[Mapping[str, Any]] | None) -> dict[str, Any] | None:
    return {"rule": blocks(*map(_expiry, rules))} if rules else None


def _expiry(rule: Mapping[str, Any]) -> dict[str, Any]:
    expiration, uploads = rule.get("Expiration"), rule.get("AbortIncompleteMultipartUpload")
    return {
        "id": rule["ID"],
        "status": rule["Status"],
        "filter": blocks({"prefix": rule["Filter"].get("Prefix", "")}),
        "expiration": blocks(expiration and {"days": expiration.get("Days")}),
        "abort_incomplete_multipart_upload": blocks(
            uploads and {"days_after_initiation": uploads["DaysAfterInitiation"]}
        ),
    }


def schedule_group(found: Found) -> Iterator[Part]:
    """The group of an environment's schedules."""
    yield Part("aws_scheduler_schedule_group", found.name, {"name": found.name, "tags": found.tags})


def schedule(found: Found) -> Iterator[Part]:
    """A schedule that starts a Fargate task."""
    properties = found.properties
    group = found.observed.arn.split("/")[1]
    network = {
        "subnets": found.place(properties["Subnets"]),
        "security_groups": found.place(properties["SecurityGroups"]),
        "assign_public_ip": properties["AssignPublicIp"] == "ENABLED",
    }
    task = {
        "task_definition_arn": found.place(properties["TaskDefinitionArn"]),
        "launch_type": properties["LaunchType"],
        "task_count": properties["TaskCount"],
        "network_configuration": blocks(network),
    }
    retry, dead_letter = properties["RetryPolicy"], properties["DeadLetterConfig"]
    target = {
        "arn": found.place(properties["Cluster"]),
        "role_arn": found.place(properties["RoleArn"]),
        "input": properties["Input"] if isinstance(properties["Input"], str) else Json(properties["Input"]),
        "ecs_parameters": blocks(task),
        "retry_policy": blocks(
            retry
            and {
                "maximum_event_age_in_seconds": retry["MaximumEventAgeInSeconds"],
                "maximum_retry_attempts": retry["MaximumRetryAttempts"],
            }
        ),
        "dead_letter_config": blocks(dead_letter and {"arn": found.place(dead_letter["Arn"])}),
    }
    body = {
        "name": found.name,
        "group_name": found.references.named("scheduler-group", group),
        "schedule_expression": properties["ScheduleExpression"],
        "schedule_expression_timezone": properties["ScheduleExpressionTimezone"],
        "state": properties["State"],
        "flexible_time_window": blocks({"mode": properties["FlexibleTimeWindow"]["Mode"]}),
        "target": blocks(target),
    }
    yield Part("aws_scheduler_schedule", f"{group}/{found.name}", body)
