"""Broken leases and records: each is named with its place, and none stops the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.backends import get_backend

from orderops.aws.client import Aws
from orderops.aws.documents import BrokenDocument, Bucket
from orderops.restore.points import points
from orderops.restore.window import RestoreWindow
from orderops.runs.change_guard import ChangeGuard
from orderops.runs.lease import Held, LeaseLost, Timing
from orderops.runs.run import Runs
from support.broken_documents import NOT_JSON
from support.command_line import Orderops
from support.faults import PowerCut, let_s3_age
from support.faulty_proxy import Proxy
from support.repository import ENVIRONMENTS

BUCKET = "orderops-123456789012-ap-southeast-2"
LEASE = f"s3://{BUCKET}/dev/lease.json"
# No beat but those that a test makes by hand.
UNHURRIED = Timing(beat=timedelta(minutes=5))
HELD = {
    "run": "1f2e3d4c",
    "who": "ana",
    "host": "laptop",
    "command": "up --env dev",
    "since": "2026-11-22T12:03:00Z",
    "beat": 3,
    "released": False,
}
RECORD = {
    "run": "00000001",
    "environment": "dev",
    "command": "up --env dev",
    "who": "ana",
    "host": "laptop",
    "started": "2026-11-22T12:03:00.000Z",
    "ended": "2026-11-22T12:04:00.000Z",
    "outcome": "done",
    "steps": [{"at": "2026-11-22T12:03:30.000Z", "address": "sqs-queue/a", "action": "create"}],
}


def without(document: dict[str, Any], key: str) -> bytes:
    return json.dumps({name: value for name, value in document.items() if name != key}).encode()


def changed(document: dict[str, Any], **values: Any) -> bytes:
    return json.dumps(document | values).encode()


BROKEN_LEASES = {
    **NOT_JSON,
    **{f"without {key}": without(HELD, key) for key in ("run", "who", "host", "command", "since")},
    "a number for the run": changed(HELD, run=7),
    "an object for the operator": changed(HELD, who={"name": "ana"}),
    "a word for whether it is free": changed(HELD, released="no"),
    "a word for what was made": changed(HELD, released=True, made="ec2-vpc/dev"),
    "numbers for what was made": changed(HELD, released=True, made=[1, 2]),
    "a newer form": changed(HELD, form=2),
    "a word for the form": changed(HELD, form="new"),
}
BROKEN_RECORDS = {
    **NOT_JSON,
    **{f"without {key}": without(RECORD, key) for key in ("run", "who", "host", "command", "started", "outcome")},
    "without steps": without(RECORD, "steps"),
    "a word for the steps": changed(RECORD, steps="none"),
    "words for steps": changed(RECORD, steps=["one"]),
    "a list for the changes of a step": changed(RECORD, steps=[{"address": "a", "action": "update", "changes": []}]),
    "a number for the action": changed(RECORD, steps=[{"address": "a", "action": 1}]),
    "a number for the start": changed(RECORD, started=1763813000),
    "digits for the start": changed(RECORD, started="1763813000"),
    "a start without a zone": changed(RECORD, started="2026-11-22T12:03:00"),
    "a start at the end of the calendar": changed(RECORD, started="9999-12-31T23:59:59-14:00"),
    "a word for the end": changed(RECORD, ended="later"),
    "an object for the error": changed(RECORD, error={"message": "no"}),
    "a word for the overtaken run": changed(RECORD, overtaken="00000000"),
    "a newer form": changed(RECORD, form=2),
}


@pytest.fixture
def runs(aws: Aws) -> Runs:
    # The first write creates the bucket.
    Bucket(aws).put("dev/other.json", {})
    return Runs(aws, "dev", ChangeGuard(), UNHURRIED)


def put(aws: Aws, key: str, body: bytes) -> None:
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def begin(runs: Runs, wait: timedelta = timedelta()) -> None:
    with runs.begun("up --env dev", runs.peek(), wait=wait, waiting=lambda *_: None):
        pass


@pytest.mark.parametrize("body", BROKEN_LEASES.values(), ids=BROKEN_LEASES)
def test_a_broken_lease_is_named_and_taken_over_after_the_usual_silence(aws: Aws, runs: Runs, body: bytes) -> None:
    put(aws, "dev/lease.json", body)

    with pytest.raises(Held) as refused:
        begin(runs)
    assert f"dev is held by an unknown run: {LEASE} " in refused.value.message
    assert f"show it: aws s3 cp {LEASE} -" in refused.value.hint
    assert "aws s3 mv" not in refused.value.hint, "a run of a newer orderops may hold it"
    assert LEASE in runs.current_holder()
    assert [broken.message.startswith(LEASE) for broken in runs.under_way().unreadable] == [True]
    let_s3_age(25)
    with pytest.raises(Held):
        begin(runs)
    let_s3_age(21)

    begin(runs)

    assert runs.current_holder() == ""
    assert runs.under_way().unreadable == ()
    assert [run["outcome"] for run in runs.history(last=5)] == ["done"]


def test_a_lease_with_more_keys_than_known_is_read(aws: Aws, runs: Runs) -> None:
    put(aws, "dev/lease.json", changed(HELD, region="ap-southeast-2"))

    with pytest.raises(Held, match="dev is held by ana on laptop since 2026-11-22T12:03:00Z, `up --env dev`"):
        begin(runs)


def test_a_run_whose_lease_is_overwritten_changes_nothing_more(aws: Aws) -> None:
    guard = ChangeGuard()
    instant = Runs(aws, "dev", guard, Timing(beat=timedelta(minutes=5), good_for=timedelta()))
    with (
        pytest.raises(LeaseLost, match=rf"it is held by an unknown run: {LEASE} is not JSON"),
        instant.begun("up --env dev", None, wait=timedelta(), waiting=lambda *_: None),
    ):
        put(aws, "dev/lease.json", b"<html>")
        guard()


@pytest.mark.parametrize("body", BROKEN_RECORDS.values(), ids=BROKEN_RECORDS)
def test_a_broken_record_is_a_line_of_the_history_and_hides_no_other(aws: Aws, runs: Runs, body: bytes) -> None:
    put(aws, "dev/runs/2026-11-22T120000.000Z-00000001.json", changed(RECORD))
    put(aws, "dev/runs/2026-11-22T130000.000Z-00000002.json", body)
    put(aws, "dev/runs/2026-11-22T140000.000Z-00000003.json", changed(RECORD, run="00000003"))

    newest, broken, oldest = runs.history(last=20)

    assert [run["run"] for run in (newest, oldest)] == ["00000003", "00000001"]
    place = f"s3://{BUCKET}/dev/runs/2026-11-22T130000.000Z-00000002.json"
    assert (broken["outcome"], broken["document"]) == ("unreadable", place)
    assert broken["error"].startswith(place)
    assert len(broken["error"]) < 300
    assert f"aws s3 cp {place} -" in broken["hint"]
    assert runs.migrated("sqs-queue/a") is False, "the record below the broken one still counts"
    window = RestoreWindow(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC))
    assert len(points(window, {}, runs.history(last=20))) == 2


def test_the_newest_form_is_named_with_the_one_that_is_read(aws: Aws, runs: Runs) -> None:
    put(aws, "dev/runs/1.json", changed(RECORD, form=2))

    [broken] = runs.history(last=1)

    assert broken["error"].endswith("has form '2', of a newer orderops; this one reads form 1")


def test_records_without_an_action_or_of_an_unknown_outcome_are_read(aws: Aws, runs: Runs) -> None:
    put(aws, "dev/runs/1.json", changed(RECORD, outcome="paused", steps=[{"migration": "V001"}]))

    assert [run["outcome"] for run in runs.history(last=1)] == ["paused"]


def at(key: str, moment: datetime) -> None:
    """Set when an object was last written, by S3's clock."""
    for _, _, backend in get_backend("s3").iter_backends():
        backend.buckets[BUCKET].keys[key].last_modified = moment.replace(tzinfo=None)


def test_a_killed_run_lasted_until_its_last_heartbeat(aws: Aws, runs: Runs) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    began = now - timedelta(seconds=300)
    key = "dev/runs/2026-11-22T120300.000Z-1f2e3d4c.json"
    body = changed(RECORD, run="1f2e3d4c", outcome="running", started=began.isoformat())
    put(aws, key, body)
    put(aws, "dev/lease.json", changed(HELD, since=began.isoformat()))
    at(key, began + timedelta(seconds=2))
    at("dev/lease.json", began + timedelta(seconds=250))

    def lasted() -> list[float]:
        return [
            (datetime.fromisoformat(run["last_seen"]) - began).total_seconds()
            for run in runs.history(last=20)
            if run["outcome"] == "killed"
        ]

    assert lasted() == [250]
    # The next run overwrites the lease, and with it that heartbeat.
    begin(runs)
    assert lasted() == [250]
    assert runs_by_outcome(runs) == {"done": 1, "killed": 1}


def runs_by_outcome(runs: Runs) -> dict[str, int]:
    outcomes = [run["outcome"] for run in runs.history(last=20)]
    return {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}


def test_a_run_that_ended_has_no_last_sign_of_life_from_the_lease(aws: Aws, runs: Runs) -> None:
    begin(runs)
    with suppress(PowerCut), runs.begun("up", runs.peek(), wait=timedelta(), waiting=lambda *_: None):
        raise PowerCut

    assert all("last_seen" not in run for run in runs.history(last=20))


WORDS = ("--env", "dev", "--environments", str(ENVIRONMENTS))


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], proxy: Proxy) -> Iterator[Orderops]:
    yield Orderops(capsys, *WORDS)


@pytest.mark.slow
def test_commands_work_beside_broken_documents(orderops: Orderops, proxy: Proxy, aws: Aws) -> None:
    assert orderops("infra", "apply", "--yes").code == 0
    put(aws, "dev/lease.json", b"{")
    put(aws, "dev/runs/9999.json", b"\x00" + os.urandom(8))
    waits = orderops("infra", "destroy", "--yes", "--wait", "0")
    assert (waits.code, waits.err.count("Traceback")) == (1, 0)
    assert f"error: dev is held by an unknown run: {LEASE} is not JSON (line 1, column 2)" in waits.err
    status = orderops("status")
    assert f"unreadable: {LEASE} is not JSON" in status.out
    proxy.later(60)

    history = orderops("history")
    listed = orderops("history", "--json")
    destroyed = orderops("infra", "destroy", "--yes")

    [line] = [line for line in history.out.splitlines() if "unreadable" in line]
    assert "dev/runs/9999.json is not " in line
    assert history.out.count("\n") == 3
    assert [run["outcome"] for run in listed.json] == ["unreadable", "done"]
    assert destroyed.code == 0, destroyed.err


def test_the_value_of_a_broken_document_is_an_error_with_its_place(aws: Aws, runs: Runs) -> None:
    put(aws, "dev/it's.json", b"[]")
    document = Bucket(aws).read("dev/it's.json")
    assert document

    with pytest.raises(BrokenDocument) as refused:
        _ = document.value

    assert refused.value.message == f"s3://{BUCKET}/dev/it's.json is JSON, but no object"
    assert f"""aws s3 cp 's3://{BUCKET}/dev/it'"'"'s.json' -""" in refused.value.hint
