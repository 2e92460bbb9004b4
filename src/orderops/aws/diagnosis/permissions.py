"""Permissions: the IAM action of a call, and the statement that would allow a denied one."""

from __future__ import annotations

import json
import re

from orderops.aws.diagnosis.rule import ErrorContext, Values

PERFORM = re.compile(r"arn:\S+ is not authorized to perform: [\w-]+:\w+", re.IGNORECASE)
ENCODED = re.compile(r"\s*Encoded authorization failure message: ?(?P<encoded>[\w+/=-]+)", re.IGNORECASE)
ROLE_SESSION = re.compile(r"^arn:(?P<part>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.*$")
# Services that IAM names differently than boto3: Service Authorization Reference, "service prefix".
PREFIXES = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "apigatewayv2": "apigateway",
    "efs": "elasticfilesystem",
    "service-quotas": "servicequotas",
}
# Some error messages, such as the emulator's, name a service as signatures do.
SIGNING_NAMES = {"monitoring": "cloudwatch", "tagging": "tag"}
# Operations whose IAM action has another name: Service Authorization Reference, "Actions defined by Amazon S3".
ACTIONS = {
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
# Service Authorization Reference, "Actions defined by Amazon API Gateway Management" and its V2.
METHODS = {"Create": "POST", "Delete": "DELETE", "Get": "GET", "Put": "PUT", "Update": "PATCH"}


def action_of(service: str, operation: str) -> str:
    """Return the IAM action that an operation of the API needs, such as `rds:CreateDBInstance`."""
    action = f"{PREFIXES.get(service, service)}:{operation}"
    if action.startswith("apigateway:"):
        return _by_method(operation)
    return ACTIONS.get(action, action)


def _by_method(operation: str) -> str:
    """The action of API Gateway, which IAM names by the HTTP method of the call."""
    verb = next((verb for verb in METHODS if operation.startswith(verb)), "")
    return f"apigateway:{METHODS.get(verb, operation)}"


def encoded(text: str) -> str:
    """Return the encoded part of an EC2 error that does not say in clear which permission is missing, else ""."""
    match = ENCODED.search(text)
    return match["encoded"] if match and not PERFORM.search(text) else ""


def readable(text: str) -> str:
    """Replace the encoded part of an EC2 error, which fills the screen and says nothing, by a note."""
    return ENCODED.sub(" (the encoded part is in the log)", text)


def decoded(message: str) -> str:
    """Word a decoded authorization message as the services that do not encode word theirs."""
    document = json.loads(message)
    context = document["context"]
    caller, action, resource = context["principal"]["arn"], context["action"], context.get("resource") or "*"
    reason = "with an explicit deny in a policy" if document.get("explicitDeny") else "because no policy allows it"
    return f"User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}"


def iam_statement(context: ErrorContext, values: Values) -> Values:
    """Return the IAM statement that would allow a denied call, and the identity to attach it to."""
    caller = values.get("caller", "")
    session = ROLE_SESSION.match(caller)
    identity = f"arn:{session['part']}:iam::{session['account']}:role/{session['role']}" if session else caller
    permission = _permission(values.get("action_named", "")) or context.action
    resource = _resource(values.get("resource", "*").strip('"'), identity)
    statement = {"Effect": "Allow", "Action": permission, "Resource": resource}
    return {
        "statement": json.dumps(statement, separators=(",", ":")),
        "identity": identity or "these credentials",
        "name": identity.rpartition("/")[2],
        "kind": "user" if ":user/" in identity else "role",
        "permission": permission,
        "resource": resource,
    }


def _permission(action: str) -> str:
    """Return the action that AWS names with the prefix that IAM uses."""
    service, _, operation = action.partition(":")
    return f"{SIGNING_NAMES.get(service, service)}:{operation}" if operation else ""


def _resource(text: str, identity: str) -> str:
    """Return the ARN of the resource; IAM's own errors say only "role NAME"."""
    kind, _, name = text.partition(" ")
    if not name:
        return text.rstrip(".") or "*"
    return f"{identity.rpartition(':')[0]}:{kind}/{name}" if identity else "*"
