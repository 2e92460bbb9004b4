"""Jobs along a graph: what overlaps, what waits, what a failure takes along, and what an interruption leaves."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, sleep

import pytest

from orderops.engine import scheduler
from orderops.engine.scheduler import Job, Result, run_all
from orderops.errors import Interrupted, OrderopsError

PATIENCE = 10.0
"""How long a test waits for what must come, in seconds."""


def run(jobs: Mapping[str, Job[str]], needs: Mapping[str, set[str]] | None = None) -> dict[str, Result[str]]:
    return {ended.name: ended for ended in run_all(jobs, needs or {})}


def job(result: str = "done", *, waits: int = 0, does: Callable[[], object] = lambda: None) -> Job[str]:
    """Waits so many turns, does something, and ends."""
    for _ in range(waits):
        yield "its turn"
    does()
    return result


def refused(words: str = "no") -> Job[str]:
    yield "what will not come"
    raise OrderopsError(words)


def test_nothing_to_do_is_done() -> None:
    assert run({}) == {}


def test_each_job_ends_with_its_result() -> None:
    ends = run({"a": job("apple"), "b": job("pear", waits=3)})

    assert {name: ended.result for name, ended in ends.items()} == {"a": "apple", "b": "pear"}


def test_what_is_independent_overlaps() -> None:
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


def test_a_job_starts_after_all_it_needs_and_not_before() -> None:
    order: list[str] = []
    jobs = {name: job(waits=1, does=partial(order.append, name)) for name in "dcba"}

    run(jobs, {"b": {"a"}, "c": {"a"}, "d": {"b", "c"}})

    assert order[0] == "a"
    assert order[-1] == "d"
    assert sorted(order) == ["a", "b", "c", "d"]


def test_a_job_starts_as_soon_as_what_it_needs_is_done_whatever_else_runs() -> None:
    followed = threading.Event()

    ends = run(
        {"slow": job(does=lambda: followed.wait(PATIENCE)), "quick": job(), "follows": job(does=followed.set)},
        {"follows": {"quick"}},
    )

    assert [name for name in ends if name != "quick"] == ["follows", "slow"]


def test_what_is_needed_and_is_no_job_is_taken_as_there() -> None:
    assert run({"a": job()}, {"a": {"elsewhere"}})["a"].result == "done"


def test_a_failed_one_takes_along_only_what_needs_it() -> None:
    jobs = {"bad": refused(), "user": job(), "user of user": job(), "apart": job(waits=5), "after apart": job()}

    ends = run(jobs, {"user": {"bad"}, "user of user": {"user"}, "after apart": {"apart"}})

    assert {name for name, ended in ends.items() if ended.error} == {"bad"}
    assert {name for name, ended in ends.items() if ended.result} == {"apart", "after apart"}


def test_the_most_urgent_goes_first_where_threads_are_few() -> None:
    begun: list[str] = []
    many = {f"job {number:02}": job(does=partial(begun.append, f"job {number:02}")) for number in range(60)}
    all_busy = threading.Barrier(scheduler.WORKERS, timeout=PATIENCE)
    busy = {f"busy {number}": job(does=all_busy.wait) for number in range(scheduler.WORKERS)}
    urgency = {**dict.fromkeys(busy, 100.0), "job 59": 10.0}

    list(run_all({**many, **busy}, {}, urgency=urgency))

    assert "job 59" in begun[: scheduler.WORKERS]


def test_every_failure_is_told() -> None:
    ends = run({"a": refused("one"), "b": refused("two"), "c": job()})

    assert {ended.error.message for ended in ends.values() if ended.error} == {"one", "two"}


def test_an_error_that_is_no_refusal_stops_everything() -> None:
    def broken() -> Job[str]:
        yield "nothing"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run({"broken": broken(), "endless": endless()})


def test_a_circle_is_an_error_and_no_hang() -> None:
    with pytest.raises(ValueError, match="cycle"):
        run({"a": job(), "b": job()}, {"a": {"b"}, "b": {"a"}})


def test_who_watches_is_told_in_the_main_thread_what_is_waited_for() -> None:
    told: list[tuple[str, str, bool]] = []

    def watch(name: str, waits_for: str) -> None:
        told.append((name, waits_for, threading.current_thread() is threading.main_thread()))

    list(run_all({"a": job(waits=1)}, {}, on_wait=watch))

    assert told == [("a", "", True), ("a", "its turn", True), ("a", "", True)]


def test_who_stops_asking_leaves_no_job_under_way() -> None:
    ended: list[str] = []
    ends = run_all({"a": job(), "b": endless(at_each_turn=lambda: ended.append("turn"))}, {})

    next(ends)
    del ends
    turns = len(ended)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("resource")]
    assert len(ended) == turns


def test_an_interruption_finishes_the_calls_under_way_and_names_what_is_left() -> None:
    finished: list[str] = []

    def interrupts() -> None:
        _interrupt()
        _until(_main_waits_for_the_calls)
        finished.append("call")

    jobs = {"done": job(), "calling": job(does=interrupts), "asked again": endless(), "never begun": job()}
    with pytest.raises(Interrupted, match=r"not done: asked again, never begun$") as told:
        run(jobs, {"calling": {"done"}, "never begun": {"asked again"}})

    assert finished == ["call"]
    assert told.value.exit_code == 130
    assert "re-run this command" in told.value.hint


def test_after_an_interruption_nothing_new_begins() -> None:
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
    with pytest.raises(Interrupted) as told:
        run(many)

    assert len(begun) == scheduler.WORKERS
    assert sorted(told.value.left) == sorted(many)


def endless(at_each_turn: Callable[[], object] = lambda: None) -> Job[str]:
    while True:
        at_each_turn()
        yield "what never comes"


def _interrupt() -> None:
    """What Ctrl+C does: a signal to the main thread, wherever it waits."""
    main = threading.main_thread().ident
    assert main
    signal.pthread_kill(main, signal.SIGINT)


def _main_waits_for_the_calls() -> bool:
    main = threading.main_thread().ident
    frame = sys._current_frames()[main] if main else None
    while frame is not None and frame.f_code.co_name != "finish_ticks":
        frame = frame.f_back
    return frame is not None


def _until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not true():
        assert monotonic() < deadline
        sleep(0.005)
