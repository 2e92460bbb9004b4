"""Run jobs along a dependency graph on a few threads. A job that waits holds no thread. Knows nothing of AWS."""

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
from orderops.frozen import Frozen

# More would only queue in AWS's throttling: one environment has about 50 resources, and few can run at a time.
WORKERS = 12

T = TypeVar("T")
Job = Generator[str, None, T]
"""Yields what it waits for and returns its result; may be resumed on another thread."""
OnWait = Callable[[str, str], None]
"""Called with a job's name and what it waits for; with "" when it starts and when it ends."""


class Pauses(Frozen):
    """Seconds between two turns of a waiting job.

    The first turn comes at once. Then pauses double from `first` to `steady`. From there on they are a `share` of the
    time waited so far, up to `longest`, so that the end is noticed late by no more than that share.
    """

    first: float = 0.01
    steady: float = 0.5
    longest: float = 10.0
    share: float = 0.02

    def after(self, turns: int, waited: float) -> float:
        """The pause after some turns that waited, and so many seconds since the first."""
        growing = min(self.first * 2 ** min(turns, 10), self.steady) if turns else 0.0
        return min(max(growing, self.share * waited), self.longest)


class Result(Frozen, Generic[T]):
    """How a job ended: with its result, or with the error that stopped it."""

    name: str
    result: T | None = None
    error: OrderopsError | None = None


@dataclass
class _Tick(Generic[T]):
    """One turn of a job: it waits, has ended, or raised an error that stops everything."""

    name: str
    waits_for: str = ""
    ended: Result[T] | None = None
    error: BaseException | None = None


def run_all(
    jobs: Mapping[str, Job[T]],
    needs: Mapping[str, set[str]],
    *,
    urgency: Mapping[str, float] | None = None,
    on_wait: OnWait = lambda name, waits_for: None,
    pauses: Pauses = Pauses(),
) -> Iterator[Result[T]]:
    """Run each job once all that it needs have succeeded; yield the results as they come.

    If more jobs could run than there are threads, the one with the greatest `urgency` goes first. A job that needs a
    failed one is never started. Raises an error that is no OrderopsError, or one with `stops_everything`, at once;
    Interrupted on Ctrl+C, after the calls in flight.
    """
    # Needs outside of `jobs` count as done.
    graph = TopologicalSorter({name: needs.get(name, set()) & jobs.keys() for name in jobs})
    graph.prepare()
    run = _Run(jobs, urgency or {}, on_wait, pauses)
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="resource")
    try:
        run.submit(pool, graph.get_ready())
        while run.busy:
            ended = run.next_end(pool)
            if ended.error is None:
                graph.done(ended.name)
            yield ended
            run.submit(pool, graph.get_ready())
    except KeyboardInterrupt:
        run.finish_ticks(pool)
        raise Interrupted(sorted(jobs.keys() - run.over)) from None
    finally:
        run.finish_ticks(pool)


class _Run(Generic[T]):
    def __init__(
        self, jobs: Mapping[str, Job[T]], urgency: Mapping[str, float], on_wait: OnWait, pauses: Pauses
    ) -> None:
        self._jobs = jobs
        self._urgency = urgency
        self._on_wait = on_wait
        self._pauses = pauses
        self._ticks: queue.SimpleQueue[_Tick[T]] = queue.SimpleQueue()
        self._ready: list[tuple[float, int, str]] = []
        self._order = 0
        self._in_pool = 0
        self._due: list[tuple[float, str]] = []
        self._waiting_since: dict[str, float] = {}
        self._turns: Counter[str] = Counter()
        self._started: set[str] = set()
        self._in_progress: set[str] = set()
        self.over: set[str] = set()

    @property
    def busy(self) -> bool:
        return self._started != self.over

    def submit(self, pool: ThreadPoolExecutor, names: tuple[str, ...]) -> None:
        for name in names:
            self._started.add(name)
            self._on_wait(name, "")
            self._queue(name)
        self._fill(pool)

    def next_end(self, pool: ThreadPoolExecutor) -> Result[T]:
        while True:
            while self._due and self._due[0][0] <= monotonic():
                self._queue(heapq.heappop(self._due)[1])
            self._fill(pool)
            try:
                tick = self._ticks.get(timeout=max(0.0, self._due[0][0] - monotonic()) if self._due else 1.0)
            except queue.Empty:
                continue
            self._in_pool -= 1
            if tick.error is not None:
                raise tick.error
            if tick.ended is not None:
                self.over.add(tick.name)
                self._on_wait(tick.name, "")
                return tick.ended
            self._pause(tick)

    def finish_ticks(self, pool: ThreadPoolExecutor) -> None:
        """Wait for the turns that have begun, and begin no other."""
        pool.shutdown(cancel_futures=True)
        # The pool does not know a thread that was being started when Ctrl+C came.
        while self._in_progress or not self._ticks.empty():
            with suppress(queue.Empty):
                tick = self._ticks.get(timeout=0.1)
                if tick.ended is not None:
                    self.over.add(tick.name)

    def _queue(self, name: str) -> None:
        # Keeps equal urgencies in the order in which they became ready.
        self._order += 1
        heapq.heappush(self._ready, (-self._urgency.get(name, 0.0), self._order, name))

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        while self._ready and self._in_pool < WORKERS:
            self._in_pool += 1
            pool.submit(self._advance, heapq.heappop(self._ready)[2])

    def _pause(self, tick: _Tick[T]) -> None:
        now = monotonic()
        waited = now - self._waiting_since.setdefault(tick.name, now)
        pause = self._pauses.after(self._turns[tick.name], waited)
        self._turns[tick.name] += 1
        self._on_wait(tick.name, tick.waits_for)
        heapq.heappush(self._due, (now + pause, tick.name))

    def _advance(self, name: str) -> None:
        self._in_progress.add(name)
        try:
            tick: _Tick[T] = _Tick(name, waits_for=next(self._jobs[name]))
        except StopIteration as end:
            tick = _Tick(name, ended=Result(name, end.value))
        except OrderopsError as error:
            stop = error if error.stops_everything else None
            tick = _Tick(name, ended=Result(name, error=error), error=stop)
        except BaseException as error:
            tick = _Tick(name, error=error)
        # Before the name is discarded: `finish_ticks` must see the one or the other.
        self._ticks.put(tick)
        self._in_progress.discard(name)
