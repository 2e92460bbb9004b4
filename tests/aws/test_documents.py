from __future__ import annotations

from datetime import timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket, Overtaken
from support.faults import Fault

KEY = "dev/lease.json"


@pytest.fixture
def bucket(aws: Aws) -> Bucket:
    return Bucket(aws)


def test_nothing_is_there_before_the_first_write_which_makes_the_bucket(bucket: Bucket, aws: Aws) -> None:
    assert bucket.read(KEY) is None
    assert bucket.keys("dev/") == []

    bucket.write(KEY, {"who": "ana"}, over=None)

    read = bucket.read(KEY)
    assert read and read.value == {"who": "ana"}
    assert timedelta() <= read.age < timedelta(minutes=1)
    assert [each["Name"] for each in aws.s3.list_buckets()["Buckets"]] == ["orderops-123456789012-ap-southeast-2"]
    assert bucket.keys("dev/") == [KEY]
    assert bucket.keys("prod/") == []


def test_only_one_writes_what_is_not_there_yet(bucket: Bucket) -> None:
    bucket.write(KEY, {"who": "ana"}, over=None)

    with pytest.raises(Overtaken):
        bucket.write(KEY, {"who": "bo"}, over=None)


def test_a_document_is_replaced_only_by_who_has_seen_it_as_it_is(bucket: Bucket) -> None:
    first = bucket.write(KEY, {"who": "ana"}, over=None)
    second = bucket.write(KEY, {"who": "bo"}, over=first)

    with pytest.raises(Overtaken):
        bucket.write(KEY, {"who": "cy"}, over=first)
    bucket.write(KEY, {"who": "cy"}, over=second)


def test_a_write_whose_answer_was_lost_is_written(bucket: Bucket, lose_answer: Fault) -> None:
    first = bucket.write(KEY, {"beat": 1}, over=None)

    with lose_answer("s3", "PutObject"):
        second = bucket.write(KEY, {"beat": 2}, over=first)

    bucket.write(KEY, {"beat": 3}, over=second)
