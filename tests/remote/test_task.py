"""How a task beside the service begins and ends badly, and what the operator is told then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.cli import migrate
from orderops.cli.options import LONGEST_WAIT
from orderops.errors import Interrupted, OrderopsError
from orderops.local.emulator.protocol import ApiError, Response, json_answer
from orderops.operations.remote import words_of
from orderops.remote import follow as errand_follow
from orderops.remote import job
from orderops.remote.follow import JobEnd, follow, interrupted
from orderops.remote.framing import Mark, OutputLine, pieces
from orderops.remote.request import DATABASE, DatabaseEndpoint, JobRequest, job_request_of
from orderops.remote.task import RemoteTask, TaskPlacement, placement_of, running, start
from support.faulty_proxy import Proxy, SeenRequest

ARN = "arn:aws:ecs:ap-southeast-2:123456789012:task/cluster/1a2b3c"
PLACE = TaskPlacement(
    "dev", "orders", "cluster", "orders:7", {}, "app", "orders@sha256:1", "/orderops/dev/orders", "task"
)
BEGIN = next(pieces(Mark.BEGIN, '{"form": 1}'))


class Ecs:
    """ECS and its log, as a test tells them: one answer of each a look, the last for ever."""

    def __init__(self, *looks: dict[str, Any] | None, lines: tuple[list[str], ...] = ([],)) -> None:
        self.looks = list(looks)
        self.lines = list(lines)
        self.stopped = 0
        self.read = 0

    def __call__(self, request: SeenRequest) -> Response | ApiError | None:
        match request.action:
            case "DescribeTasks":
                look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
                failures = [] if look else [{"arn": ARN, "reason": "MISSING"}]
                return json_answer({"tasks": [look] if look else [], "failures": failures})
            case "GetLogEvents":
                return self._events()
            case "StopTask":
                self.stopped += 1
                return json_answer({"task": {"taskArn": ARN}})
        return None

    def _events(self) -> Response | ApiError:
        if not self.lines:
            return ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        new = self.lines.pop(0) if len(self.lines) > 1 or self.lines[0] else []
        if not self.lines:
            self.lines.append([])
        self.read += len(new)
        return json_answer({"events": [{"message": line} for line in new], "nextForwardToken": f"f/{self.read}"})


class Shown:
    """What the operator sees."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.waits: list[str] = []

    def heard(self, said: OutputLine) -> None:
        self.said.append(said.text)

    def waiting(self, _: str, what: str) -> None:
        self.waits.append(what)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EVERY": 0.01, "LAG": 0.1}.items():
        monkeypatch.setattr(errand_follow, name, value)


@pytest.fixture
def aws(proxy: Proxy) -> Iterator[Aws]:
    yield Aws("ap-southeast-2")
    proxy.forget()


def at(status: str, exit_code: int | None = None, **more: Any) -> dict[str, Any]:
    container = {"name": "app", **({} if exit_code is None else {"exitCode": exit_code})}
    return {"taskArn": ARN, "lastStatus": status, "containers": [container], **more}


def end(code: int, **more: Any) -> str:
    return next(pieces(Mark.END, json.dumps({"exit_code": code, **more})))


def followed(aws: Aws, proxy: Proxy, ecs: Ecs) -> tuple[JobEnd, Shown]:
    proxy.rule = ecs
    shown = Shown()
    return follow(RemoteTask(aws, PLACE, ARN), on_output=shown.heard, on_wait=shown.waiting), shown


def refusal(ended: JobEnd) -> str:
    assert ended.error
    return f"{ended.error.message}\n{ended.error.hint}"


def test_a_command_ends_by_its_word_and_not_when_its_task_is_gone(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("PENDING"), at("RUNNING"), lines=([], [BEGIN, "out| one", "err| two", end(0)]))

    ended, shown = followed(aws, proxy, ecs)

    assert ended == JobEnd(0)
    assert shown.said == ["one", "two"]
    assert shown.waits == ["pulls its image"]


def test_a_refusal_inside_is_the_refusal_outside(aws: Aws, proxy: Proxy) -> None:
    lines = [BEGIN, end(2, message="two sessions are in the way", hint="say it beforehand: --yes")]

    ended, shown = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines,)))

    assert ended.error
    assert ended.error.exit_code == ended.exit_code == 2
    assert refusal(ended) == "two sessions are in the way\nsay it beforehand: --yes"
    assert shown.said == []


def test_words_that_an_older_image_does_not_know_are_told_with_both_versions(aws: Aws, proxy: Proxy) -> None:
    lines = [next(pieces(Mark.BEGIN, '{"version": "0.0.1"}')), "err| No such option: --new", end(2)]

    ended, shown = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines,)))

    assert shown.said == ["No such option: --new"]
    assert "the image has orderops 0.0.1" in refusal(ended)


def test_a_last_word_may_be_of_any_length(aws: Aws, proxy: Proxy) -> None:
    long = "x" * 50_000
    lines = [BEGIN, *pieces(Mark.END, json.dumps({"exit_code": 1, "message": long}))]

    ended, _ = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines[:3], [], lines[3:])))

    assert refusal(ended).strip() == long


def test_a_task_that_is_not_seen_yet_is_waited_for(aws: Aws, proxy: Proxy) -> None:
    ended, _ = followed(aws, proxy, Ecs(None, None, at("RUNNING"), lines=([], [], [BEGIN, end(0)])))

    assert ended == JobEnd(0)


def test_a_task_that_is_never_seen_is_a_refusal(aws: Aws, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand_follow, "UNSEEN", 0.1)

    with pytest.raises(OrderopsError, match="task 1a2b3c was started and is not seen"):
        followed(aws, proxy, Ecs(None))


def test_lines_that_come_after_the_end_are_shown(aws: Aws, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand_follow, "LAG", 60)
    ecs = Ecs(at("STOPPED", 0), lines=([BEGIN], [], [], ["out| late", end(0)]))

    ended, shown = followed(aws, proxy, ecs)

    assert (ended, shown.said) == (JobEnd(0), ["late"])


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("CannotPullContainerError: pull image manifest has been retried", "is orders@sha256:1 still there"),
        ("ResourceInitializationError: unable to pull secrets", "does the private subnet reach ECR"),
        ("ResourceInitializationError: the specified log group does not exist", "make /orderops/dev/orders again"),
        ('CannotStartContainerError: exec: "python": executable file not found', "must hold orderops"),
        ("Timeout waiting for network interface provisioning to complete.", "the same command again"),
    ],
    ids=["no image", "no way to secrets", "no log group", "no orderops", "no network interface"],
)
def test_a_task_that_never_ran_is_told_with_the_reason(aws: Aws, proxy: Proxy, reason: str, hint: str) -> None:
    stopped = at("STOPPED", stopCode="TaskFailedToStart", stoppedReason=reason)

    ended, _ = followed(aws, proxy, Ecs(at("PENDING"), stopped))

    assert ended.exit_code == 1
    assert refusal(ended).startswith(f"the task did not start: {reason}\n")
    assert hint in refusal(ended)


def test_an_image_that_knows_no_errands_is_told(aws: Aws, proxy: Proxy) -> None:
    lines = ["/opt/service/bin/python: No module named orderops.cli.remote_entrypoint"]

    ended, shown = followed(aws, proxy, Ecs(at("STOPPED", 1), lines=(lines,)))

    assert shown.said == lines
    assert refusal(ended).startswith("the image of orders does not know errands")
    assert "orderops up --env dev" in refusal(ended)


def test_an_image_that_does_something_else_with_success_has_not_done_it(aws: Aws, proxy: Proxy) -> None:
    ended, _ = followed(aws, proxy, Ecs(at("STOPPED", 0)))

    assert ended.exit_code == 1


def test_a_command_that_is_killed_is_told_with_its_reason(aws: Aws, proxy: Proxy) -> None:
    killed = at("STOPPED", 137)
    killed["containers"][0]["reason"] = "OutOfMemoryError: Container killed due to memory usage"

    ended, _ = followed(aws, proxy, Ecs(at("RUNNING"), killed, lines=([BEGIN],)))

    assert ended.exit_code == 137
    assert "cut off with exit code 137: OutOfMemoryError" in refusal(ended)


def test_an_interrupted_command_says_what_is_left(aws: Aws, proxy: Proxy) -> None:
    proxy.rule = ecs = Ecs(at("RUNNING"), lines=([BEGIN], [end(130, left=["V003"])]))
    shown = Shown()

    ended = interrupted(RemoteTask(aws, PLACE, ARN), "migrate apply", on_output=shown.heard, on_wait=shown.waiting)

    assert ecs.stopped == 1
    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["V003"]


def test_a_command_that_is_done_before_it_is_interrupted_is_done(aws: Aws, proxy: Proxy) -> None:
    proxy.rule = Ecs(at("RUNNING"), lines=([BEGIN, end(0)],))
    shown = Shown()

    assert interrupted(
        RemoteTask(aws, PLACE, ARN), "migrate apply", on_output=shown.heard, on_wait=shown.waiting
    ) == JobEnd(0)


def test_an_interrupted_command_that_never_began_is_left(aws: Aws, proxy: Proxy) -> None:
    proxy.rule = Ecs(at("STOPPED", stoppedReason="interrupted by the operator"))
    shown = Shown()

    ended = interrupted(RemoteTask(aws, PLACE, ARN), "migrate apply", on_output=shown.heard, on_wait=shown.waiting)

    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["migrate apply"]


def test_an_interrupted_command_that_does_not_end_is_left(
    aws: Aws, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errand_follow, "STOPS", 0.1)
    proxy.rule = Ecs(at("RUNNING"), lines=([BEGIN],))
    shown = Shown()

    ended = interrupted(RemoteTask(aws, PLACE, ARN), "migrate apply", on_output=shown.heard, on_wait=shown.waiting)

    assert ended.exit_code == 130
    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["migrate apply"]


def test_a_command_that_says_nothing_is_waited_for_in_words(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("RUNNING"), lines=([BEGIN], [], [], [], [end(0)]))

    _, shown = followed(aws, proxy, ecs)

    assert "has said nothing for 0 s" in shown.waits


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("Capacity is unavailable at this time. Please try again later", "Fargate has no room just now"),
        ("RESOURCE:ENI", "free addresses"),
        ("MISSING", "orderops status --env dev"),
    ],
    ids=["no capacity", "no network interface", "something else"],
)
def test_a_task_that_is_not_started_is_told_with_the_reason(aws: Aws, proxy: Proxy, reason: str, hint: str) -> None:
    failures = {"tasks": [], "failures": [{"reason": reason}]}
    proxy.rule = lambda request: json_answer(failures) if request.action == "RunTask" else None

    with pytest.raises(OrderopsError) as refused:
        start(aws, PLACE, token="1", url="https://example.com")

    assert reason in refused.value.message
    assert hint in refused.value.hint


def test_an_address_that_no_task_can_be_told_is_refused_before_anything_starts(aws: Aws, proxy: Proxy) -> None:
    with pytest.raises(OrderopsError, match="more than a task can be told"):
        start(aws, PLACE, token="1", url="x" * 9000)

    assert proxy.changing == []


def test_a_service_that_was_never_released_is_a_refusal(aws: Aws) -> None:
    with pytest.raises(OrderopsError, match="orders was never released") as refused:
        placement_of(aws, environment="dev", cluster="cluster", service="orders")

    assert "orderops up --env dev" in refused.value.hint


def test_no_errand_runs_where_none_was_started(aws: Aws, proxy: Proxy) -> None:
    empty: dict[str, list[str]] = {"taskArns": []}
    proxy.rule = lambda request: json_answer(empty) if request.action == "ListTasks" else None

    assert list(running(aws, PLACE)) == []


@pytest.mark.parametrize(("alone", "hint"), [(True, "goes on with it"), (False, "begins anew")])
def test_credentials_that_end_before_the_command_end_nothing(aws: Aws, proxy: Proxy, alone: bool, hint: str) -> None:
    proxy.rule = lambda request: ApiError("ExpiredTokenException", "expired") if request.service == "ecs" else None
    shown = Shown()
    sent = replace(ERRAND, exclusive=alone)

    with pytest.raises(OrderopsError, match="goes on in task 1a2b3c, which is not heard any more") as refused:
        job._followed(Bucket(aws), RemoteTask(aws, PLACE, ARN), sent, shown.heard, shown.waiting)

    assert f"the same command again {hint}" in refused.value.hint
    assert proxy.changing == []


ERRAND = JobRequest(
    "1", ("migrate", "apply", "--yes"), "dev", "ap-southeast-2", {DATABASE: DatabaseEndpoint("orderops/dev/database")}
)


def test_an_errand_is_read_back_as_it_was_written() -> None:
    assert job_request_of(json.loads(json.dumps(ERRAND.to_dict()))) == ERRAND


def test_an_errand_of_another_form_is_refused_with_both_versions() -> None:
    with pytest.raises(OrderopsError, match=r"form 9, by orderops 7\.0\.0") as refused:
        job_request_of({**ERRAND.to_dict(), "form": 9, "version": "7.0.0"})

    assert "orderops up --env dev" in refused.value.hint


def test_an_errand_is_said_as_the_operator_said_it() -> None:
    assert ERRAND.command == "migrate apply"


def test_words_that_are_settled_outside_are_not_sent() -> None:
    outside = {"env": "dev", "environments": Path("e"), "sql": Path("s"), "dsn": None, "yes": True, "confirm": ["dev"]}
    given = {
        **outside,
        "to": 3,
        "accept_data_loss": ['a "b"; $c', "orders"],
        "budget": timedelta(minutes=2),
        "terminate_blockers": True,
        "dry_run": False,
        "wait": LONGEST_WAIT,
    }

    words = words_of(migrate.undo, given)

    accepted = ["--accept-data-loss", 'a "b"; $c', "--accept-data-loss", "orders"]
    assert words == ["--to", "3", *accepted, "--budget", "120s", "--terminate-blockers"]


@pytest.mark.parametrize("verb", ["info", "apply", "undo", "baseline", "repair", "history"])
def test_every_command_that_opens_a_database_can_be_sent(verb: str) -> None:
    assert hasattr(getattr(migrate, verb), "__wrapped__")
