"""What a run leaves behind: its record, the release of its lease, and what other machines read of both."""

from __future__ import annotations

import getpass
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orderops import __version__
from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.engine.step import Action, Step
from orderops.errors import Interrupted, OrderopsError
from orderops.runs.change_guard import ChangeGuard
from orderops.runs.history import Record, RunOutcome
from orderops.runs.lease import FoundLease, LeaseHolder, LeaseState, Timing
from orderops.runs.run import Run, Runs
from support.faults import let_s3_age

# No beat but those that a test makes by hand.
UNHURRIED = Timing(beat=timedelta(minutes=5))
VPC = "ec2-vpc/orderops-dev-vpc"


@pytest.fixture
def runs(aws: Aws) -> Runs:
    return Runs(aws, "dev", ChangeGuard(), UNHURRIED)


@contextmanager
def begun(runs: Runs, command: str = "up --env dev") -> Iterator[Run]:
    with runs.begun(command, runs.peek(), wait=timedelta(), waiting=lambda *_: None) as run:
        yield run


def lines(runs: Runs, last: int = 20) -> list[dict[str, Any]]:
    return list(runs.history(last=last))


def test_a_record_names_operator_machine_command_and_version(aws: Aws, runs: Runs) -> None:
    with begun(runs) as run:
        [line] = lines(runs)
    [done] = lines(runs)

    assert line == {
        "run": run.record.run["run"],
        "environment": "dev",
        "command": "up --env dev",
        "who": aws.caller,
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "version": __version__,
        "started": line["started"],
        "outcome": "running",
        "steps": [],
    }
    assert done == {**line, "outcome": "done", "ended": done["ended"]}
    assert re.fullmatch(r"[0-9a-f]{8}", line["run"])
    for moment in (line["started"], done["ended"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
        assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(minutes=1)
    assert Bucket(aws).keys("dev/runs/") == [f"dev/runs/{line['started'].replace(':', '')}-{line['run']}.json"]


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (Interrupted([VPC]), "interrupted", f"interrupted; not done: {VPC}"),
        (OrderopsError("a quota is used up"), "failed", "a quota is used up"),
        (KeyboardInterrupt(), "interrupted", None),
        (RuntimeError("a bug"), "failed", None),
    ],
)
def test_an_error_ends_the_run_with_its_outcome_and_frees_the_lease(
    runs: Runs, error: BaseException, outcome: str, message: str | None
) -> None:
    with pytest.raises(type(error)), begun(runs):
        raise error

    [line] = lines(runs)
    assert (line["outcome"], line.get("error")) == (outcome, message)
    assert runs.current_holder() == ""


def test_the_record_has_the_changes_of_an_update_and_no_more_than_the_address_of_others(runs: Runs) -> None:
    with begun(runs) as run:
        run.done(Step("a/new", Action.CREATE, {"Size": (None, 1)}))
        run.done(Step("a/other", Action.UPDATE, {"Size": (1, 2)}))
        run.done(Step("a/tags", Action.UPDATE))
        run.done(Step("a/gone", Action.DELETE))
        run.done(Step("a/same", Action.NO_OP))
        run.done(Step("a/kept", Action.KEEP))

    steps = lines(runs)[0]["steps"]
    assert all(abs(datetime.fromisoformat(step.pop("at")) - datetime.now(UTC)) < timedelta(minutes=1) for step in steps)
    assert steps == [
        {"address": "a/new", "action": "create"},
        {"address": "a/other", "action": "update", "changes": {"Size": {"live": 1, "desired": 2}}},
        {"address": "a/tags", "action": "update"},
        {"address": "a/gone", "action": "delete"},
    ]


def test_a_flush_writes_new_steps_once_and_none_after_the_end(aws: Aws) -> None:
    bucket = Bucket(aws)
    record = Record(bucket, "dev", {"run": "1", "started": "2026-11-22T12:03:00.000Z"})

    def stored() -> tuple[str, int, str]:
        document = bucket.read(record.key)
        assert document
        return document.value["outcome"], len(document.value["steps"]), document.version

    record.begin()
    record.note(address="a")
    assert stored()[:2] == ("running", 0)
    record.flush()
    assert stored()[:2] == ("running", 1)
    bucket.put(record.key, {**(bucket.read(record.key) or pytest.fail()).value, "touched": True})
    touched = stored()
    record.flush()
    assert stored() == touched
    record.note(address="b")
    record.flush()
    assert stored()[:2] == ("running", 2)
    record.end(RunOutcome.DONE)
    record.note(address="c")
    record.flush()
    assert stored()[:2] == ("done", 2)


class Offline(Bucket):
    """A bucket that cannot be written to while `offline`."""

    offline = False

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        if self.offline:
            raise OrderopsError("S3 cannot be reached")
        super().put(key, value)


def test_a_failed_write_stops_no_run_and_is_made_up_for_by_the_next(aws: Aws) -> None:
    bucket = Offline(aws)
    record = Record(bucket, "dev", {"run": "1", "started": "2026-11-22T12:03:00.000Z"})
    record.begin()
    record.note(address="a")
    bucket.offline = True
    record.flush()
    bucket.offline = False

    record.flush()

    assert [step["address"] for step in (bucket.read(record.key) or pytest.fail()).value["steps"]] == ["a"]
    bucket.offline = True
    record.end(RunOutcome.DONE)


def test_a_run_whose_record_exists_does_not_begin(aws: Aws) -> None:
    record = Record(Bucket(aws), "dev", {"run": "1", "started": "2026-11-22T12:03:00.000Z"})
    record.begin()

    with pytest.raises(OrderopsError, match=r"another client wrote dev/runs/2026-11-22T120300\.000Z-1\.json meanwhile"):
        Record(Bucket(aws), "dev", {**record.run, "who": "ana"}).begin()


def test_steps_are_written_with_the_heartbeats(aws: Aws) -> None:
    runs = Runs(aws, "dev", ChangeGuard(), Timing(beat=timedelta(seconds=0.02)))
    with begun(runs) as run:
        run.record.note(address=VPC, action="create")
        deadline = time.monotonic() + 30
        while not lines(runs)[0]["steps"]:
            assert time.monotonic() < deadline


def test_the_record_keeps_the_last_heartbeat_of_the_run_that_was_overtaken(runs: Runs) -> None:
    with begun(runs) as first, suppress(OrderopsError):
        let_s3_age(60)
        last_seen = (runs.peek() or pytest.fail()).written
        with begun(runs):
            pass

    overtaking = lines(runs)[0]
    assert overtaking["overtaken"] == {
        "run": first.record.run["run"],
        "last_seen": f"{last_seen.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def test_what_a_run_created_recently_is_unconfirmed_for_the_next(runs: Runs) -> None:
    with begun(runs) as run:
        now = time.monotonic()
        run.recent_writes.created |= {"b/new": now, "a/new": now, "a/old": now - 31}
    released = (runs.peek() or pytest.fail()).value

    with begun(runs) as following:
        pass

    assert (released["released"], released["made"]) == (True, ["a/new", "b/new"])
    assert following.recent_writes.unconfirmed.keys() == {"a/new", "b/new"}
    assert all(25 < seconds <= 30 for seconds in following.recent_writes.unconfirmed.values())


def test_a_run_is_undisturbed_if_no_other_held_the_lease_since_it_was_read(runs: Runs) -> None:
    known = runs.peek()
    with begun(runs) as first:
        pass
    with runs.begun("up", known, wait=timedelta(), waiting=lambda *_: None) as second:
        pass

    assert (first.undisturbed, second.undisturbed) == (True, False)


def test_the_holders_of_both_leases_of_an_environment_are_under_way(aws: Aws, runs: Runs) -> None:
    copies = Runs(aws, "dev", ChangeGuard(), UNHURRIED, part="copies")
    assert (runs.under_way().holders, runs.current_holder()) == ((), "")
    with begun(runs), begun(copies, "restore --env dev"):
        assert [holder.command for holder in runs.under_way().holders] == ["up --env dev", "restore --env dev"]
        assert {type(holder) for holder in runs.under_way().holders} == {LeaseHolder}
        assert copies.current_holder() == f"{aws.caller} on {socket.gethostname()}, `restore --env dev`"
        assert {line["outcome"] for line in lines(runs)} == {"running"}
        let_s3_age(35)
        assert len(runs.under_way().holders) == 2
        let_s3_age(11)
        assert runs.under_way().holders == ()
        assert {line["outcome"] for line in lines(runs)} == {"killed"}

    assert (runs.current_holder(), copies.current_holder()) == ("", "")


def test_the_history_ends_at_the_requested_number_of_runs_newest_first(aws: Aws, runs: Runs) -> None:
    bucket = Bucket(aws)
    names = [f"{number:08}" for number in range(20)]
    for number, name in enumerate(names):
        started = f"2026-11-22T{number:02}:00:00.000Z"
        line = {"run": name, "command": "up", "who": "ana", "host": "h", "started": started, "outcome": "done"}
        bucket.put(f"dev/runs/{started.replace(':', '')}-{name}.json", {**line, "steps": []})

    def names_of(last: int) -> list[str]:
        return [line["run"] for line in lines(runs, last)]

    assert names_of(100) == names[::-1]
    assert names_of(18) == names[:1:-1]
    assert names_of(1) == names[-1:]
    assert names_of(0) == []


WRITTEN = datetime(2026, 11, 22, 12, 4, tzinfo=UTC)
STATE = LeaseState("1", "ana", "laptop", "up --env dev", "2026-11-22T12:03:00Z")
RELEASED = LeaseState("1", "ana", "laptop", "up --env dev", "2026-11-22T12:03:00Z", released=True)


@pytest.mark.parametrize(
    ("state", "description"),
    [
        (STATE, "held by ana on laptop since 2026-11-22T12:03:00Z, `up --env dev`, last seen 4 s ago"),
        (RELEASED, "free again: ana released it 4 s ago"),
    ],
)
def test_a_lease_is_described_by_its_holder_or_the_last_one(state: LeaseState, description: str) -> None:
    found = FoundLease(state, timedelta(seconds=4), WRITTEN)

    assert found.describe() == description
    assert found.released == state.released
    assert found.holder == LeaseHolder("1", "ana", "laptop", "up --env dev", "2026-11-22T12:03:00Z")


def test_changes_are_allowed_inside_a_run_only(runs: Runs) -> None:
    guard = ChangeGuard()
    checked: list[int] = []

    with guard.allowing(lambda: checked.append(1)):
        guard()

    assert checked == [1]
    with pytest.raises(RuntimeError, match=r"^a change outside of a run$"):
        guard()
