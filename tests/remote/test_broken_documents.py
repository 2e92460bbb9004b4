"""Broken requests, results and last lines of jobs: each is an error that names its place and what to type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orderops.errors import OrderopsError
from orderops.remote.framing import Mark, OutputLine
from orderops.remote.job import read_job
from orderops.remote.request import JobRequest, job_request_of
from support.broken_documents import NOT_JSON

REQUEST = JobRequest(("migrate", "apply"), id="1", environment="dev", region="ap-southeast-2").to_dict()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"argv": "migrate apply"}, "has a wrong value of argv"),
        ({"argv": [1]}, "has a wrong value of argv.0"),
        ({"databases": []}, "has a wrong value of databases"),
        ({"databases": {"database": {"port": "many"}}}, "has a wrong value of databases.database.port"),
        ({"sql": {"V1.sql": 1}}, "has a wrong value of sql.V1.sql"),
        ({"exclusive": "yes"}, "has a wrong value of exclusive"),
    ],
)
def test_a_request_of_another_form_is_an_error(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(OrderopsError, match=fault):
        job_request_of(REQUEST | changed)


def test_a_request_without_a_command_is_an_error() -> None:
    with pytest.raises(OrderopsError, match="the request of a job has no key argv"):
        job_request_of({key: value for key, value in REQUEST.items() if key != "argv"})


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_task_that_cannot_read_its_request_ends_with_an_error(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "request.json").write_bytes(body)

    with pytest.raises(OrderopsError, match=r"the request of the job |this job has format None"):
        read_job((tmp_path / "request.json").as_uri())


@pytest.mark.parametrize("text", ["", "killed", "[1]", "[" * 50_000])
def test_a_last_line_that_is_no_document_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match=r"is empty|is not JSON|no object|nests deeper"):
        _ = OutputLine(Mark.END, text).document
