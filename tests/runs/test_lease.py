"""The lease: one run at a time, through sleep, lost answers and killed runs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from orderops.aws.client import Aws
from orderops.aws.documents import Bucket
from orderops.errors import OrderopsError
from orderops.runs.lease import Held, Lease, LeaseHolder, LeaseLost, Timing, key_of
from support.faults import Fault, Faults, PowerCut, let_s3_age

NOW = timedelta()
ENVIRONMENT = "dev"
UNHURRIED = Timing(beat=timedelta(minutes=5))  # no beat but those that a test makes by hand


class Operators:
    """Runs that want the lease; all of them end with the test."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._ends = ExitStack()

    def __call__(self, name: str, timing: Timing = UNHURRIED) -> Lease:
        holder = LeaseHolder(name, f"arn:aws:iam::1:user/{name}", "host", "up --env dev", "2026-11-22T12:03:00Z")
        lease = Lease(self.bucket, ENVIRONMENT, holder, timing)
        self._ends.callback(lease.release)
        return lease

    def takes(self, lease: Lease, wait: timedelta = NOW) -> bool:
        return lease.take(self.bucket.read(key_of(ENVIRONMENT)), wait=wait, waiting=lambda *_: None)

    def end(self) -> None:
        self._ends.close()


@pytest.fixture
def operator(aws: Aws) -> Iterator[Operators]:
    operators = Operators(Bucket(aws))
    yield operators
    operators.end()


def asleep(lease: Lease) -> None:
    """Suspend the holder's machine for a while: its clock advances, and no heartbeat is sent."""
    lease._good_until -= 3600


def test_a_second_run_gets_the_name_of_the_lease_holder(operator: Operators) -> None:
    assert operator.takes(operator("ana"))

    with pytest.raises(Held) as refused:
        operator.takes(operator("bo"))

    message = refused.value.message
    assert "dev is held by arn:aws:iam::1:user/ana on host since 2026-11-22T12:03:00Z" in message
    assert re.search(r"`up --env dev`, last seen \d s ago", message)
    assert "--wait" in refused.value.hint


def test_a_waiting_run_gets_the_lease_when_it_is_released(operator: Operators) -> None:
    ana, bo = operator("ana"), operator("bo", Timing(beat=timedelta(seconds=0.1)))
    operator.takes(ana)
    descriptions: list[str] = []
    waits = threading.Event()

    def waiting(what: str, silent_for: timedelta) -> None:
        descriptions.append(what)
        waits.set()

    def wait_for_it() -> None:
        undisturbed.append(bo.take(None, wait=timedelta(minutes=1), waiting=waiting))

    undisturbed: list[bool] = []
    waiter = threading.Thread(target=wait_for_it)
    waiter.start()
    assert waits.wait(timeout=30)
    ana.release()
    waiter.join(timeout=30)

    assert undisturbed == [False]
    assert descriptions[0].startswith("held by arn:aws:iam::1:user/ana")
    bo.check()


def test_one_of_many_concurrent_runs_gets_the_lease(operator: Operators) -> None:
    leases = [operator(f"operator-{number}") for number in range(8)]
    held: list[Lease] = []

    def take(lease: Lease) -> None:
        try:
            lease.take(None, wait=NOW, waiting=lambda *_: None)
        except Held:
            return
        held.append(lease)

    threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(held) == 1


def test_the_lease_of_a_silent_holder_is_taken_over(operator: Operators) -> None:
    ana, bo = operator("ana"), operator("bo")
    operator.takes(ana)
    let_s3_age(44)
    with pytest.raises(Held):
        operator.takes(operator("cy"))
    let_s3_age(2)

    operator.takes(bo)

    bo.check()


def test_a_holder_that_lost_its_lease_while_asleep_changes_nothing_more(operator: Operators) -> None:
    ana, bo = operator("ana"), operator("bo")
    operator.takes(ana)
    let_s3_age(60)
    operator.takes(bo)
    asleep(ana)

    with pytest.raises(LeaseLost, match="it is held by arn:aws:iam::1:user/bo"):
        ana.check()
    with pytest.raises(LeaseLost):
        ana.check()
    ana.release()
    bo.check()
    asleep(bo)
    bo.check()


def test_a_holder_that_kept_its_lease_while_asleep_continues(operator: Operators) -> None:
    ana = operator("ana")
    operator.takes(ana)
    asleep(ana)

    ana.check()

    with pytest.raises(Held):
        operator.takes(operator("bo"))


def test_a_holder_without_a_connection_to_s3_changes_nothing(operator: Operators, power_cut: Fault) -> None:
    ana = operator("ana")
    operator.takes(ana)
    asleep(ana)

    with power_cut("s3", after=0), pytest.raises(PowerCut):
        ana.check()
    ana.check()


def test_a_holder_recognizes_its_own_lease_after_a_lost_answer(operator: Operators, lose_answer: Fault) -> None:
    ana = operator("ana")
    with lose_answer("s3", "PutObject"):
        operator.takes(ana)
    asleep(ana)
    with lose_answer("s3", "PutObject"):
        ana.check()
    asleep(ana)

    ana.check()


def test_a_holder_sends_heartbeats_by_itself(operator: Operators) -> None:
    beats = threading.Semaphore(0)
    ana = operator("ana", Timing(beat=timedelta(seconds=0.05)))
    ana.on_beat = beats.release
    operator.takes(ana)

    for _ in range(3):
        assert beats.acquire(timeout=30)

    found = operator.bucket.read(key_of(ENVIRONMENT))
    assert found and found.value["beat"] > 3


def test_recent_creates_are_passed_to_the_next_holder_until_reads_must_show_them(operator: Operators) -> None:
    ana, bo, cy = operator("ana"), operator("bo"), operator("cy")
    operator.takes(ana)
    ana.release(["ec2-vpc/dev"])
    operator.takes(bo)
    assert 25 < bo.unconfirmed["ec2-vpc/dev"] <= 30
    bo.release(["ec2-vpc/dev"])
    let_s3_age(31)

    operator.takes(cy)

    assert cy.unconfirmed == {}


def test_earlier_reads_are_current_only_if_no_other_run_held_the_lease(operator: Operators) -> None:
    seen = operator.bucket.read(key_of(ENVIRONMENT))
    ana, bo, cy, di = (operator(name) for name in ("ana", "bo", "cy", "di"))
    assert ana.take(seen, wait=NOW, waiting=lambda *_: None)
    ana.release()
    assert not bo.take(seen, wait=NOW, waiting=lambda *_: None)
    bo.release()

    assert not operator.takes(cy), "the end of the last one is too near"
    cy.release()
    let_s3_age(10)
    assert operator.takes(di)


def test_a_lease_counts_from_the_sending_of_a_heartbeat_and_not_from_its_answer(
    operator: Operators, slow_answer: Fault
) -> None:
    # Others count from S3's time of the write, which may be as early as the sending.
    short = Timing(beat=timedelta(minutes=5), good_for=timedelta(seconds=0.2))
    lease = operator("ana", short)

    with slow_answer("s3", "PutObject", seconds=0.3):
        assert operator.takes(lease)

    before = operator.bucket.read(key_of(ENVIRONMENT))
    lease.check()
    after = operator.bucket.read(key_of(ENVIRONMENT))
    assert before and after
    assert after.value["beat"] == before.value["beat"] + 1  # it had run out, so it was renewed before the change


def test_a_held_lease_is_an_error_with_the_time_of_its_end(operator: Operators) -> None:
    operator.takes(operator("ana"))

    with pytest.raises(Held) as refused:
        operator.takes(operator("bo"))

    assert refused.value.hint == (
        "wait longer: --wait 15m; the lease of a dead run expires by itself, 45 s after its last heartbeat"
    )


class Enough(Exception):
    """The test has seen what it wants to see."""


def test_a_waiting_run_reports_the_silence_of_the_holder(operator: Operators) -> None:
    operator.takes(operator("ana"))
    let_s3_age(10)
    bo = operator("bo", Timing(beat=timedelta(seconds=0.01)))
    silences: list[timedelta] = []

    def waiting(_: str, silence: timedelta) -> None:
        silences.append(silence)
        if len(silences) == 3:
            raise Enough

    with pytest.raises(Enough):
        bo.take(None, wait=timedelta(minutes=1), waiting=waiting)

    assert all(timedelta(seconds=9) < silence < timedelta(seconds=45) for silence in silences)


def test_a_lost_lease_is_an_error_that_says_who_holds_it_and_what_to_type(operator: Operators) -> None:
    ana, bo = operator("ana"), operator("bo")
    operator.takes(ana)
    let_s3_age(60)
    operator.takes(bo)
    asleep(ana)

    with pytest.raises(LeaseLost) as lost:
        ana.check()

    assert lost.value.message.startswith(
        "the lease of dev expired while this machine was asleep or offline; "
        "it is held by arn:aws:iam::1:user/bo on host since 2026-11-22T12:03:00Z, `up --env dev`, last seen "
    )
    assert lost.value.hint == "nothing was changed since; re-running this command continues from here"
    assert lost.value.stops_everything


def test_a_lease_that_is_good_is_checked_without_a_request(operator: Operators, the_faults: Faults) -> None:
    ana = operator("ana")
    operator.takes(ana)
    calls = list(the_faults.calls)

    ana.check()

    assert the_faults.calls == calls


def test_a_lease_that_was_deleted_is_written_again(operator: Operators) -> None:
    ana = operator("ana")
    operator.takes(ana)
    operator.bucket.remove(key_of(ENVIRONMENT))
    asleep(ana)

    ana.check()

    with pytest.raises(Held, match="held by arn:aws:iam::1:user/ana"):
        operator.takes(operator("bo"))


def test_the_release_names_what_was_made_and_a_lease_that_was_never_taken_is_not_released(operator: Operators) -> None:
    operator("bo").release(["b", "a"])
    assert operator.bucket.read(key_of(ENVIRONMENT)) is None
    ana = operator("ana")
    operator.takes(ana)

    ana.release(["b", "a"])

    found = operator.bucket.read(key_of(ENVIRONMENT))
    assert found and found.value == {
        "run": "ana",
        "who": "arn:aws:iam::1:user/ana",
        "host": "host",
        "command": "up --env dev",
        "since": "2026-11-22T12:03:00Z",
        "beat": 2,
        "released": True,
        "made": ["a", "b"],
    }


def test_heartbeats_continue_after_an_outage_and_end_with_the_lease(operator: Operators) -> None:
    beats = threading.Semaphore(0)
    ana = operator("ana", Timing(beat=timedelta(seconds=0.02)))
    outages = iter([OrderopsError("s3 does not answer"), OrderopsError("s3 does not answer")])

    def fail_twice() -> None:
        beats.release()
        if outage := next(outages, None):
            raise outage

    ana.on_beat = fail_twice
    operator.takes(ana)
    for _ in range(4):
        assert beats.acquire(timeout=30)

    operator.bucket.put(key_of(ENVIRONMENT), {**vars(ana._holder), "run": "bo"})

    ana._heart.join(timeout=30)
    assert not ana._heart.is_alive()
    with pytest.raises(LeaseLost):
        ana.check()


def test_a_holder_remembers_whom_it_overtook(operator: Operators) -> None:
    ana, bo = operator("ana"), operator("bo")
    operator.takes(ana)
    let_s3_age(60)
    last = operator.bucket.read(key_of(ENVIRONMENT))

    operator.takes(bo)

    assert last and bo.overtaken and (bo.overtaken.run, bo.overtaken.last_seen) == ("ana", last.written)
    assert ana.overtaken is None
    bo.release()
    cy = operator("cy")
    operator.takes(cy)
    assert cy.overtaken is None


def test_a_lease_that_a_lost_request_of_the_same_run_wrote_is_taken_at_once(operator: Operators) -> None:
    ana = operator("ana")
    operator.bucket.put(key_of(ENVIRONMENT), vars(ana._holder))

    operator.takes(ana)

    assert (ana.overtaken, ana.unconfirmed) == (None, {})
    ana.check()
