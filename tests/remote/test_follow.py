"""Following a job to its end: its output, its exit code, and the errors that the operator sees."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.errors import Interrupted, OrderopsError
from orderops.frozen import replace
from orderops.local.emulator.protocol import ApiError, Response, json_answer
from orderops.remote import job
from orderops.remote.follow import FollowTiming, JobEnd, JobObserver, follow, interrupt
from orderops.remote.framing import Mark, OutputLine, pieces
from orderops.remote.request import JobRequest
from orderops.remote.task import RemoteTask, TaskPlacement
from support.faulty_proxy import Proxy, SeenRequest

ARN = "arn:aws:ecs:ap-southeast-2:123456789012:task/cluster/1a2b3c"
PLACEMENT = TaskPlacement(
    "dev", "orders", "cluster", "orders:7", {}, "app", "orders@sha256:1", "/orderops/dev/orders", "task"
)
BEGIN = next(pieces(Mark.BEGIN, '{"form": 1}'))
REQUEST = JobRequest(("migrate", "apply", "--yes"), id="1", environment="dev", region="ap-southeast-2")
QUICK = FollowTiming(interval=0.01, log_lag=0.1)


class Ecs:
    """ECS and its log: one response for each call, the last one repeated."""

    def __init__(self, *states: dict[str, Any] | None, lines: tuple[list[str], ...] = ([],)) -> None:
        self.states = list(states)
        self.lines = list(lines)
        self.stopped = 0
        self.read = 0

    def __call__(self, request: SeenRequest) -> Response | ApiError | None:
        match request.action:
            case "DescribeTasks":
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                failures = [] if state else [{"arn": ARN, "reason": "MISSING"}]
                return json_answer({"tasks": [state] if state else [], "failures": failures})
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


class Screen:
    """The output and the waits that the operator sees."""

    def __init__(self) -> None:
        self.output: list[str] = []
        self.waits: list[str] = []

    @property
    def observer(self) -> JobObserver:
        return JobObserver(self._show, lambda _, waits_for: self.waits.append(waits_for))

    def _show(self, line: OutputLine) -> None:
        self.output.append(line.text)


@pytest.fixture
def aws(proxy: Proxy) -> Iterator[Aws]:
    yield Aws("ap-southeast-2")
    proxy.forget()


def at(status: str, exit_code: int | None = None, **more: Any) -> dict[str, Any]:
    container = {"name": "app", **({} if exit_code is None else {"exitCode": exit_code})}
    return {"taskArn": ARN, "lastStatus": status, "containers": [container], **more}


def end(code: int, **more: Any) -> str:
    return next(pieces(Mark.END, json.dumps({"exit_code": code, **more})))


def followed(aws: Aws, proxy: Proxy, ecs: Ecs, timing: FollowTiming = QUICK) -> tuple[JobEnd, Screen]:
    proxy.rule = ecs
    screen = Screen()
    return follow(RemoteTask(aws, PLACEMENT, ARN), screen.observer, timing), screen


def interrupted(aws: Aws, proxy: Proxy, ecs: Ecs, timing: FollowTiming = QUICK) -> JobEnd:
    proxy.rule = ecs
    return interrupt(RemoteTask(aws, PLACEMENT, ARN), "migrate apply", Screen().observer, timing)


def error_of(job_end: JobEnd) -> str:
    assert job_end.error
    return f"{job_end.error.message}\n{job_end.error.hint}"


def test_a_job_ends_when_its_command_reports_it_not_when_its_task_stops(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("PENDING"), at("RUNNING"), lines=([], [BEGIN, "out| one", "err| two", end(0)]))

    ended, screen = followed(aws, proxy, ecs)

    assert ended == JobEnd(0)
    assert screen.output == ["one", "two"]
    assert screen.waits == ["pulls its image"]


def test_an_error_inside_the_task_is_the_error_outside(aws: Aws, proxy: Proxy) -> None:
    lines = [BEGIN, end(2, message="two sessions block the lock", hint="pass --yes")]

    ended, screen = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines,)))

    assert ended.error
    assert ended.error.exit_code == ended.exit_code == 2
    assert error_of(ended) == "two sessions block the lock\npass --yes"
    assert screen.output == []


def test_an_option_that_an_older_image_does_not_know_is_an_error_with_both_versions(aws: Aws, proxy: Proxy) -> None:
    lines = [next(pieces(Mark.BEGIN, '{"version": "0.0.1"}')), "err| No such option: --new", end(2)]

    ended, screen = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines,)))

    assert screen.output == ["No such option: --new"]
    assert "the image has orderops 0.0.1" in error_of(ended)


def test_an_error_message_may_have_any_length(aws: Aws, proxy: Proxy) -> None:
    long = "x" * 50_000
    lines = [BEGIN, *pieces(Mark.END, json.dumps({"exit_code": 1, "message": long}))]

    ended, _ = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines[:3], [], lines[3:])))

    assert error_of(ended).strip() == long


def test_a_task_that_ecs_does_not_list_yet_is_waited_for(aws: Aws, proxy: Proxy) -> None:
    ended, _ = followed(aws, proxy, Ecs(None, None, at("RUNNING"), lines=([], [], [BEGIN, end(0)])))

    assert ended == JobEnd(0)


def test_a_task_that_ecs_never_lists_is_an_error(aws: Aws, proxy: Proxy) -> None:
    with pytest.raises(OrderopsError, match="task 1a2b3c was started, but ECS does not list it"):
        followed(aws, proxy, Ecs(None), replace(QUICK, unseen=0.1))


def test_lines_that_arrive_after_the_task_has_stopped_are_shown(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("STOPPED", 0), lines=([BEGIN], [], [], ["out| late", end(0)]))

    ended, screen = followed(aws, proxy, ecs, replace(QUICK, log_lag=60))

    assert (ended, screen.output) == (JobEnd(0), ["late"])


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("CannotPullContainerError: pull image manifest has been retried", "check that orders@sha256:1 exists"),
        (
            "ResourceInitializationError: unable to pull secrets",
            "the private subnet and the execution role have access to ECR",
        ),
        ("ResourceInitializationError: the specified log group does not exist", "create /orderops/dev/orders again"),
        ('CannotStartContainerError: exec: "python": executable file not found', "must contain orderops"),
        ("Timeout waiting for network interface provisioning to complete.", "re-run this command to retry"),
    ],
    ids=["no image", "no access to secrets", "no log group", "no orderops", "no network interface"],
)
def test_a_task_that_never_ran_is_an_error_with_its_reason(aws: Aws, proxy: Proxy, reason: str, hint: str) -> None:
    stopped = at("STOPPED", stopCode="TaskFailedToStart", stoppedReason=reason)

    ended, _ = followed(aws, proxy, Ecs(at("PENDING"), stopped))

    assert ended.exit_code == 1
    assert error_of(ended).startswith(f"the task did not start: {reason}\n")
    assert hint in error_of(ended)


def test_an_image_that_cannot_run_jobs_is_an_error(aws: Aws, proxy: Proxy) -> None:
    lines = ["/opt/service/bin/python: No module named orderops.cli.remote_entrypoint"]

    ended, screen = followed(aws, proxy, Ecs(at("STOPPED", 1), lines=(lines,)))

    assert screen.output == lines
    assert error_of(ended).startswith("the image of orders cannot run jobs")
    assert "orderops up --env dev" in error_of(ended)


def test_a_process_that_succeeds_without_reporting_its_end_has_failed(aws: Aws, proxy: Proxy) -> None:
    ended, _ = followed(aws, proxy, Ecs(at("STOPPED", 0)))

    assert ended.exit_code == 1


def test_a_killed_command_is_an_error_with_its_reason(aws: Aws, proxy: Proxy) -> None:
    killed = at("STOPPED", 137)
    killed["containers"][0]["reason"] = "OutOfMemoryError: Container killed due to memory usage"

    ended, _ = followed(aws, proxy, Ecs(at("RUNNING"), killed, lines=([BEGIN],)))

    assert ended.exit_code == 137
    assert "killed with exit code 137: OutOfMemoryError" in error_of(ended)


def test_an_interrupted_command_reports_its_unfinished_work(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("RUNNING"), lines=([BEGIN], [end(130, left=["V003"])]))

    ended = interrupted(aws, proxy, ecs)

    assert ecs.stopped == 1
    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["V003"]


def test_a_command_that_ends_before_it_is_interrupted_has_ended(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("RUNNING"), lines=([BEGIN, end(0)],))

    assert interrupted(aws, proxy, ecs) == JobEnd(0)


def test_an_interrupted_command_that_never_started_is_unfinished(aws: Aws, proxy: Proxy) -> None:
    ended = interrupted(aws, proxy, Ecs(at("STOPPED", stoppedReason="interrupted by the operator")))

    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["migrate apply"]


def test_an_interrupted_command_that_does_not_end_is_unfinished(aws: Aws, proxy: Proxy) -> None:
    ended = interrupted(aws, proxy, Ecs(at("RUNNING"), lines=([BEGIN],)), replace(QUICK, stop=0.1))

    assert ended.exit_code == 130
    assert isinstance(ended.error, Interrupted)
    assert ended.error.left == ["migrate apply"]


def test_a_wait_for_a_silent_command_is_shown_with_its_duration(aws: Aws, proxy: Proxy) -> None:
    ecs = Ecs(at("RUNNING"), lines=([BEGIN], [], [], [], [end(0)]))

    _, screen = followed(aws, proxy, ecs)

    assert "no output for 0 s" in screen.waits


@pytest.mark.parametrize(("exclusive", "hint"), [(True, "to attach to it"), (False, "to start it again")])
def test_a_job_continues_when_the_credentials_expire(aws: Aws, proxy: Proxy, exclusive: bool, hint: str) -> None:
    proxy.rule = lambda request: ApiError("ExpiredTokenException", "expired") if request.service == "ecs" else None
    request = dataclasses.replace(REQUEST, exclusive=exclusive)

    with pytest.raises(OrderopsError, match="continues in task 1a2b3c, which cannot be followed any more") as refused:
        job._followed(Bucket(aws), RemoteTask(aws, PLACEMENT, ARN), request, Screen().observer)

    assert f"re-run this command {hint}" in refused.value.hint
    assert proxy.changing == []


@pytest.mark.parametrize(
    "text",
    ["", "killed", "[1]", '{"exit_code": "1"}', "{}", "[" * 3000],
    ids=["", "word", "list", "type", "{}", "deep"],
)
def test_a_last_line_that_says_nothing_is_an_error_with_its_task(aws: Aws, proxy: Proxy, text: str) -> None:
    lines = ["beg| not JSON either", "out| one", f"end| {text}"]

    ended, screen = followed(aws, proxy, Ecs(at("RUNNING"), lines=(lines,)))

    assert ended.exit_code == 1
    assert error_of(ended).startswith("the last line of task 1a2b3c ")
    assert screen.output == ["one"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"notes": "none"}', b'{"notes": [1]}', b'{"result": 3}'])
def test_a_broken_result_of_a_job_is_an_error_with_its_place_and_is_kept(aws: Aws, proxy: Proxy, body: bytes) -> None:
    bucket = Bucket(aws)
    bucket.put("dev/jobs/other.json", {})
    aws.s3.put_object(Bucket=bucket.name, Key="dev/jobs/1.result.json", Body=body)
    proxy.rule = Ecs(at("RUNNING"), lines=([BEGIN, end(0)],))

    with pytest.raises(OrderopsError) as refused:
        job._followed(bucket, RemoteTask(aws, PLACEMENT, ARN), REQUEST, Screen().observer)

    place = f"s3://{bucket.name}/dev/jobs/1.result.json"
    assert refused.value.lines[0] == "orderops migrate apply ended"
    assert refused.value.lines[1].startswith(place)
    assert f"aws s3 cp {place} -" in refused.value.hint
    assert "dev/jobs/1.result.json" in bucket.keys("dev/jobs/")
