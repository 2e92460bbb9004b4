"""Known failures for want of a permission: who may not do what to which, which policy decides, what to add to it."""

from __future__ import annotations

import json
import re

from orderops.aws.diagnosis.rule import ErrorContext, KnownError, Values, codes

DENIED = codes("AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException") | codes(
    "UnauthorizedOperation", "UnauthorizedException", "NotAuthorized", "ForbiddenException", "403"
)
WHO = r"(?:user: )?(?P<who>arn:\S+) is not authorized to perform: (?P<asked>[\w-]+:\w+)"
WHAT = r'(?: on resource: (?P<resource>"[^"]+"|\w+ [\w+=,.@/-]+(?= because| with|$)|[^\s"]+))?'
SENTENCE = WHO + WHAT
ENCODED = re.compile(r"\s*Encoded authorization failure message: ?(?P<blob>[\w+/=-]+)", re.IGNORECASE)
ROLE_SESSION = re.compile(r"^arn:(?P<part>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.*$")
LINKED = r"iam:CreateServiceLinkedRole on resource: \S*?aws-service-role/(?P<principal>[\w.-]+)"
PREFIXES = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "efs": "elasticfilesystem",
}
"""Services that permissions name otherwise than boto3 does."""
SIGNED = {"monitoring": "cloudwatch", "tagging": "tag"}
"""Services that some refusals, such as the emulator's, name as signatures do."""
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
"""Operations whose permission has another name."""


def action_of(service: str, operation: str) -> str:
    """The permission that an operation of the API needs, as `rds:CreateDBInstance`."""
    action = f"{PREFIXES.get(service, service)}:{operation}"
    return ACTIONS.get(action, action)


def encoded(text: str) -> str:
    """The encoded part of EC2's refusal when nothing else in it says who, what and which; else nothing."""
    found = ENCODED.search(text)
    return found["blob"] if found and not re.search(SENTENCE, text, re.IGNORECASE) else ""


def readable(text: str) -> str:
    """A refusal without its encoded part, which no one can read."""
    return ENCODED.sub(" (the encoded part is in the log)", text)


def decoded(message: str) -> str:
    """What the encoded part says, as the sentence of the services that encode nothing."""
    told = json.loads(message)
    context = told["context"]
    who, action, resource = context["principal"]["arn"], context["action"], context.get("resource") or "*"
    why = "with an explicit deny in a policy" if told.get("explicitDeny") else "because no policy allows it"
    return f"User: {who} is not authorized to perform: {action} on resource: {resource} {why}"


def _statement(said: ErrorContext, found: Values) -> Values:
    """The IAM statement that would allow it, and the user or role whose policies it belongs to."""
    who = found.get("who", "")
    session = ROLE_SESSION.match(who)
    identity = f"arn:{session['part']}:iam::{session['account']}:role/{session['role']}" if session else who
    action = _asked(found) or said.action
    resource = _resource(found.get("resource", "*").strip('"'), identity)
    allowed = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {
        "statement": json.dumps(allowed, separators=(",", ":")),
        "identity": identity or "these credentials",
        "name": identity.rpartition("/")[2],
        "kind": "user" if ":user/" in identity else "role",
        "asked": action,
        "resource": resource,
    }


def _asked(found: Values) -> str:
    """The permission that AWS names, in the words of permissions."""
    service, _, operation = found.get("asked", "").partition(":")
    return f"{SIGNED.get(service, service)}:{operation}" if operation else ""


def _resource(told: str, identity: str) -> str:
    """An ARN, where IAM says only "role NAME"."""
    kind, _, name = told.partition(" ")
    if not name:
        return told.rstrip(".") or "*"
    return f"{identity.rpartition(':')[0]}:{kind}/{name}" if identity else "*"


def _denied(name: str, words: str, means: str, hint: str) -> KnownError:
    return KnownError(name, DENIED, means, hint, words=words, fill=_statement)


WHICH_DENY = (
    "find the statement that denies: aws iam simulate-principal-policy --policy-source-arn {identity} "
    "--action-names {asked} --query 'EvaluationResults[].MatchedStatements[].SourcePolicyId'"
)
FAILURES = (
    _denied(
        "linked-role-denied",
        LINKED,
        "the first use of {principal} in an account makes a service-linked role, which these credentials may not",
        "once, by who may: aws iam create-service-linked-role --aws-service-name {principal}",
    ),
    _denied(
        "denied-by-organization",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*explicit deny in a (service|resource) control policy",
        "the organization forbids {asked} in this account; no statement that is added here allows it",
        "ask who runs the organization; the policies: aws organizations list-policies --filter SERVICE_CONTROL_POLICY",
    ),
    _denied(
        "denied-expressly",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*explicit deny in an? (?!service control|resource control)",
        "a policy denies {asked} to {identity} expressly; no statement that is added allows it",
        WHICH_DENY,
    ),
    _denied(
        "not-allowed-by-organization",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*because no (service|resource) control policy allows",
        "the organization does not allow {asked} in this account",
        "ask who runs the organization to allow it in its control policies: {statement}",
    ),
    _denied(
        "outside-the-boundary",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*because no permissions boundary allows",
        "the permissions boundary of {identity} does not include {asked}",
        "which it is: aws iam get-{kind} --{kind}-name {name} --query '*.PermissionsBoundary'; add to it: {statement}",
    ),
    _denied(
        "outside-the-session",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*because no session policy allows",
        "{identity} may {asked}, but not in this session, whose policy is narrower",
        "log in anew without a session policy, or with one that holds: {statement}",
    ),
    _denied(
        "not-allowed-by-endpoint",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*because no VPC endpoint policy allows",
        "the VPC endpoint on the way to AWS does not let {asked} through",
        "add to the endpoint's policy: {statement}",
    ),
    _denied(
        "not-allowed-by-resource",
        rf"^(?!.*{LINKED}).*{SENTENCE}.*because no resource-based policy allows",
        "the policy of {resource} does not allow {asked}",
        "add to the policy of {resource}, with Principal {identity}: {statement}",
    ),
    _denied(
        "not-allowed",
        rf"^(?!.*({LINKED}|explicit deny|because no (?!identity-based|policy))).*{SENTENCE}",
        "{identity} may not {asked}",
        "add to its policies: {statement}",
    ),
    KnownError(
        "denied-in-code",
        DENIED,
        "these credentials may not {action}; AWS says which policy decides only to who may decode it",
        "aws sts decode-authorization-message --query DecodedMessage --output text --encoded-message {blob}",
        words=rf"^(?!.*is not authorized to perform: ).*{ENCODED.pattern}",
    ),
    KnownError(
        "bucket-of-another",
        DENIED,
        "bucket {thing} belongs to another account than this one, or these credentials may not use it",
        "whose is it? aws s3api head-bucket --bucket {thing} --expected-bucket-owner {owner}",
        words=r"^(?!.*(is not authorized to perform: |Encoded authorization))",
        calls=r"s3\.",
        given="ExpectedBucketOwner",
        fill=lambda said, found: {"owner": str(said.params["ExpectedBucketOwner"])},
    ),
    _denied(
        "denied-without-reason",
        r"^(?!.*(is not authorized to perform: |Encoded authorization))",
        "these credentials may not {action}",
        "who they are: aws sts get-caller-identity; add to their policies: {statement}",
    ),
)
