"""Known failures with things: names taken, things in use, keys, certificates, images, secrets, roles of services."""

from __future__ import annotations

from orderops.aws.diagnosis.rule import ErrorContext, KnownError, Values, codes

TAKEN = codes(
    "DBInstanceAlreadyExists",
    "DBSubnetGroupAlreadyExists",
    "DBParameterGroupAlreadyExists",
    "DBSnapshotAlreadyExists",
    "EntityAlreadyExists",
    "DuplicateLoadBalancerName",
    "DuplicateTargetGroupName",
    "DuplicateListener",
    "PriorityInUse",
    "QueueNameExists",
    "QueueAlreadyExists",
    "ResourceAlreadyExistsException",
    "ResourceExistsException",
    "RepositoryAlreadyExistsException",
    "InvalidGroup.Duplicate",
    "BucketAlreadyOwnedByYou",
)
IN_USE = codes(
    "DeleteConflict",
    "ResourceInUse",
    "ResourceInUseException",
    "InvalidGroup.InUse",
    "InvalidDBSubnetGroupStateFault",
    "InvalidDBParameterGroupState",
    "ClusterContainsServicesException",
    "ClusterContainsTasksException",
    "InvalidIPAddress.InUse",
)
KEY_AWAY = codes(
    "KMSKeyNotAccessibleFault",
    "KMSAccessDenied",
    "KMSDisabled",
    "KMSInvalidState",
    "KMSNotFound",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsNotFound",
    "KmsInvalidState",
    "KMS.DisabledException",
    "KMS.NotFoundException",
    "KmsException",
    "KmsAccessDeniedException",
    "KmsKeyDisabledException",
    "KmsKeyNotFoundException",
    "KMSInvalidStateException",
)
HOLDERS = {"sg-": "group-id", "subnet-": "subnet-id", "vpc-": "vpc-id"}
"""By which filter the network interfaces are found that hold a thing."""
WITH_ID = r"(?P<id>(?:sg|subnet|vpc)-[0-9a-z]+)"
CERTIFICATE = r"(?P<certificate>arn:[\w-]+:acm:[^\s'\"]+)"
ADDRESSES = "mapped public address"
STOPPED = codes("CannotPullContainerError")
PLATFORM = r"platform|exec format error|no matching manifest"
NO_IMAGE = r"not found|manifest unknown|does not exist|no such|was not found"
LINKED_ROLES = {
    "elbv2": "elasticloadbalancing.amazonaws.com",
    "application-autoscaling": "ecs.application-autoscaling.amazonaws.com",
}
"""Where the service that works under a role is not named as boto3 names it."""


def _holders(said: ErrorContext, found: Values) -> Values:
    return {"filter": next(each for start, each in HOLDERS.items() if found["id"].startswith(start))}


def _certificate(said: ErrorContext, found: Values) -> Values:
    """The region that the certificate is in."""
    return {"there": found["certificate"].split(":")[3]}


def _elsewhere(said: ErrorContext, found: Values) -> Values:
    return _certificate(said, found) | {"here": said.region}


def _key(said: ErrorContext, found: Values) -> Values:
    given = [str(said.params[key]) for key in ("KmsKeyId", "KmsMasterKeyId", "kmsKeyId") if key in said.params]
    return {"key": found.get("key") or next(iter(given), f"alias/aws/{said.service}")}


FAILURES = (
    KnownError(
        "bucket-name-taken",
        codes("BucketAlreadyExists"),
        "bucket {thing} belongs to somebody else: bucket names are shared by all of AWS",
        "give the environment another name: the name of {file} becomes part of the bucket's",
    ),
    KnownError(
        "name-taken",
        TAKEN,
        "{thing} is there already, and is not of this environment",
        "what is there, and how to take it over: orderops infra plan{env}",
    ),
    KnownError(
        "secret-in-deletion",
        codes("InvalidRequestException"),
        "the secret {thing} was deleted and keeps its name until its days of grace are over",
        "bring it back: aws secretsmanager restore-secret --secret-id {thing} --region {region}; then the same command",
        words=r"scheduled for deletion|marked for deletion|marked deleted",
        calls=r"secretsmanager\.",
    ),
    KnownError(
        "protected",
        codes("InvalidParameterCombination", "OperationNotPermitted", "InvalidParameterValue"),
        "{thing} is protected against deletion",
        "set deletion_protection = false in {file}, then: orderops infra apply{env}; then the same command",
        words=r"protected db instance|deletion protection",
    ),
    KnownError(
        "addresses-in-use",
        codes("DependencyViolation"),
        "public addresses still lead through this gateway",
        "what holds them: aws ec2 describe-addresses --region {region} "
        "--query 'Addresses[].[PublicIp,AssociationId,NetworkInterfaceId]' --output text",
        words=ADDRESSES,
    ),
    KnownError(
        "network-in-use",
        codes("DependencyViolation", "InvalidGroup.InUse"),
        "{id} is still in use",
        "by what: aws ec2 describe-network-interfaces --region {region} --filters Name={filter},Values={id} "
        "--query 'NetworkInterfaces[].[NetworkInterfaceId,Description,Status]' --output text",
        words=rf"^(?!.*{ADDRESSES}).*?{WITH_ID}",
        fill=_holders,
    ),
    KnownError(
        "in-use",
        IN_USE | codes("DependencyViolation"),
        "{thing} is still in use by something else",
        "what else is there: orderops infra plan{env}; end what uses it, then the same command",
        words=rf"^(?!.*({ADDRESSES}|\b(sg|subnet|vpc)-[0-9a-z]))",
    ),
    KnownError(
        "not-empty",
        codes("BucketNotEmpty", "RepositoryNotEmptyException"),
        "{thing} is not empty",
        "look what is in it, then by name: orderops down{env} --confirm {thing}",
    ),
    KnownError(
        "address-of-another",
        codes("AuthFailure"),
        "the address is still held by a gateway, or belongs to another account",
        "whose is it? aws ec2 describe-addresses --region {region} --output text; then the same command",
        words=r"permission to access the specified resource",
    ),
    KnownError(
        "certificate-elsewhere",
        codes("ValidationError", "InvalidCertificate", "CertificateNotFound", "InvalidConfigurationRequest"),
        "the certificate is in {there}, and the balancer is in {here}",
        "ask for one there: aws acm request-certificate --region {here} --validation-method DNS --domain-name DOMAIN; "
        "then name it in {file}",
        words=rf"(?=.*(same region|not valid)).*?{CERTIFICATE}",
        fill=_elsewhere,
    ),
    KnownError(
        "certificate-not-ready",
        codes("CertificateNotFound", "UnsupportedCertificate"),
        "the certificate is not there, or not validated yet",
        "what it waits for: aws acm describe-certificate --region {there} --certificate-arn {certificate} "
        "--query 'Certificate.[Status,DomainValidationOptions[].ResourceRecord]'",
        words=rf"^(?!.*(same region|not valid)).*?{CERTIFICATE}",
        fill=_certificate,
    ),
    KnownError(
        "key-away",
        KEY_AWAY,
        "the KMS key {key} cannot be used: disabled, deleted, of another account, or not allowed to these credentials",
        "how it is: aws kms describe-key --key-id {key} --region {region} --query 'KeyMetadata.[KeyState,Arn]'",
        words=r"^(?:.*?(?P<key>arn:[\w-]+:kms:[^\s'\",\]]+))?",
        fill=_key,
    ),
    KnownError(
        "linked-role-missing",
        codes("InvalidParameterException", "InvalidParameterValue", "ServiceLinkedRoleFailure", "ValidationException"),
        "the role that AWS's own service works under is missing in this account",
        "make it: aws iam create-service-linked-role --aws-service-name {principal}; then the same command",
        words=r"service.linked role",
        fill=lambda said, found: {"principal": LINKED_ROLES.get(said.service, f"{said.service}.amazonaws.com")},
    ),
    KnownError(
        "image-platform",
        STOPPED | codes("ImagePlatformMismatch"),
        "the image is made for another processor than the tasks have",
        "build it for theirs: orderops service deploy{env}, without --image; or docker build --platform linux/amd64 …",
        words=PLATFORM,
    ),
    KnownError(
        "image-missing",
        STOPPED | codes("ImageNotFoundException", "RepositoryNotFoundException"),
        "the image is not in its repository: never pushed, or cleared away",
        "build and push it: orderops service build{env}; then: orderops service deploy{env}",
        words=rf"^(?!.*({PLATFORM})).*({NO_IMAGE})",
    ),
    KnownError(
        "image-not-allowed",
        STOPPED,
        "the task may not read the image's repository",
        "give its execution role AmazonECSTaskExecutionRolePolicy: orderops infra apply{env}",
        words=rf"^(?!.*({PLATFORM}|{NO_IMAGE})).*(403|forbidden|denied|not authorized|no basic auth)",
    ),
    KnownError(
        "registry-unreachable",
        STOPPED | codes("ResourceInitializationError"),
        "the task cannot reach the registry, or the secrets it is started with",
        "its subnets need a NAT gateway or endpoints: orderops infra plan{env}",
        words=rf"^(?!.*({PLATFORM}|{NO_IMAGE}|403|forbidden)).*(time|deadline|unable to pull|connect|reset)",
    ),
)
