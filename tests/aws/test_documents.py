"""JSON documents in the account's bucket."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket, DocumentChanged
from orderops.errors import OrderopsError
from support.fake_answers import ACCOUNT, AnsweredSession
from support.faults import Fault

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

    with pytest.raises(OrderopsError, match=r"lease\.json is not a JSON document$") as caught:
        Bucket(answers.aws).read(KEY)

    assert "AWS_ENDPOINT_URL" in caught.value.hint
