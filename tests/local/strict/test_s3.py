from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.emulated_network import until
from support.strict_clients import Client, Refused

HOME = {"LocationConstraint": "ap-southeast-2"}
EVERYTHING = ["arn:aws:s3:::our-bucket", "arn:aws:s3:::our-bucket/*"]
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": EVERYTHING,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def put_policy(client: Client, *statements: Mapping[str, Any]) -> None:
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    client("s3").put_bucket_policy(Bucket="our-bucket", Policy=json.dumps(policy))


def bucket(client: Client) -> None:
    client("s3").create_bucket(Bucket="our-bucket", CreateBucketConfiguration=HOME)


@pytest.mark.parametrize(
    "name", ["Capitals", "under_score", "two..dots", "-first", "10.0.0.1", "xn--name", "a-s3alias"]
)
def test_an_invalid_bucket_name_is_refused(moto: Client, strict: Client, refused: Refused, name: str) -> None:
    moto("s3").create_bucket(Bucket=name, CreateBucketConfiguration=HOME)

    with refused("InvalidBucketName"):
        strict("s3").create_bucket(Bucket=name, CreateBucketConfiguration=HOME)


def test_a_bucket_keeps_the_tags_of_its_creation(moto: Client, strict: Client, refused: Refused) -> None:
    tags = [{"Key": "orderops:environment", "Value": "dev"}]
    configuration = {**HOME, "Tags": tags}
    moto("s3").create_bucket(Bucket="plain-bucket", CreateBucketConfiguration=configuration)
    with refused("NoSuchTagSet"):
        moto("s3").get_bucket_tagging(Bucket="plain-bucket")

    strict("s3").create_bucket(Bucket="our-bucket", CreateBucketConfiguration=configuration)

    assert strict("s3").get_bucket_tagging(Bucket="our-bucket")["TagSet"] == tags


def test_a_bucket_of_another_account_is_refused_if_the_owner_is_expected(strict: Client, refused: Refused) -> None:
    bucket(strict)
    s3 = strict("s3")

    s3.put_object(Bucket="our-bucket", Key="a", Body=b"1", ExpectedBucketOwner="123456789012")
    with refused("AccessDenied"):
        s3.put_object(Bucket="our-bucket", Key="a", Body=b"2", ExpectedBucketOwner="210987654321")
    with refused("AccessDenied"):
        s3.get_object(Bucket="our-bucket", Key="a", ExpectedBucketOwner="210987654321")
    assert s3.get_object(Bucket="our-bucket", Key="a")["Body"].read() == b"1"


def test_a_malformed_policy_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    bucket(moto)

    with refused("MalformedPolicy"):
        strict("s3").put_bucket_policy(Bucket="our-bucket", Policy="{")
    strict("s3").put_object(Bucket="our-bucket", Key="a")

    moto("s3").put_bucket_policy(Bucket="our-bucket", Policy="{")
    with pytest.raises(ClientError):
        moto("s3").get_object(Bucket="our-bucket", Key="a")


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "allow"},
        {"Principal": None},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:role/nobody"}},
        {"Principal": {"AWS": "somebody"}},
        {"Action": None},
        {"Action": "sqs:SendMessage"},
        {"Resource": None},
        {"Resource": "arn:aws:s3:::another-bucket/*"},
    ],
    ids=str,
)
def test_an_invalid_statement_is_refused(
    moto: Client, strict: Client, refused: Refused, change: Mapping[str, Any]
) -> None:
    bucket(moto)
    changed_statement = {**TLS_ONLY, **change}
    statement = {key: value for key, value in changed_statement.items() if value is not None}
    put_policy(moto, statement)

    with refused("MalformedPolicy"):
        put_policy(strict, statement)


def test_a_conditional_denial_forbids_nothing_else(moto: Client, strict: Client, refused: Refused) -> None:
    bucket(moto)
    put_policy(strict, TLS_ONLY, {**TLS_ONLY, "Effect": "Allow", "Principal": {"AWS": "123456789012"}})
    put = {"Bucket": "our-bucket", "Key": "a"}
    with pytest.raises(ClientError, match="403"):
        moto("s3").put_object(**put)

    strict("s3").put_object(**put)
    assert strict("s3").get_object(**put)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(json.loads(strict("s3").get_bucket_policy(Bucket="our-bucket")["Policy"])["Statement"]) == 2

    put_policy(strict, {key: value for key, value in TLS_ONLY.items() if key != "Condition"})
    with pytest.raises(ClientError, match="403"):
        strict("s3").put_object(**put)


def test_a_policy_can_name_a_role_once_it_is_known(strict: Client, refused: Refused) -> None:
    bucket(strict)
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = strict("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    statement = {**TLS_ONLY, "Principal": {"AWS": role}}

    def put() -> bool:
        try:
            put_policy(strict, statement)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "MalformedPolicy"
            return False
        return True

    until(put)
    with refused("MalformedPolicy"):
        put_policy(strict, {**TLS_ONLY, "Principal": {"AWS": f"{role}-2"}})
