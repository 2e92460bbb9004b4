"""The scheduler: concurrency, waiting, failures and interruptions."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import monotonic, sleep

import pytest

from orderops.engine import scheduler
from orderops.engine.scheduler import Job, Pauses, Result, run_all
from orderops.errors import Interrupted, OrderopsError

PATIENCE = 10.0
"""Seconds after which a test stops waiting for an expected event."""


def run(jobs: Mapping[str, Job[str]], needs: Mapping[str, set[str]] | None = None) -> dict[str, Result[str]]:
    return {ended.name: ended for ended in run_all(jobs, needs or {})}


def job(result: str = "done", *, waits: int = 0, does: Callable[[], object] = lambda: None) -> Job[str]:
    """A job that waits for some turns, calls `does`, and ends."""
    for _ in range(waits):
        yield "its turn"
    does()
    return result


def refused(words: str = "no") -> Job[str]:
    yield "what will not come"
    raise OrderopsError(words)


def test_no_jobs_give_no_results() -> None:
    assert run({}) == {}


def test_each_job_ends_with_its_result() -> None:
    ends = run({"a": job("apple"), "b": job("pear", waits=3)})

    assert {name: ended.result for name, ended in ends.items()} == {"a": "apple", "b": "pear"}


def test_independent_jobs_overlap() -> None:
    together = threading.Barrier(8, timeout=PATIENCE)

    ends = run({str(number): job(does=together.wait) for number in range(8)})

    assert len(ends) == 8


def test_a_job_that_waits_holds_no_thread() -> None:
    many = scheduler.WORKERS * 3
    waiting = {f"waits {number}": job(waits=2) for number in range(many)}
    together = threading.Barrier(scheduler.WORKERS, timeout=PATIENCE)
    working = {f"works {number}": job(does=together.wait) for number in range(scheduler.WORKERS)}

    ends = run({**waiting, **working})

    assert len(ends) == many + scheduler.WORKERS


def test_a_job_starts_only_after_all_its_needs() -> None:
    order: list[str] = []
    jobs = {name: job(waits=1, does=partial(order.append, name)) for name in "dcba"}

    run(jobs, {"b": {"a"}, "c": {"a"}, "d": {"b", "c"}})

    assert order[0] == "a"
    assert order[-1] == "d"
    assert sorted(order) == ["a", "b", "c", "d"]


def test_a_job_starts_as_soon_as_its_needs_are_done() -> None:
    followed = threading.Event()

    ends = run(
        {"slow": job(does=lambda: followed.wait(PATIENCE)), "quick": job(), "follows": job(does=followed.set)},
        {"follows": {"quick"}},
    )

    assert [name for name in ends if name != "quick"] == ["follows", "slow"]


def test_a_need_that_is_no_job_counts_as_done() -> None:
    assert run({"a": job()}, {"a": {"elsewhere"}})["a"].result == "done"


def test_a_failed_job_blocks_only_its_users() -> None:
    jobs = {"bad": refused(), "user": job(), "user of user": job(), "apart": job(waits=5), "after apart": job()}

    ends = run(jobs, {"user": {"bad"}, "user of user": {"user"}, "after apart": {"apart"}})

    assert {name for name, ended in ends.items() if ended.error} == {"bad"}
    assert {name for name, ended in ends.items() if ended.result} == {"apart", "after apart"}


def test_the_most_urgent_job_starts_first_when_threads_are_scarce() -> None:
    begun: list[str] = []
    many = {f"job {number:02}": job(does=partial(begun.append, f"job {number:02}")) for number in range(60)}
    all_busy = threading.Barrier(scheduler.WORKERS, timeout=PATIENCE)
    busy = {f"busy {number}": job(does=all_busy.wait) for number in range(scheduler.WORKERS)}
    urgency = {**dict.fromkeys(busy, 100.0), "job 59": 10.0}

    list(run_all({**many, **busy}, {}, urgency=urgency))

    assert "job 59" in begun[: scheduler.WORKERS]


def test_every_failure_is_a_result() -> None:
    ends = run({"a": refused("one"), "b": refused("two"), "c": job()})

    assert {ended.error.message for ended in ends.values() if ended.error} == {"one", "two"}


def test_an_unexpected_error_stops_everything() -> None:
    def broken() -> Job[str]:
        yield "nothing"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run({"broken": broken(), "endless": endless()})


def test_an_error_that_stops_everything_ends_the_run_at_once() -> None:
    class LeaseLost(OrderopsError):
        stops_everything = True

    def lost() -> Job[str]:
        yield "nothing"
        raise LeaseLost("another run holds the lease")

    with pytest.raises(LeaseLost, match="another run holds the lease"):
        run({"lost": lost(), "endless": endless()})


def test_pauses_are_chosen_by_the_turns_that_a_job_has_waited() -> None:
    seen: list[int] = []

    class Noted(Pauses):
        """Pauses of no length, which note for which turn they are."""

        def after(self, turns: int, waited: float) -> float:
            seen.append(turns)
            return 0.0

    list(run_all({"a": job(waits=4)}, {}, pauses=Noted()))

    assert seen == [0, 1, 2, 3]


def test_a_dependency_cycle_is_an_error() -> None:
    with pytest.raises(ValueError, match="cycle"):
        run({"a": job(), "b": job()}, {"a": {"b"}, "b": {"a"}})


def test_the_wait_callback_runs_in_the_main_thread() -> None:
    waits: list[tuple[str, str, bool]] = []

    def watch(name: str, waits_for: str) -> None:
        waits.append((name, waits_for, threading.current_thread() is threading.main_thread()))

    list(run_all({"a": job(waits=1)}, {}, on_wait=watch))

    assert waits == [("a", "", True), ("a", "its turn", True), ("a", "", True)]


def test_closing_the_iterator_leaves_no_job_running() -> None:
    ended: list[str] = []
    ends = run_all({"a": job(), "b": endless(at_each_turn=lambda: ended.append("turn"))}, {})

    next(ends)
    del ends
    turns = len(ended)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("resource")]
    assert len(ended) == turns


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts, even where a shell started the tests in the background and had them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interruption_finishes_running_calls_and_names_the_unfinished_jobs() -> None:
    finished: list[str] = []

    def interrupts() -> None:
        _interrupt()
        _until(_main_waits_for_the_calls)
        finished.append("call")

    jobs = {"done": job(), "calling": job(does=interrupts), "waiting": endless(), "never begun": job()}
    with pytest.raises(Interrupted, match=r"not done: never begun, waiting$") as raised:
        run(jobs, {"calling": {"done"}, "never begun": {"waiting"}})

    assert finished == ["call"]
    assert raised.value.exit_code == 130
    assert "re-run this command" in raised.value.hint


@pytest.mark.usefixtures("ctrl_c")
def test_no_job_starts_after_an_interruption() -> None:
    begun: list[str] = []
    all_busy = threading.Barrier(scheduler.WORKERS, timeout=PATIENCE)

    def works(name: str) -> Job[str]:
        begun.append(name)
        if all_busy.wait() == 0:
            _interrupt()
        _until(_main_waits_for_the_calls)
        yield "another turn"
        return "done"

    many = {f"job {number}": works(f"job {number}") for number in range(scheduler.WORKERS * 2)}
    with pytest.raises(Interrupted) as raised:
        run(many)

    assert len(begun) == scheduler.WORKERS
    assert sorted(raised.value.left) == sorted(many)


def endless(at_each_turn: Callable[[], object] = lambda: None) -> Job[str]:
    while True:
        at_each_turn()
        yield "what never comes"


def _interrupt() -> None:
    """Send SIGINT to the main thread, as Ctrl+C does."""
    main = threading.main_thread().ident
    assert main
    signal.pthread_kill(main, signal.SIGINT)


def _main_waits_for_the_calls() -> bool:
    main = threading.main_thread().ident
    frame = sys._current_frames()[main] if main else None
    while frame is not None and "finish_ticks" not in frame.f_code.co_name:
        frame = frame.f_back
    return frame is not None


def _until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not true():
        assert monotonic() < deadline
        sleep(0.005)
