"""The calls of a run name it, so that the history and CloudTrail can be joined."""

from __future__ import annotations

import re
from typing import Any

import boto3

from orderops import __version__
from orderops.aws.client import Aws


def test_calls_name_the_version_and_within_a_run_the_run(session: boto3.Session, aws: Aws) -> None:
    agents: list[str] = []

    def note(request: Any, **_: Any) -> None:
        agents.append(request.headers["User-Agent"].decode())

    client = aws._clients.get("sqs", "list_queues", 5)
    client.meta.events.register("before-send", note)
    try:
        aws.sqs.list_queues()
        with aws.marked("0a1b2c3d"):
            aws.guarded(lambda: None).sqs.list_queues()
        aws.sqs.list_queues()
    finally:
        client.meta.events.unregister("before-send", note)

    assert [re.sub(r".* (?=orderops/)", "", agent) for agent in agents] == [
        f"orderops/{__version__}",
        f"orderops/{__version__} run/0a1b2c3d",
        f"orderops/{__version__}",
    ]
