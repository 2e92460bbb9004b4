"""The wait for a lock: find the blocking sessions, wait for them, and terminate those that the operator releases."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, LiteralString

from orderops.errors import OrderopsError
from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.reporter import Reporter
from orderops.migrations.sql.locks import Lock
from orderops.migrations.sql.parser import identifier

if TYPE_CHECKING:
    from psycopg import Connection

BLOCKERS: LiteralString = """
with recursive wanted as (
    select to_regclass(name)::oid as relation, mode, linked
    from unnest(%(names)s::text[], %(modes)s::text[], %(linked)s::bool[]) as w(name, mode, linked)
), every(relation, mode) as (
    select relation, mode from wanted where relation is not null
    union select i.indrelid, mode from wanted join pg_index i on i.indexrelid = relation
    union select c.confrelid, mode from wanted join pg_constraint c on c.conrelid = relation and c.contype = 'f'
        where linked
    union select h.inhrelid, mode from every join pg_inherits h on h.inhparent = relation
)
select coalesce(l.pid, 0), coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
       coalesce(a.backend_type, 'prepared transaction'), l.relation::regclass::text, l.mode, coalesce(a.query, ''),
       extract(epoch from clock_timestamp() - a.xact_start)::float8,
       coalesce((select r.rolsuper or r.rolreplication from pg_roles r where r.oid = a.usesysid), true)
from every
join pg_locks l on l.locktype = 'relation' and l.relation = every.relation and l.mode = every.mode
     and l.database = (select oid from pg_database where datname = current_database())
left join pg_stat_activity a on a.pid = l.pid
where l.pid is null or l.pid <> all(%(own)s)
"""
QUIET: LiteralString = """
select not exists (
    select from pg_stat_activity
    where datname = current_database() and pid <> all(%(own)s)
        and (xact_start < clock_timestamp() - make_interval(secs => %(older)s)
             or (state is null and coalesce(backend_type, 'client backend') = 'client backend'))
) and not exists (select from pg_prepared_xacts)
"""
# A client session without a visible state may have an old transaction, so it counts as not quiet. Of another role's
# session, a role without pg_read_all_stats sees no backend_type either (pgstatfuncs.c, pg_stat_get_activity).
BLOCKING: LiteralString = """
select a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), a.backend_type, '', '',
       coalesce(a.query, ''), extract(epoch from clock_timestamp() - a.xact_start)::float8,
       coalesce((select r.rolsuper or r.rolreplication from pg_roles r where r.oid = a.usesysid), true)
from unnest(pg_blocking_pids(%(pid)s)) b(pid) join pg_stat_activity a on a.pid = b.pid
where a.pid <> all(%(own)s)
"""


@dataclass
class LockMonitor:
    """Reads the locks of other sessions on a connection of its own."""

    connection: Connection
    own: Collection[int]
    first_seen: dict[int, float] = field(default_factory=dict)
    quiet_at: float = float("-inf")
    """Time of the last check that found no old transaction."""

    def blockers(self, locks: Iterable[Lock], *, older: float = 0.0) -> list[Blocker]:
        """Sessions with locks that conflict with these, in transactions older than `older` seconds."""
        wanted = [
            (identifier(lock.schema, lock.name), mode, lock.linked) for lock in locks for mode in lock.mode.keeps_out
        ]
        if not wanted or (older and self._quiet(older)):
            return []
        names, modes, linked = zip(*wanted, strict=True)
        parameters = {"names": list(names), "modes": list(modes), "linked": list(linked), "own": list(self.own)}
        rows = self.connection.execute(BLOCKERS, parameters).fetchall()
        found = {row[0]: Blocker(*row) for row in rows}
        now = time.monotonic()
        # Without the right to see xact_start, the age counts from the first sighting.
        self.first_seen = {pid: self.first_seen.get(pid, now) for pid in found}
        return [blocker for blocker in found.values() if self._age(blocker, now) >= older]

    def blocking(self, pid: int) -> list[Blocker]:
        """Sessions that the session `pid` waits for right now."""
        rows = self.connection.execute(BLOCKING, {"pid": pid, "own": list(self.own)}).fetchall()
        return [Blocker(*row) for row in rows]

    def _quiet(self, older: float) -> bool:
        """Whether no session has a transaction older than `older` seconds."""
        # A result stays valid for `older` seconds: no transaction that began since can be older than that.
        if time.monotonic() - self.quiet_at < older:
            return True
        now = time.monotonic()
        row = self.connection.execute(QUIET, {"own": list(self.own), "older": older}).fetchone()
        if row and row[0]:
            self.quiet_at = now
            return True
        return False

    def _age(self, blocker: Blocker, now: float) -> float:
        return blocker.age if blocker.age is not None else now - self.first_seen[blocker.pid]


@dataclass
class RetryBudget:
    """How long a run may wait for locks in total, and its intervals in seconds."""

    budget: timedelta
    random: Random = field(default_factory=Random)
    sleep: Callable[[float], None] = time.sleep
    spent: float = 0.0
    """Seconds waited so far."""
    tries: int = 0
    """Lock requests that timed out."""
    poll_interval: float = 0.05
    """Pause between two checks for blockers."""
    traffic_after: float = 5.0
    """From this wait on, only transactions older than `blocker_age` count as blockers."""
    # Where short transactions follow one another without a gap, the table is never free of all of them.
    blocker_age: float = 1.0
    """Shortest age of a blocking transaction after `traffic_after`."""
    shortest_pause: float = 0.1
    """Pause after the first failed try, before the random factor; doubled after each further one."""
    longest_pause: float = 2.0
    """Longest pause between two tries, before the random factor."""

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.spent >= self.budget.total_seconds()

    def wait(self, seconds: float) -> None:
        """Sleep, at most for the rest of the budget, and add the time to `spent`."""
        left = max(0.0, self.budget.total_seconds() - self.spent)
        seconds = min(seconds, left)
        self.sleep(seconds)
        self.spent += seconds

    def pause(self, failed: int) -> None:
        """Wait after the nth failed try, longer each time."""
        # The random factor keeps two runs, or a run and a periodic job, from colliding at every try.
        self.tries += 1
        pause = min(self.longest_pause, self.shortest_pause * 2 ** (failed - 1))
        self.wait(pause * self.random.uniform(0.5, 1.5))


Ask = Callable[[Blocker], bool]
"""Asks whether a blocking session may be terminated."""


@dataclass
class LockWaiter:
    """Waits until no session blocks a lock, before the lock is requested."""

    monitor: LockMonitor
    retry_budget: RetryBudget
    reporter: Reporter = field(default_factory=Reporter)
    may_end: Ask | None = None
    _handled: set[int] = field(default_factory=set)

    def wait_until_free(self, locks: Sequence[Lock], *, older: float, what: str) -> None:
        """Return when no transaction older than `older` seconds holds a lock that conflicts with these.

        Under steady traffic of short transactions such a moment may never come: from `RetryBudget.traffic_after` on,
        younger ones are ignored.
        """
        budget = self.retry_budget
        waited = 0.0
        while blockers := self.monitor.blockers(
            locks, older=older if waited < budget.traffic_after else max(older, budget.blocker_age)
        ):
            self.reporter.waits_for(blockers[0], waited)
            if self.terminate(blockers):
                continue
            self.check(blockers, what)
            before = time.monotonic()
            budget.wait(budget.poll_interval)
            waited += time.monotonic() - before

    def again(self, failed: int, locks: Sequence[Lock], seen: Sequence[Blocker], what: str) -> None:
        """Pause after a lock request that timed out."""
        blockers = seen or self.monitor.blockers(locks)
        self.reporter.now(f"try {failed} got no lock{f':  {blockers[0].brief}' if blockers else ''}")
        self.check(blockers, what)
        self.retry_budget.pause(failed)

    def check(self, blockers: Sequence[Blocker], what: str) -> None:
        """Raise OrderopsError with the blocking sessions if the budget is spent."""
        if not self.retry_budget.over:
            return
        named = (
            "\n".join(blocker.describe for blocker in blockers)
            or "short transactions hold a conflicting lock again and again"
        )
        hints = ["re-run this command to continue; to wait longer: --budget 1h"]
        if self.retry_budget.tries:
            hints.append("if transactions of 200 ms leave no gap, add to the head: -- orderops: lock-timeout 300ms")
        if any(blocker.gives_way for blocker in blockers):
            hints.append(
                "autovacuum is cancelled after a wait of 1 s, add to the head: -- orderops: lock-timeout 1200ms"
            )
        if any(blocker.may_be_ended for blocker in blockers):
            hints.append("to terminate these sessions, with a question for each: --terminate-blockers")
        raise OrderopsError(
            f"{what}: no lock within {self.retry_budget.budget.total_seconds():.0f} s\n{named}", "\n".join(hints)
        )

    def terminate(self, blockers: Sequence[Blocker]) -> bool:
        """Terminate the sessions that the operator agrees to, and cancel autovacuum; asks once about each session."""
        ended = False
        for blocker in blockers:
            # The operator has answered; the session may need a moment to end.
            if blocker.pid in self._handled:
                continue
            if blocker.gives_way:
                self._handled.add(blocker.pid)
                ended = self._cancel(blocker) or ended
            elif self.may_end is not None and blocker.may_be_ended:
                self._handled.add(blocker.pid)
                if not self.may_end(blocker):
                    continue
                # Wait up to 5 s for the session to end, or the next check would report it as a blocker again.
                self.monitor.connection.execute("select pg_terminate_backend(%s, 5000)", [blocker.pid])
                ended = True
        return ended

    def _cancel(self, blocker: Blocker) -> bool:
        # PostgreSQL cancels autovacuum for a session that waits 1 s (deadlock_timeout), longer than one try lasts.
        import psycopg

        try:
            self.monitor.connection.execute("select pg_cancel_backend(%s)", [blocker.pid])
        except psycopg.errors.InsufficientPrivilege:
            return False
        self.reporter.line(f"cancelled {blocker.describe}: it restarts by itself")
        return True
