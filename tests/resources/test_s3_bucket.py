"""The access-log bucket."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import from_pairs
from orderops.engine.resource import Observed, Outputs
from orderops.engine.step import Action
from orderops.errors import AwsError, Unfinished
from orderops.resources.s3_bucket import S3Bucket
from support.contract import Up, keeps_its_promises
from support.faults import Fault, PowerCut
from support.tag_keys import ADDRESS, ENVIRONMENT

NAME = "orderops-dev-access-logs-123456789012"
LOGS = S3Bucket(NAME, 30)
OK = SimpleNamespace(status_code=200)


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(LOGS, aws, up, log_days=90)


@pytest.mark.parametrize(
    ("region", "principal"),
    [
        ("ap-southeast-2", {"AWS": "arn:aws:iam::783225319266:root"}),
        ("ap-southeast-4", {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}),
        # Elastic Load Balancing user guide, "Access logs": bucket policy, regions available before August 2022.
        ("af-south-1", {"AWS": "arn:aws:iam::098369216593:root"}),
        ("ap-east-1", {"AWS": "arn:aws:iam::754344448648:root"}),
        ("ap-northeast-3", {"AWS": "arn:aws:iam::383597477331:root"}),
        ("ap-southeast-3", {"AWS": "arn:aws:iam::589379963580:root"}),
        ("eu-south-1", {"AWS": "arn:aws:iam::635631232127:root"}),
        ("me-south-1", {"AWS": "arn:aws:iam::076674570225:root"}),
        ("il-central-1", {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}),
    ],
)
def test_the_balancers_of_the_region_may_write_below_the_account(
    aws: Aws, up: Up, region: str, principal: dict[str, str]
) -> None:
    up(LOGS)
    up(S3Bucket(NAME, 30, region=region))

    policy = json.loads(aws.s3.get_bucket_policy(Bucket=NAME)["Policy"])
    allowed = next(statement for statement in policy["Statement"] if statement["Effect"] == "Allow")

    assert allowed["Principal"] == principal
    assert allowed["Action"] == "s3:PutObject"
    assert allowed["Resource"] == f"arn:aws:s3:::{NAME}/AWSLogs/123456789012/*"


def test_the_bucket_is_private_and_requires_encrypted_transport(aws: Aws, up: Up) -> None:
    up(LOGS)

    blocked = aws.s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"]
    rules = aws.s3.get_bucket_encryption(Bucket=NAME)["ServerSideEncryptionConfiguration"]["Rules"]
    policy = json.loads(aws.s3.get_bucket_policy(Bucket=NAME)["Policy"])

    assert set(blocked.values()) == {True}
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert {"Bool": {"aws:SecureTransport": "false"}} in [
        statement.get("Condition") for statement in policy["Statement"]
    ]


def test_a_policy_in_another_order_is_the_same_policy(aws: Aws, up: Up) -> None:
    up(LOGS)
    policy = json.loads(aws.s3.get_bucket_policy(Bucket=NAME)["Policy"])
    policy["Statement"].reverse()
    for statement in policy["Statement"]:
        statement["Action"] = [statement["Action"]]
    aws.s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps(policy))

    assert up(LOGS)[LOGS.address].action is Action.NO_OP


def test_drift_is_repaired(aws: Aws, up: Up) -> None:
    up(LOGS)
    aws.s3.delete_public_access_block(Bucket=NAME)
    aws.s3.delete_bucket_policy(Bucket=NAME)
    aws.s3.delete_bucket_lifecycle(Bucket=NAME)

    assert set(up(LOGS)[LOGS.address].changes) == {"PublicAccessBlock", "Policy", "LifecycleRules"}
    assert up(LOGS)[LOGS.address].action is Action.NO_OP


@pytest.mark.parametrize("call", range(0, 16, 3))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(aws: Aws, up: Up, power_cut: Fault, call: int) -> None:
    with power_cut("s3", after=call), pytest.raises(PowerCut):
        up(LOGS)

    up(LOGS)

    assert up(LOGS)[LOGS.address].action is Action.NO_OP
    assert len(aws.s3.list_buckets()["Buckets"]) == 1


def test_the_resource_is_read_again_after_a_lost_answer(aws: Aws, up: Up, lose_answer: Fault) -> None:
    with lose_answer("s3", "CreateBucket"):
        assert up(LOGS)[LOGS.address].action is Action.CREATE

    assert up(LOGS)[LOGS.address].action is Action.NO_OP


def test_the_tags_are_in_the_create_call(up: Up, session: boto3.Session) -> None:
    sent: list[dict[str, Any]] = []
    session.events.register("provide-client-params.s3.CreateBucket", lambda params, **_: sent.append(params))

    up(LOGS)

    tags = from_pairs(sent[0]["CreateBucketConfiguration"]["Tags"])
    assert (tags[ENVIRONMENT], tags[ADDRESS]) == ("dev", LOGS.address)


def test_a_non_empty_bucket_with_our_name_and_no_tags_is_not_owned(aws: Aws, up: Up) -> None:
    _make(aws, NAME)
    aws.s3.put_object(Bucket=NAME, Key="theirs", Body=b"")

    with pytest.raises(Unfinished, match="has no owner"):
        up(LOGS)

    assert up(LOGS, adopt=[LOGS.address])[LOGS.address].action is Action.ADOPT
    assert [content["Key"] for content in aws.s3.list_objects_v2(Bucket=NAME)["Contents"]] == ["theirs"]


def test_an_empty_bucket_with_our_name_and_no_tags_is_owned(aws: Aws, up: Up) -> None:
    _make(aws, NAME)

    assert up(LOGS, dry_run=True)[LOGS.address].action is Action.UPDATE


def test_a_bucket_of_another_owner_is_not_changed(aws: Aws, up: Up) -> None:
    _make(aws, NAME)
    tags = [{"Key": ENVIRONMENT, "Value": "prod"}]
    aws.s3.put_bucket_tagging(Bucket=NAME, Tagging={"TagSet": tags})

    with pytest.raises(Unfinished, match="belongs to prod"):
        up(LOGS)


def test_a_bucket_with_another_name_and_no_owner_is_not_owned(aws: Aws, up: Up) -> None:
    bucket = S3Bucket("orderops-dev-eu-logs-123456789012", 30)
    _make(aws, bucket.name)

    with pytest.raises(Unfinished, match="has no owner"):
        up(bucket)


def test_tags_set_by_hand_are_kept(aws: Aws, up: Up) -> None:
    _make(aws, NAME)
    ours = [{"Key": ENVIRONMENT, "Value": "dev"}, {"Key": "team", "Value": "shop"}]
    aws.s3.put_bucket_tagging(Bucket=NAME, Tagging={"TagSet": ours})

    up(LOGS)

    assert {"Key": "team", "Value": "shop"} in aws.s3.get_bucket_tagging(Bucket=NAME)["TagSet"]


def test_logs_in_the_bucket_are_reported_and_the_test_file_is_not(aws: Aws) -> None:
    _make(aws, NAME)
    observed = Observed(NAME)
    aws.s3.put_object(Bucket=NAME, Key="AWSLogs/123456789012/ELBAccessLogTestFile", Body=b"")
    assert S3Bucket.holds(aws, observed) == ""

    aws.s3.put_object(Bucket=NAME, Key="AWSLogs/123456789012/one.gz", Body=b"")

    assert S3Bucket.holds(aws, observed) == "1 log file"


def test_objects_that_no_load_balancer_wrote_are_listed_by_key(aws: Aws) -> None:
    _make(aws, NAME)
    for key in ("AWSLogs/123456789012/1.gz", "AWSLogs/123456789012/2.gz", "a.txt", "backup/1", "backup/2", "z/3"):
        aws.s3.put_object(Bucket=NAME, Key=key, Body=b"")

    held = S3Bucket.holds(aws, Observed(NAME))

    assert held == "2 log files and 4 objects that no balancer wrote: a.txt, backup/1, backup/2…"


def test_deletion_includes_versions_and_unfinished_uploads(aws: Aws) -> None:
    _make(aws, NAME)
    aws.s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        aws.s3.put_object(Bucket=NAME, Key="log", Body=body)
    aws.s3.delete_object(Bucket=NAME, Key="log")
    aws.s3.create_multipart_upload(Bucket=NAME, Key="part")

    S3Bucket.delete(aws, Observed(NAME))

    with pytest.raises(AwsError, match="404"):
        aws.s3.head_bucket(Bucket=NAME)


def test_an_object_that_cannot_be_deleted_is_named(aws: Aws, session: boto3.Session) -> None:
    locked = {"Key": "log", "Code": "AccessDenied", "Message": "Object is locked"}
    session.events.register("before-call.s3.DeleteObjects", lambda **_: (OK, {"Errors": [locked]}))
    _make(aws, NAME)
    aws.s3.put_object(Bucket=NAME, Key="log", Body=b"")

    with pytest.raises(AwsError, match="log: Object is locked"):
        S3Bucket.delete(aws, Observed(NAME))


def _make(aws: Aws, name: str) -> None:
    aws.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})


@pytest.mark.parametrize(
    ("region", "writer"),
    [
        ("us-gov-west-1", "arn:aws-us-gov:iam::048591011584:root"),
        ("us-gov-east-1", "arn:aws-us-gov:iam::190560391635:root"),
        ("cn-north-1", "arn:aws-cn:iam::638102146993:root"),
        ("cn-northwest-1", "arn:aws-cn:iam::037604701340:root"),
    ],
)
def test_the_log_writer_of_another_partition_is_named_with_it(region: str, writer: str) -> None:
    policy = S3Bucket(NAME, 30, region=region).desired(Outputs())["Policy"]

    allowed = next(statement for statement in policy["Statement"] if statement["Effect"] == "Allow")
    assert allowed["Principal"] == {"AWS": writer}
    assert allowed["Resource"] == f"{writer.split(':iam')[0]}:s3:::{NAME}/AWSLogs/123456789012/*"
