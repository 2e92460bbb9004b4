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

WORKERS = 12
FIRST_PAUSE = 0.01
STEADY_PAUSE = 0.5
LONGEST_PAUSE = 10.0
PAUSE_SHARE = 0.02
"""The first look again comes at once. Then pauses double from the first to the steady one, and from there on they are
this share of the time waited so far, so that the end is seen late by no more than that."""

T = TypeVar("T")
Job = Generator[str, None, T]
"""Yields what it waits for and returns its result; may be resumed on another thread."""
OnWait = Callable[[str, str], None]
"""Told the job's name and what it waits for (nothing when it starts or is done)."""


@dataclass(frozen=True)
class Result(Generic[T]):
    """A job's end: its result, or the refusal that stopped it."""

    name: str
    result: T | None = None
    error: OrderopsError | None = None


@dataclass
class _Tick(Generic[T]):
    name: str
    waits_for: str = ""
    ended: Result[T] | None = None
    error: BaseException | None = None


def run_all(
    jobs: Mapping[str, Job[T]],
    needs: Mapping[str, set[str]],
    *,
    urgency: Mapping[str, float] | None = None,
    watch: OnWait = lambda name, waits_for: None,
) -> Iterator[Result[T]]:
    """Run each job once what it needs has ended well, and yield the ends as they come.

    Where more could run than there are threads, the greatest `urgency` goes first. What needs a refused job is never
    started. An error that is no refusal stops everything and is raised, and so is a refusal that
    says so.
    """
    graph = TopologicalSorter({name: needs.get(name, set()) & jobs.keys() for name in jobs})
    graph.prepare()
    run = _Run(jobs, urgency or {}, watch)
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="course")
    try:
        run.submit(pool, graph.get_ready())
        while run.busy:
            ended = run.next_end(pool)
            if ended.error is None:
                graph.done(ended.name)
            yield ended
            run.submit(pool, graph.get_ready())
    except KeyboardInterrupt:
        run.finish_turns(pool)
        raise Interrupted(sorted(jobs.keys() - run.over)) from None
    finally:
        run.finish_turns(pool)


class _Run(Generic[T]):
    def __init__(self, jobs: Mapping[str, Job[T]], urgency: Mapping[str, float], watch: OnWait) -> None:
        self._jobs = jobs
        self._urgency = urgency
        self._watch = watch
        self._turns: queue.SimpleQueue[_Tick[T]] = queue.SimpleQueue()
        self._ready: list[tuple[float, int, str]] = []
        self._order = 0
        self._in_pool = 0
        self._due: list[tuple[float, str]] = []
        self._waiting_since: dict[str, float] = {}
        self._pauses: Counter[str] = Counter()
        self._started: set[str] = set()
        self._under_way: set[str] = set()
        self.over: set[str] = set()

    @property
    def busy(self) -> bool:
        return self._started != self.over

    def submit(self, pool: ThreadPoolExecutor, names: tuple[str, ...]) -> None:
        for name in names:
            self._started.add(name)
            self._watch(name, "")
            self._queue(name)
        self._fill(pool)

    def next_end(self, pool: ThreadPoolExecutor) -> Result[T]:
        while True:
            while self._due and self._due[0][0] <= monotonic():
                self._queue(heapq.heappop(self._due)[1])
            self._fill(pool)
            try:
                turn = self._turns.get(timeout=max(0.0, self._due[0][0] - monotonic()) if self._due else 1.0)
            except queue.Empty:
                continue
            self._in_pool -= 1
            if turn.error is not None:
                raise turn.error
            if turn.ended is not None:
                self.over.add(turn.name)
                self._watch(turn.name, "")
                return turn.ended
            self._pause(turn)

    def finish_turns(self, pool: ThreadPoolExecutor) -> None:
        """Wait for the turns that have begun, and begin no other."""
        pool.shutdown(cancel_futures=True)
        # a thread that was being started when Ctrl+C came is not known to the pool
        while self._under_way or not self._turns.empty():
            with suppress(queue.Empty):
                turn = self._turns.get(timeout=0.1)
                if turn.ended is not None:
                    self.over.add(turn.name)

    def _queue(self, name: str) -> None:
        self._order += 1
        heapq.heappush(self._ready, (-self._urgency.get(name, 0.0), self._order, name))

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        while self._ready and self._in_pool < WORKERS:
            self._in_pool += 1
            pool.submit(self._advance, heapq.heappop(self._ready)[2])

    def _pause(self, turn: _Tick[T]) -> None:
        now = monotonic()
        waited = now - self._waiting_since.setdefault(turn.name, now)
        turns = self._pauses[turn.name]
        growing = min(FIRST_PAUSE * 2 ** min(turns, 10), STEADY_PAUSE) if turns else 0.0
        self._pauses[turn.name] += 1
        pause = min(max(growing, PAUSE_SHARE * waited), LONGEST_PAUSE)
        self._watch(turn.name, turn.waits_for)
        heapq.heappush(self._due, (now + pause, turn.name))

    def _advance(self, name: str) -> None:
        self._under_way.add(name)
        try:
            turn: _Tick[T] = _Tick(name, waits_for=next(self._jobs[name]))
        except StopIteration as end:
            turn = _Tick(name, ended=Result(name, end.value))
        except OrderopsError as refusal:
            stop = refusal if refusal.stops_everything else None
            turn = _Tick(name, ended=Result(name, error=refusal), error=stop)
        except BaseException as error:
            turn = _Tick(name, error=error)
        self._turns.put(turn)
        self._under_way.discard(name)
