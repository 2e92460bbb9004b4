"""Clients that know the recorded operations only: everything else works as with AWS's whole models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session
from botocore.utils import parse_timestamp

import orderops
from orderops.aws.client import Aws, every
from orderops.aws.sessions import AwsSessions, time_of
from orderops.errors import AwsError
from orderops.local.strict.delays import Delays
from support.strict_account import strict_account

REGION = "ap-southeast-2"
RECORDED = json.loads((Path(orderops.__file__).parent / "iam" / "recorded_calls.json").read_text())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of an emulated account."""
    with strict_account(Delays(role=0, listing=0)) as account:
        yield str(account("sqs").meta.endpoint_url)


@pytest.fixture
def aws(session: Any, url: str) -> Iterator[Aws]:
    """AWS as commands open it, in an empty account over HTTP."""
    # Else moto would answer in place of the server.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.core.models.botocore_stubber.enabled", False)
        yield Aws(REGION, endpoint_url=url)


@pytest.fixture
def sessions() -> AwsSessions:
    return AwsSessions(Session, REGION)


def operations_of(client: Any) -> set[str]:
    return set(client.meta.method_to_api_mapping)


def test_a_client_has_the_recorded_operations_only(sessions: AwsSessions) -> None:
    recorded = {xform_name(call.partition(":")[2]) for call in RECORDED if call.startswith("sqs:")}

    assert operations_of(sessions.client("sqs", "create_queue")) == recorded
    assert operations_of(sessions.client("sqs", "purge_queue")) > recorded | {"purge_queue"}


def test_an_operation_that_is_not_recorded_works_beside_recorded_ones(aws: Aws) -> None:
    assert "sqs:ListDeadLetterSourceQueues" not in RECORDED
    dead = aws.sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    orders = aws.sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive})["QueueUrl"]

    assert aws.sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [orders]
    assert aws.sqs.get_queue_url(QueueName="orders")["QueueUrl"] == orders


def test_listings_have_all_their_pages(aws: Aws) -> None:
    assert "ecr:DescribeRepositories" in RECORDED
    assert "iam:ListPolicies" not in RECORDED
    allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    names = {f"orders-{number}" for number in range(3)}
    for name in names:
        aws.ecr.create_repository(repositoryName=name)
        aws.iam.create_policy(PolicyName=name, PolicyDocument=document)
    two = {"PageSize": 2}

    repositories = every(aws.ecr.describe_repositories, "repositories", PaginationConfig=two)
    policies = every(aws.iam.list_policies, "Policies", Scope="Local", PaginationConfig=two)

    assert {repository["repositoryName"] for repository in repositories} == names
    assert {policy["PolicyName"] for policy in policies} == names


def test_a_service_of_which_no_call_is_recorded_works(aws: Aws) -> None:
    assert not [call for call in RECORDED if call.startswith("kms:")]

    key = aws.kms.create_key(Description="orders")["KeyMetadata"]["KeyId"]

    assert [found["KeyId"] for found in every(aws.kms.list_keys, "Keys")] == [key]


def test_waiters_wait(sessions: AwsSessions, aws: Aws, url: str) -> None:
    for operation in ("describe_repositories", "get_waiter"):
        client = sessions.client("s3", operation, endpoint_url=url)
        aws.s3.create_bucket(
            Bucket=f"orders-{operation.replace('_', '-')}", CreateBucketConfiguration={"LocationConstraint": REGION}
        )

        client.get_waiter("bucket_exists").wait(Bucket=f"orders-{operation.replace('_', '-')}")


def test_an_operation_that_aws_does_not_have_is_a_bug(aws: Aws) -> None:
    with pytest.raises(AttributeError):
        aws.sqs.paint_queue()


def test_errors_keep_their_codes(aws: Aws) -> None:
    with pytest.raises(AwsError, match=r"QueueDoesNotExist|NonExistentQueue") as refused:
        aws.sqs.get_queue_url(QueueName="gone")

    assert refused.value.hint or refused.value.message


def test_exceptions_have_the_classes_of_their_service(sessions: AwsSessions, aws: Aws, url: str) -> None:
    client = sessions.client("ecr", "describe_repositories", endpoint_url=url)

    with pytest.raises(client.exceptions.RepositoryNotFoundException):
        client.describe_repositories(repositoryNames=["gone"])


def test_every_operation_is_signed_for_a_link(aws: Aws, url: str) -> None:
    for operation in ("get_object", "get_object_torrent"):
        link = aws.presigned(operation, seconds=60, Bucket="orders", Key="a")

        assert urlsplit(link).netloc == urlsplit(url).netloc
        assert "X-Amz-Signature=" in link


def test_a_role_is_assumed_though_no_command_calls_that_operation(
    aws: Aws, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sts:AssumeRole" not in RECORDED
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    (tmp_path / "config").write_text(
        "[profile person]\naws_access_key_id = testing\naws_secret_access_key = testing\n"
        f"[profile deployer]\nrole_arn = {role}\nsource_profile = person\nrole_session_name = from-here\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "deployer")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    assert Aws(REGION).caller.endswith(":assumed-role/deployer/from-here")


@pytest.mark.parametrize("place", ["AWS_DATA_PATH", "HOME"])
def test_models_of_the_operator_replace_those_of_botocore(tmp_path: Path, place: str) -> None:
    whole = Loader().load_service_model("sqs", "service-2")
    model = {**whole, "operations": {"PaintQueue": {**whole["operations"]["PurgeQueue"], "name": "PaintQueue"}}}
    folder = tmp_path / ".aws" / "models" / "sqs" / "2012-11-05"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    code = """
from botocore.session import Session
from botocore.utils import parse_timestamp
from orderops.aws.sessions import AwsSessions, time_of
print(*AwsSessions(Session, "ap-southeast-2").client("sqs", "").meta.method_to_api_mapping)
"""
    value = tmp_path / ".aws" / "models" if place == "AWS_DATA_PATH" else tmp_path
    # In a process of its own, as models are loaded once in a process of tests.
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, place: str(value)}, capture_output=True)

    assert ended.stdout.decode().split() == ["paint_queue"]


def test_without_a_cache_directory_all_operations_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = """
from botocore.session import Session
from botocore.utils import parse_timestamp
from orderops.aws.sessions import AwsSessions, time_of
sessions = AwsSessions(Session, "ap-southeast-2")
print(*[hasattr(sessions.client("sqs", name), name) for name in ("create_queue", "purge_queue")])
"""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "file")}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True)

    assert (ended.stdout.decode(), ended.stderr.decode()) == ("True True\n", "")


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-30T07:37:46Z",
        "2026-11-30T07:37:46.5Z",
        "2026-11-30T07:37:46.123456789Z",
        "2026-11-30T07:37:46.000+00:00",
        "2026-11-30T18:37:46+1100",
        "2026-11-30T07:37:46",
        "2026-11-30",
        "Mon, 30 Nov 2026 07:37:46 GMT",
        "20261130T073746Z",
        "1780000000",
        1780000000,
        1780000000.25,
        -1,
    ],
)
def test_a_time_is_what_botocore_reads(written: Any) -> None:
    read, expected = time_of(written), parse_timestamp(written)

    assert read == expected
    assert read.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize("written", ["2026-11-30Tomorrow", "soon", "", None])
def test_a_time_that_is_none_is_an_error_as_in_botocore(written: Any) -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        time_of(written)


def test_times_of_answers_are_read_in_the_short_way(aws: Aws) -> None:
    assert aws.iam.create_user(UserName="orderops-times")["User"]["CreateDate"].tzinfo is UTC
