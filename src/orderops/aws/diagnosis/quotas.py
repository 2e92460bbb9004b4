"""Values for the known errors in quotas.toml."""

from __future__ import annotations

from orderops.aws.diagnosis.rule import ErrorContext, Values

# Services that Service Quotas names differently than boto3.
SERVICE_CODES = {"elbv2": "elasticloadbalancing", "cloudwatch": "monitoring"}
# Their quotas exist in us-east-1 only: docs.aws.amazon.com/general, "AWS service endpoints", IAM and S3.
GLOBAL_SERVICES = ("iam", "s3")


def service_quotas(context: ErrorContext, values: Values) -> Values:
    """Return where Service Quotas keeps the quotas of the called service, and the quota's name if AWS said it."""
    service = SERVICE_CODES.get(context.service, context.service)
    return {
        "quota_service": service,
        "quota_region": "us-east-1" if service in GLOBAL_SERVICES else context.region,
        "named_quota": f": {values['quota']}" if "quota" in values else "",
    }


def database_offer(context: ErrorContext, values: Values) -> Values:
    """Return the requested engine, version and instance class: from the message, else from the parameters."""
    params = context.params
    return {
        "engine": params.get("Engine", "postgres"),
        "version": params.get("EngineVersion", "16"),
        "class": values.get("class") or params.get("DBInstanceClass", "…"),
    }
