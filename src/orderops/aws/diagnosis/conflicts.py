"""Values for the known errors in conflicts.toml."""

from __future__ import annotations

from orderops.aws.diagnosis.rule import ErrorContext, Values

FILTERS = {"sg": "group-id", "subnet": "subnet-id", "vpc": "vpc-id"}
"""Filters of ec2:DescribeNetworkInterfaces, by the prefix of an id."""
KEY_PARAMETERS = ("KmsKeyId", "KmsMasterKeyId", "kmsKeyId")
# Services that boto3 names differently than the principal of their service-linked role.
PRINCIPALS = {
    "elbv2": "elasticloadbalancing.amazonaws.com",
    "application-autoscaling": "ecs.application-autoscaling.amazonaws.com",
}


def interface_filter(context: ErrorContext, values: Values) -> Values:
    """Return the filter that finds the network interfaces of {id}."""
    return {"filter": FILTERS[values["id"].lower().partition("-")[0]]}


def kms_key(context: ErrorContext, values: Values) -> Values:
    """Return the KMS key: from the message, else from the parameters, else the service's default key."""
    requested = next((context.params[key] for key in KEY_PARAMETERS if key in context.params), None)
    return {"key": values.get("key") or requested or f"alias/aws/{context.service}"}


def service_principal(context: ErrorContext, values: Values) -> Values:
    """Return the principal of the called service's service-linked role."""
    return {"principal": PRINCIPALS.get(context.service, f"{context.service}.amazonaws.com")}
