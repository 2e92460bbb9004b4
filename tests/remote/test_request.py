"""The request of a job as a document."""

from __future__ import annotations

import json

import pytest

from orderops.errors import OrderopsError
from orderops.remote.request import DatabaseEndpoint, JobRequest, job_request_of

DATABASE = "database"

REQUEST = JobRequest(
    ("migrate", "apply", "--yes"),
    databases={DATABASE: DatabaseEndpoint("orderops/dev/database")},
    id="1",
    environment="dev",
    region="ap-southeast-2",
)


def test_a_request_is_read_back_as_it_was_written() -> None:
    assert job_request_of(json.loads(json.dumps(REQUEST.to_dict()))) == REQUEST


def test_a_request_in_another_format_is_an_error_with_both_versions() -> None:
    with pytest.raises(OrderopsError, match=r"format 9, written by orderops 7\.0\.0") as refused:
        job_request_of({**REQUEST.to_dict(), "form": 9, "version": "7.0.0"})

    assert "orderops up --env dev" in refused.value.hint


def test_the_command_of_a_request_leaves_out_the_consent() -> None:
    assert REQUEST.command == "migrate apply"
