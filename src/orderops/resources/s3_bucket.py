"""S3 bucket for the load balancer's access logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.aws.partition import partition_of
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.errors import AwsError, Meaning
from orderops.frozen import replace

# Load balancers write logs as an AWS account, one for each region; regions opened since August 2022 have a service
# principal instead (Elastic Load Balancing user guide, "Access logs"; the isolated regions from CDK's region-info).
DELIVERY_ACCOUNTS = {
    "af-south-1": "098369216593",
    "ap-east-1": "754344448648",
    "ap-northeast-1": "582318560864",
    "ap-northeast-2": "600734575887",
    "ap-northeast-3": "383597477331",
    "ap-south-1": "718504428378",
    "ap-southeast-1": "114774131450",
    "ap-southeast-2": "783225319266",
    "ap-southeast-3": "589379963580",
    "ca-central-1": "985666609251",
    "cn-north-1": "638102146993",
    "cn-northwest-1": "037604701340",
    "eu-central-1": "054676820928",
    "eu-north-1": "897822967062",
    "eu-south-1": "635631232127",
    "eu-west-1": "156460612806",
    "eu-west-2": "652711504416",
    "eu-west-3": "009996457667",
    "me-south-1": "076674570225",
    "sa-east-1": "507241528517",
    "us-east-1": "127311923021",
    "us-east-2": "033677994240",
    "us-gov-east-1": "190560391635",
    "us-gov-west-1": "048591011584",
    "us-iso-east-1": "770363063475",
    "us-iso-west-1": "121062877647",
    "us-isob-east-1": "740734521339",
    "us-west-1": "027434742980",
    "us-west-2": "797873946194",
}
DELIVERY_SERVICE = "logdelivery.elasticloadbalancing.amazonaws.com"
TEST_FILE = "ELBAccessLogTestFile"
OUR_NAMES = re.compile(r"(access-)?logs-\d{12}")
BLOCK_ALL = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
PAGES_A_STEP = 20
PAGE = 1000
LOGS = "AWSLogs/"
SAMPLE = 3


class S3Bucket(Resource):
    """Keeps logs for `log_days`; the name is `orderops-<environment>-access-logs-<account>`, globally unique."""

    log_days: int
    purpose: Literal["access-logs"] = "access-logs"
    region: str = "ap-southeast-2"

    kind: ClassVar[str] = "s3-bucket"
    name_rule: ClassVar[NameRule | None] = NameRule(
        63, r"(?=.{3})[a-z0-9]([.-]?[a-z0-9])*", "lower-case letters, digits and single inner . and -"
    )
    arn_form: ClassVar[str] = "arn:{partition}:s3:::{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"NoSuchBucket", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "MalformedPolicy: Invalid principal"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.s3.list_buckets, "Buckets", Prefix=owner.prefix, MaxBuckets=1000):
            if raw["Name"].startswith(owner.prefix):
                tags = {"Environment": owner.environment} if _named_by_us(raw["Name"], owner) else {}
                yield Observed(raw["Name"], tags, name=raw["Name"], arn=f"arn:{aws.partition}:s3:::{raw['Name']}")

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        return replace(observed, properties={key: read(aws, observed.id) for key, read in READERS.items()})

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        tags = _tags(aws, observed.id)
        if tags or "Environment" not in observed.properties or _has_anything(aws, observed.id):
            return tags
        # An empty, untagged bucket with our name in our account: created by orderops, and the tags were lost, as in
        # emulators.
        return {ENVIRONMENT: observed.properties["Environment"]}

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        # PutBucketTagging replaces all tags.
        whole = {**_tags(aws, observed.id), **(observed.tags or {}), **tags}
        aws.s3.put_bucket_tagging(Bucket=observed.id, Tagging={"TagSet": to_pairs(whole)})

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "PublicAccessBlock": BLOCK_ALL,
            "ObjectOwnership": "BucketOwnerEnforced",
            "SSEAlgorithm": "AES256",
            "LifecycleRules": [_rule(self.log_days)],
            "Policy": _canonical(self._policy()),
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        # Required outside us-east-1, and an error in us-east-1.
        home: dict[str, Any] = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        aws.s3.create_bucket(
            Bucket=self.name,
            ObjectOwnership=desired["ObjectOwnership"],
            CreateBucketConfiguration={**home, "Tags": owner.pairs},
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        for key, value in changed.items():
            WRITERS[key](aws, observed.id, value)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        for _ in range(PAGES_A_STEP):
            if not _emptier_by_a_page(aws, observed.id):
                break
        _abort_uploads(aws, observed.id)
        aws.s3.delete_bucket(Bucket=observed.id)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        logs = _told_count(*_objects(aws, observed.id, LOGS), "log file")
        others, more = _not_logs(aws, observed.id)
        sample = ", ".join(others[:SAMPLE]) + ("…" if len(others) > SAMPLE else "")
        strange = _told_count(others, more, "object")
        return " and ".join(filter(None, [logs, strange and f"{strange} that no balancer wrote: {sample}"]))

    def _policy(self) -> dict[str, Any]:
        account = self.name.rpartition("-")[2]
        bucket = f"arn:{partition_of(self.region)}:s3:::{self.name}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "BalancerLogs",
                    "Effect": "Allow",
                    "Principal": _delivery(self.region),
                    "Action": "s3:PutObject",
                    "Resource": f"{bucket}/AWSLogs/{account}/*",
                },
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [bucket, f"{bucket}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
            ],
        }


def region_of(aws: Aws, bucket: str) -> str:
    """The region of a bucket."""
    # S3 answers nothing for its oldest region, and the old name of the second one.
    place = str(aws.s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") or "")
    return {"": "us-east-1", "EU": "eu-west-1"}.get(place, place)


def _delivery(region: str) -> dict[str, str]:
    account = DELIVERY_ACCOUNTS.get(region)
    return {"AWS": f"arn:{partition_of(region)}:iam::{account}:root"} if account else {"Service": DELIVERY_SERVICE}


def _named_by_us(name: str, owner: Ownership) -> bool:
    """Whether the name belongs to this environment: `dev` must not own buckets of `dev-eu`."""
    return OUR_NAMES.fullmatch(name.removeprefix(f"orderops-{owner.environment}-")) is not None


def _tags(aws: Aws, bucket: str) -> dict[str, str]:
    response = if_found(aws.s3.get_bucket_tagging, "NoSuchTagSet", Bucket=bucket)
    return from_pairs(response["TagSet"]) if response else {}


def _public_access(aws: Aws, bucket: str) -> Any:
    response = if_found(aws.s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration", Bucket=bucket)
    return response and response["PublicAccessBlockConfiguration"]


def _ownership(aws: Aws, bucket: str) -> Any:
    response = if_found(aws.s3.get_bucket_ownership_controls, "OwnershipControlsNotFoundError", Bucket=bucket)
    return response and response["OwnershipControls"]["Rules"][0]["ObjectOwnership"]


def _encryption(aws: Aws, bucket: str) -> Any:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    response = if_found(aws.s3.get_bucket_encryption, missing, Bucket=bucket)
    rules = response["ServerSideEncryptionConfiguration"]["Rules"] if response else []
    return rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] if rules else None


def _lifecycle(aws: Aws, bucket: str) -> Any:
    response = if_found(aws.s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration", Bucket=bucket)
    return response and [{**rule, "Filter": rule.get("Filter") or {"Prefix": ""}} for rule in response["Rules"]]


def _policy_of(aws: Aws, bucket: str) -> Any:
    response = if_found(aws.s3.get_bucket_policy, "NoSuchBucketPolicy", Bucket=bucket)
    return response and _canonical(json.loads(response["Policy"]))


READERS = {
    "PublicAccessBlock": _public_access,
    "ObjectOwnership": _ownership,
    "SSEAlgorithm": _encryption,
    "LifecycleRules": _lifecycle,
    "Policy": _policy_of,
}
WRITERS = {
    "PublicAccessBlock": lambda aws, bucket, value: aws.s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=value
    ),
    "ObjectOwnership": lambda aws, bucket, value: aws.s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": value}]}
    ),
    "SSEAlgorithm": lambda aws, bucket, value: aws.s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value}}]},
    ),
    "LifecycleRules": lambda aws, bucket, value: aws.s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": value}
    ),
    "Policy": lambda aws, bucket, value: aws.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(value)),
}


def _rule(days: int) -> dict[str, Any]:
    return {
        "ID": "expire",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }


def _canonical(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with sorted statements, and with single values instead of lists of one: AWS returns either."""
    statements = [{key: _single(value) for key, value in statement.items()} for statement in policy["Statement"]]
    return {**policy, "Statement": sorted(statements, key=lambda statement: json.dumps(statement, sort_keys=True))}


def _single(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _single(part) for key, part in value.items()}
    if isinstance(value, list):
        return value[0] if len(value) == 1 else sorted(value)
    return value


def _has_anything(aws: Aws, bucket: str) -> bool:
    # A bucket can be deleted only without versions and delete markers.
    page = aws.s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(page.get("Versions") or page.get("DeleteMarkers"))


def _not_logs(aws: Aws, bucket: str) -> tuple[list[str], bool]:
    """Keys of objects that are no logs, and whether there are more. Logs are not read, since there may be many."""
    top = aws.s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=PAGE)
    found, more = [content["Key"] for content in top.get("Contents", ())], bool(top.get("IsTruncated"))
    for prefix in top.get("CommonPrefixes", ()):
        if prefix["Prefix"] != LOGS and not more:
            below, more = _objects(aws, bucket, prefix["Prefix"])
            found += below
    return found, more


def _objects(aws: Aws, bucket: str, prefix: str) -> tuple[list[str], bool]:
    page = aws.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=PAGE)
    keys = [content["Key"] for content in page.get("Contents", ()) if not content["Key"].endswith(TEST_FILE)]
    return keys, bool(page.get("IsTruncated"))


def _told_count(keys: list[str], more: bool, word: str) -> str:
    plural = "s" if len(keys) > 1 or more else ""
    return f"{'more than ' if more else ''}{len(keys)} {word}{plural}" if keys else ""


def _emptier_by_a_page(aws: Aws, bucket: str) -> bool:
    page = aws.s3.list_object_versions(Bucket=bucket, MaxKeys=1000)
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    if not found:
        return False
    objects = [{"Key": raw["Key"], "VersionId": raw["VersionId"]} for raw in found]
    answer = aws.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    # AWS responds with status 200 and lists what failed.
    for kept in answer.get("Errors", ()):
        raise AwsError("s3.delete_objects", kept["Code"], f"{kept['Key']}: {kept['Message']}", Meaning.NO)
    return True


def _abort_uploads(aws: Aws, bucket: str) -> None:
    for upload in every(aws.s3.list_multipart_uploads, "Uploads", Bucket=bucket):
        aws.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
