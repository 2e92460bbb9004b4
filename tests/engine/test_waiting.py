"""How long a run waits, which errors the next read explains, and the pauses between two looks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orderops.engine.scheduler import Pauses
from orderops.engine.waiting import ReconcileLimits, WaitLimit, retry_reason
from orderops.errors import AwsError, Meaning, OrderopsError

NOW, LATER = timedelta(seconds=-1), timedelta(hours=1)
THROTTLED = AwsError("sqs.CreateQueue", "Throttling", "Rate exceeded", Meaning.LATER)


def error(code: str, text: str = "", meaning: Meaning = Meaning.NO) -> AwsError:
    return AwsError("sqs.CreateQueue", code, text, meaning)


def test_a_wait_within_its_limit_is_reported_with_its_reason() -> None:
    wait = WaitLimit(LATER, LATER)

    assert wait.waits("creating") == "creating"
    assert wait.troubled(THROTTLED, "AWS to be less busy") == "AWS to be less busy"


def test_a_wait_beyond_its_limit_is_an_error_with_its_reason_and_the_limit() -> None:
    wait = WaitLimit(timedelta(seconds=90), LATER)
    wait._since -= 91

    with pytest.raises(OrderopsError) as refused:
        wait.waits("creating")

    assert refused.value.message == "still waiting for: creating, after 90 s"
    assert refused.value.hint == "look at the resource in the AWS console; re-running this command continues from here"


@pytest.mark.parametrize(("timeout", "trouble"), [(LATER, NOW), (NOW, LATER)])
def test_an_error_that_lasts_beyond_either_limit_is_raised(timeout: timedelta, trouble: timedelta) -> None:
    with pytest.raises(AwsError) as refused:
        WaitLimit(timeout, trouble).troubled(THROTTLED, "AWS to be less busy")

    assert refused.value is THROTTLED


def test_trouble_counts_from_its_first_error_and_ends_with_an_answer() -> None:
    wait = WaitLimit(LATER, timedelta(minutes=5))
    wait.troubled(THROTTLED, "AWS")
    assert wait._troubled_since
    wait._troubled_since -= 301
    with pytest.raises(AwsError):
        wait.troubled(THROTTLED, "AWS")
    wait.waits("creating")

    assert wait.troubled(THROTTLED, "AWS") == "AWS"


def test_the_usual_limits_are_longer_than_reads_of_aws_may_lag() -> None:
    # EC2's and RDS's reads are eventually consistent; 30 s is the measured bound that the lease also uses.
    limits = ReconcileLimits()

    assert (limits.seen_within, limits.trouble, limits.timeout) == (timedelta(seconds=30), timedelta(minutes=5), None)


KNOWN = frozenset({"Busy", "NotYet: The Role"})


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (error("Unreachable", meaning=Meaning.LOST), "AWS to be reachable"),
        (error("Throttling", meaning=Meaning.LATER), "AWS to be less busy (Throttling)"),
        (
            error("InternalFailure", meaning=Meaning.LOST),
            "the effect of a call whose answer was lost (InternalFailure)",
        ),
        (error("Busy"), "sqs.CreateQueue: Busy"),
        (error("NotYet", "the ROLE cannot be assumed"), "sqs.CreateQueue: NotYet"),
    ],
)
def test_an_error_that_a_later_read_explains_is_waited_for(failed: AwsError, reason: str) -> None:
    assert retry_reason(failed, KNOWN) == reason


@pytest.mark.parametrize("failed", [error("AccessDenied"), error("NotYet", "the key"), error("BusyLine")])
def test_any_other_error_is_raised(failed: AwsError) -> None:
    with pytest.raises(AwsError) as refused:
        retry_reason(failed, KNOWN)

    assert refused.value is failed


@pytest.mark.parametrize(
    ("turns", "waited", "pause"),
    [
        (0, 0.0, 0.0),
        (1, 0.0, 0.02),
        (2, 0.0, 0.04),
        (3, 0.0, 0.08),
        (5, 0.0, 0.32),
        (6, 0.0, 0.5),
        (5_000, 0.0, 0.5),
        (100, 100.0, 2.0),
        (0, 60.0, 1.2),
        (1_000, 10_000.0, 10.0),
    ],
)
def test_pauses_double_and_then_grow_with_the_time_waited(turns: int, waited: float, pause: float) -> None:
    assert Pauses().after(turns, waited) == pytest.approx(pause)


def test_a_steady_pause_that_is_never_reached_doubles_ten_times_at_most() -> None:
    assert Pauses(first=1, steady=10**9, longest=10**9).after(100, 0) == 2**10
