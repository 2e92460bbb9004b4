"""Jobs along a graph, on threads; a job that waits gives its thread back. No AWS is known here."""

from __future__ import annotations

import heapq
import queue
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from time import monotonic
from typing import Generic, TypeVar

from orderops.errors import Interrupted, OrderopsError

WORKERS = 24
FIRST_PAUSE = 0.02
STEADY_PAUSE = 0.5
LONGEST_PAUSE = 10.0
PAUSE_SHARE = 0.04
"""Pauses double from the first to the steady one; then they are this share of the time waited so far, so that the end
is seen late by no more than that."""

T = TypeVar("T")
Job = Generator[str, None, T]
"""Yields what it waits for and returns its result; may be resumed on another thread."""
Watch = Callable[[str, str], None]
"""Told the job's name and what it waits for (nothing when it starts or is done)."""


@dataclass(frozen=True)
class Ended(Generic[T]):
    """A job's end: its result, or the refusal that stopped it."""

    name: str
    result: T | None = None
    refusal: OrderopsError | None = None


@dataclass
class _Turn(Generic[T]):
    name: str
    waits_for: str = ""
    ended: Ended[T] | None = None
    error: BaseException | None = None


def carry_out(
    jobs: Mapping[str, Job[T]], needs: Mapping[str, set[str]], *, watch: Watch = lambda name, waits_for: None
) -> Iterator[Ended[T]]:
    """Run each job once what it needs has ended well, and yield the ends as they come.

    What needs a refused job is never started. An error that is no refusal stops everything and is raised.
    """
    graph = TopologicalSorter({name: needs.get(name, set()) & jobs.keys() for name in jobs})
    graph.prepare()
    run = _Run(jobs, watch)
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="course")
    try:
        run.submit(pool, graph.get_ready())
        while run.busy:
            ended = run.next_end(pool)
            if ended.refusal is None:
                graph.done(ended.name)
            yield ended
            run.submit(pool, graph.get_ready())
    except KeyboardInterrupt:
        _finish_calls_under_way(pool)
        raise Interrupted(sorted(jobs.keys() - run.all_over())) from None
    finally:
        _finish_calls_under_way(pool)


def _finish_calls_under_way(pool: ThreadPoolExecutor) -> None:
    """Wait for the turns that have begun, and begin no other."""
    pool.shutdown(cancel_futures=True)


class _Run(Generic[T]):
    def __init__(self, jobs: Mapping[str, Job[T]], watch: Watch) -> None:
        self._jobs = jobs
        self._watch = watch
        self._turns: queue.SimpleQueue[_Turn[T]] = queue.SimpleQueue()
        self._due: list[tuple[float, str]] = []
        self._waiting_since: dict[str, float] = {}
        self._pauses: Counter[str] = Counter()
        self._started: set[str] = set()
        self.over: set[str] = set()

    @property
    def busy(self) -> bool:
        return self._started != self.over

    def all_over(self) -> set[str]:
        """The jobs that have ended, with those whose end nobody has asked for yet."""
        with suppress(queue.Empty):
            while True:
                turn = self._turns.get_nowait()
                if turn.ended is not None:
                    self.over.add(turn.name)
        return self.over

    def submit(self, pool: ThreadPoolExecutor, names: tuple[str, ...]) -> None:
        for name in names:
            self._started.add(name)
            self._watch(name, "")
            pool.submit(self._advance, name)

    def next_end(self, pool: ThreadPoolExecutor) -> Ended[T]:
        while True:
            while self._due and self._due[0][0] <= monotonic():
                pool.submit(self._advance, heapq.heappop(self._due)[1])
            try:
                turn = self._turns.get(timeout=max(0.0, self._due[0][0] - monotonic()) if self._due else 1.0)
            except queue.Empty:
                continue
            if turn.error is not None:
                raise turn.error
            if turn.ended is not None:
                self.over.add(turn.name)
                self._watch(turn.name, "")
                return turn.ended
            self._pause(turn)

    def _pause(self, turn: _Turn[T]) -> None:
        now = monotonic()
        waited = now - self._waiting_since.setdefault(turn.name, now)
        growing = min(FIRST_PAUSE * 2 ** min(self._pauses[turn.name], 10), STEADY_PAUSE)
        self._pauses[turn.name] += 1
        pause = min(max(growing, PAUSE_SHARE * waited), LONGEST_PAUSE)
        self._watch(turn.name, turn.waits_for)
        heapq.heappush(self._due, (now + pause, turn.name))

    def _advance(self, name: str) -> None:
        try:
            turn: _Turn[T] = _Turn(name, waits_for=next(self._jobs[name]))
        except StopIteration as end:
            turn = _Turn(name, ended=Ended(name, end.value))
        except OrderopsError as refusal:
            turn = _Turn(name, ended=Ended(name, refusal=refusal))
        except BaseException as error:
            turn = _Turn(name, error=error)
        self._turns.put(turn)
