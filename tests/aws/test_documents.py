"""JSON documents in the account's bucket."""

from __future__ import annotations

from datetime import timedelta

import pytest
from moto.backends import get_backend
from moto.s3.models import get_canned_acl

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket, DocumentChanged
from orderops.errors import AwsError, OrderopsError
from support.fake_answers import ACCOUNT, AnsweredSession
from support.faults import Fault
from support.faulty_proxy import Proxy
from support.recorded_history import aws_at

KEY = "dev/lease.json"


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def test_the_first_write_creates_the_bucket(bucket: Bucket, aws: Aws) -> None:
    assert bucket.read(KEY) is None
    assert bucket.keys("dev/") == []

    bucket.write(KEY, {"who": "ana"}, over=None)

    document = bucket.read(KEY)
    assert document and document.value == {"who": "ana"}
    assert timedelta() <= document.age < timedelta(minutes=1)
    names = [listed["Name"] for listed in aws.s3.list_buckets()["Buckets"]]
    assert names == ["orderops-123456789012-ap-southeast-2"]
    assert bucket.keys("dev/") == [KEY]
    assert bucket.keys("prod/") == []


def test_a_document_is_created_once(bucket: Bucket) -> None:
    bucket.write(KEY, {"who": "ana"}, over=None)

    with pytest.raises(DocumentChanged):
        bucket.write(KEY, {"who": "bo"}, over=None)


def test_only_the_current_version_of_a_document_is_replaced(bucket: Bucket) -> None:
    first = bucket.write(KEY, {"who": "ana"}, over=None)
    second = bucket.write(KEY, {"who": "bo"}, over=first)

    with pytest.raises(DocumentChanged):
        bucket.write(KEY, {"who": "cy"}, over=first)
    bucket.write(KEY, {"who": "cy"}, over=second)


def test_a_write_whose_response_was_lost_succeeds(bucket: Bucket, lose_answer: Fault) -> None:
    first = bucket.write(KEY, {"beat": 1}, over=None)

    with lose_answer("s3", "PutObject"):
        second = bucket.write(KEY, {"beat": 2}, over=first)

    bucket.write(KEY, {"beat": 3}, over=second)


@pytest.mark.parametrize("body", ["<html>Log in first</html>", '{"half": ', ""], ids=["page", "half", "nothing"])
def test_a_page_in_place_of_a_document_is_an_error_with_a_hint(body: str) -> None:
    answers = AnsweredSession((200, ACCOUNT), (200, body))

    with pytest.raises(OrderopsError, match=r"lease\.json was not read from S3: the answer has no ETag$") as caught:
        Bucket(answers.aws).read(KEY)

    assert "AWS_ENDPOINT_URL" in caught.value.hint


def test_a_bucket_that_another_account_made_under_our_name_is_neither_read_nor_written(proxy: Proxy) -> None:
    # Bucket names are taken worldwide, and a stranger's bucket may be open to everybody.
    name = "orderops-123456789012-ap-southeast-2"
    strangers = get_backend("s3")["210987654321"]["aws"].create_bucket(name, "ap-southeast-2")
    strangers.set_acl(get_canned_acl("public-read-write"))
    bucket = Bucket(aws_at(proxy.url))

    for use in (
        lambda: bucket.write(KEY, {"who": "ana"}, over=None),
        lambda: bucket.put(KEY, {"who": "ana"}),
        lambda: bucket.read(KEY),
        lambda: bucket.keys("dev/"),
        lambda: bucket.remove(KEY),
    ):
        with pytest.raises(AwsError, match="AccessDenied"):
            use()

    assert list(strangers.keys) == []
