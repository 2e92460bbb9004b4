"""Parts of the lock wait: budget and pauses, the sessions that are found, named, terminated or left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.migrations.execution.blocker import Blocker
from orderops.migrations.execution.lock_wait import LockMonitor, LockWaiter, RetryBudget
from orderops.migrations.execution.reporter import Reporter
from orderops.migrations.sql.locks import Lock, Mode
from support.migrate_runs import until

pytest_plugins = ["support.postgres_fixtures"]

CLERK = Blocker(
    7, "clerk", "report", "idle in transaction", "client backend", "orders", "RowExclusiveLock", "", 4.4, False
)
ORDERS = [Lock("", "orders", Mode.ACCESS_EXCLUSIVE)]


class Longest(Random):
    """The upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Shortest(Random):
    """The lower end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return a


def budget_of(seconds: float, **values: Any) -> RetryBudget:
    """A budget that takes no time."""
    return RetryBudget(timedelta(seconds=seconds), sleep=lambda _: None, **values)


class Seen(LockMonitor):
    """What each look finds, without a server: the last of `looks` again and again."""

    def __init__(self, *looks: list[Blocker]) -> None:
        super().__init__(None, [])  # type: ignore[arg-type]
        self.looks = list(looks)

    def blockers(self, locks: Iterable[Lock], *, older: float = 0.0) -> list[Blocker]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        wanted = {lock.name for lock in locks}
        return [blocker for blocker in found if blocker.relation in wanted and (blocker.age or 0.0) >= older]


# budget


@pytest.mark.parametrize(("random", "factor"), [(Shortest(), 0.5), (Longest(), 1.5)])
def test_pauses_double_up_to_the_longest_and_differ_between_runs(random: Random, factor: float) -> None:
    pauses: list[float] = []
    budget = RetryBudget(timedelta(minutes=1), random=random, sleep=pauses.append)

    for failed in range(1, 8):
        budget.pause(failed)

    assert pauses == pytest.approx([factor * pause for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)])
    assert budget.spent == pytest.approx(sum(pauses))
    assert budget.tries == 7


def test_waits_end_with_the_budget() -> None:
    waits: list[float] = []
    budget = RetryBudget(timedelta(seconds=5), sleep=waits.append)

    budget.wait(3)
    assert not budget.over
    budget.wait(3)
    budget.wait(3)

    assert (waits, budget.spent, budget.over) == ([3, 2, 0], 5, True)


def test_an_error_before_the_end_of_the_budget_is_none() -> None:
    LockWaiter(Seen([]), budget_of(1)).check([CLERK], "V001__a.sql:1")


LONGER = "re-run this command to continue; to wait longer: --budget 1h"
GAP = "if transactions of 200 ms leave no gap, add to the head: -- orderops: lock-timeout 300ms"
VACUUM = "autovacuum is cancelled after a wait of 1 s, add to the head: -- orderops: lock-timeout 1200ms"
TERMINATE = "to terminate these sessions, with a question for each: --terminate-blockers"
VACUUMING = replace(CLERK, backend="autovacuum worker", query="autovacuum: VACUUM orders")


@pytest.mark.parametrize(
    ("blockers", "tries", "named", "hints"),
    [
        ([CLERK, replace(CLERK, pid=8)], 0, [CLERK.describe, replace(CLERK, pid=8).describe], [LONGER, TERMINATE]),
        ([replace(CLERK, untouchable=True)], 0, [CLERK.describe], [LONGER]),
        ([VACUUMING], 0, [VACUUMING.describe], [LONGER, VACUUM]),
        ([], 3, ["short transactions hold a conflicting lock again and again"], [LONGER, GAP]),
    ],
    ids=["two clients", "a superuser", "autovacuum", "none of them any more"],
)
def test_a_spent_budget_names_the_blocking_sessions_and_what_helps(
    blockers: list[Blocker], tries: int, named: list[str], hints: list[str]
) -> None:
    budget = budget_of(90, spent=90, tries=tries)

    with pytest.raises(OrderopsError) as refused:
        LockWaiter(Seen([]), budget).check(blockers, "V001__a.sql:1")

    assert refused.value.message == "\n".join(["V001__a.sql:1: no lock within 90 s", *named])
    assert refused.value.hint.splitlines() == hints


# waiting


def test_a_wait_ends_when_no_session_blocks_and_counts_against_the_budget() -> None:
    shown: list[tuple[str, str]] = []
    budget = budget_of(60)
    waiter = LockWaiter(Seen([CLERK], [CLERK], []), budget, Reporter("V001", lambda *texts: shown.append(texts)))

    waiter.wait_until_free(ORDERS, older=0.0, what="V001:1")

    assert budget.spent == pytest.approx(0.1)
    assert shown == [("V001", "waits for pid 7, report as clerk")] * 2


def test_a_wait_beyond_the_budget_is_an_error() -> None:
    with pytest.raises(OrderopsError, match=r"^V001:1: no lock within 1 s\npid 7, report as clerk"):
        LockWaiter(Seen([CLERK]), budget_of(1)).wait_until_free(ORDERS, older=0.0, what="V001:1")


def test_under_steady_traffic_only_old_transactions_count_after_a_while() -> None:
    young, old = replace(CLERK, age=0.9), replace(CLERK, age=1.1)
    steady = budget_of(1, traffic_after=0.0)

    LockWaiter(Seen([young]), steady).wait_until_free(ORDERS, older=0.0, what="V001:1")

    assert steady.spent == 0
    with pytest.raises(OrderopsError):
        LockWaiter(Seen([old]), steady).wait_until_free(ORDERS, older=0.0, what="V001:1")
    with pytest.raises(OrderopsError):
        LockWaiter(Seen([young]), budget_of(1)).wait_until_free(ORDERS, older=0.0, what="V001:1")
    LockWaiter(Seen([old]), budget_of(1, traffic_after=0.0)).wait_until_free(ORDERS, older=2.0, what="V001:1")


def test_the_time_of_a_wait_counts_until_only_old_transactions_matter() -> None:
    young = replace(CLERK, age=0.5)
    budget = RetryBudget(timedelta(minutes=1), poll_interval=0.01, traffic_after=0.05)

    LockWaiter(Seen([young]), budget).wait_until_free(ORDERS, older=0.0, what="V001:1")

    assert 0 < budget.spent <= 1


def test_a_session_is_named_once_in_a_lasting_line_if_the_wait_is_long() -> None:
    lines: list[str] = []
    budget = RetryBudget(timedelta(minutes=1), sleep=lambda _: time.sleep(0.3))
    waiter = LockWaiter(Seen(*[[CLERK]] * 4, []), budget, Reporter("V001", say=lines.append))

    waiter.wait_until_free(ORDERS, older=0.0, what="V001:1")

    assert lines == [f"V001: waits for {CLERK.describe}"]


@pytest.mark.parametrize(
    ("seen", "looked", "text"),
    [
        ([CLERK], [], "try 2 got no lock:  pid 7, report as clerk"),
        ([], [CLERK], "try 2 got no lock:  pid 7, report as clerk"),
        ([], [], "try 2 got no lock"),
    ],
)
def test_a_try_that_got_no_lock_names_who_held_it_and_is_followed_by_a_pause(
    seen: list[Blocker], looked: list[Blocker], text: str
) -> None:
    shown: list[str] = []
    budget = budget_of(60, random=Longest())
    waiter = LockWaiter(Seen(looked), budget, Reporter("V001", lambda _, progress: shown.append(progress)))

    waiter.again(2, ORDERS, seen, "V001:1")

    assert shown == [text]
    assert budget.tries == 1
    assert budget.spent == pytest.approx(0.3)


def test_a_try_after_the_budget_is_an_error() -> None:
    with pytest.raises(OrderopsError, match=r"^V001:1: no lock within 1 s\npid 7"):
        LockWaiter(Seen([]), budget_of(1, spent=1)).again(1, ORDERS, [CLERK], "V001:1")


# names


@pytest.mark.parametrize(
    ("blocker", "brief", "description"),
    [
        (
            replace(CLERK, query="update orders set total = 5 where name = 'x';  "),
            "pid 7, report as clerk",
            "pid 7, report as clerk, idle in transaction for 4 s, holds RowExclusiveLock on orders; "
            "last statement: update orders set total = $1 where name = $2",
        ),
        (
            replace(CLERK, application="", age=None),
            "pid 7, clerk",
            "pid 7, clerk, idle in transaction, holds RowExclusiveLock on orders",
        ),
        (
            replace(CLERK, application="", user="", state="", backend="autovacuum worker", relation=""),
            "pid 7, autovacuum worker",
            "pid 7, autovacuum worker for 4 s",
        ),
        (
            replace(CLERK, pid=0),
            "a prepared transaction",
            "a prepared transaction (select * from pg_prepared_xacts) holds RowExclusiveLock on orders",
        ),
    ],
    ids=["a client", "with little visible", "a worker", "no session"],
)
def test_a_session_is_named_by_what_it_does_and_holds(blocker: Blocker, brief: str, description: str) -> None:
    assert (blocker.brief, blocker.describe) == (brief, description)


# Which processes may be stopped: PostgreSQL's documentation of pg_signal_backend and "Preventing Transaction ID
# Wraparound Failures".
@pytest.mark.parametrize(
    ("blocker", "gives_way", "may_be_ended"),
    [
        (CLERK, False, True),
        (replace(CLERK, untouchable=True), False, False),
        (replace(CLERK, pid=0), False, False),
        (replace(CLERK, backend="walsender"), False, False),
        (VACUUMING, True, False),
        (replace(VACUUMING, query="autovacuum: VACUUM orders (to prevent wraparound)"), False, False),
        (replace(CLERK, query="autovacuum: VACUUM orders"), False, True),
    ],
    ids=["client", "superuser", "prepared", "replication", "autovacuum", "wraparound", "a client that says so"],
)
def test_only_autovacuum_gives_way_and_only_clients_are_terminated(
    blocker: Blocker, gives_way: bool, may_be_ended: bool
) -> None:
    assert (blocker.gives_way, blocker.may_be_ended) == (gives_way, may_be_ended)


# sessions of a server


@pytest.fixture
def work(module_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database, autocommit=True) as connection:
        connection.execute("create table if not exists orders (id int)")
        yield connection


@contextmanager
def holder(dsn: str, name: str = "report") -> Iterator[tuple[psycopg.Connection, Blocker]]:
    """A session that holds a lock, as a client that may be terminated."""
    with psycopg.connect(dsn, application_name=name) as connection:
        connection.execute("select from orders")
        yield connection, replace(CLERK, pid=connection.info.backend_pid)


def is_alive(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


def monitor_of(connection: psycopg.Connection) -> LockMonitor:
    return LockMonitor(connection, [connection.info.backend_pid])


def test_a_session_is_terminated_only_after_a_question_that_is_asked_once(
    module_database: str, work: psycopg.Connection
) -> None:
    with (
        holder(module_database) as (first, kept),
        holder(module_database) as (second, ended),
        holder(module_database) as (third, superuser),
    ):
        questions: list[int] = []

        def may_end(blocker: Blocker) -> bool:
            questions.append(blocker.pid)
            return blocker == ended

        blockers = [replace(superuser, untouchable=True), kept, ended]
        waiter = LockWaiter(monitor_of(work), budget_of(1), may_end=may_end)

        assert waiter.terminate(blockers)
        assert not waiter.terminate(blockers)
        assert questions == [kept.pid, ended.pid]
        assert [is_alive(connection) for connection in (first, second, third)] == [True, False, True]
        assert not LockWaiter(monitor_of(work), budget_of(1)).terminate([kept])
        assert is_alive(first)


def test_autovacuum_is_cancelled_without_a_question_and_named(module_database: str, work: psycopg.Connection) -> None:
    lines: list[str] = []
    cancelled: list[type[BaseException]] = []
    with psycopg.connect(module_database) as busy:

        def sleep() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled) as error:
                busy.execute("select pg_sleep(60)")
            cancelled.append(error.type)

        sleeping = threading.Thread(target=sleep)
        sleeping.start()
        vacuum = replace(VACUUMING, pid=busy.info.backend_pid)
        state = "select state from pg_stat_activity where pid = %s"
        until(lambda: work.execute(state, [vacuum.pid]).fetchall() == [("active",)], "a statement runs")
        waiter = LockWaiter(monitor_of(work), budget_of(1), Reporter("V001", say=lines.append))

        assert waiter.terminate([vacuum])
        assert not waiter.terminate([vacuum])
        sleeping.join(timeout=30)

    assert cancelled == [psycopg.errors.QueryCanceled]
    assert lines == [f"V001: cancelled {vacuum.describe}: it restarts by itself"]


def test_a_role_that_may_not_cancel_autovacuum_waits_for_it(module_database: str, work: psycopg.Connection) -> None:
    lines: list[str] = []
    work.execute("create role powerless")
    try:
        with holder(module_database) as (connection, blocker):
            work.execute("set role powerless")
            waiter = LockWaiter(monitor_of(work), budget_of(1), Reporter("V001", say=lines.append))

            assert not waiter.terminate([replace(blocker, backend="autovacuum worker")])
            assert is_alive(connection)
    finally:
        work.execute("reset role; drop role powerless")

    assert lines == []


def test_only_transactions_of_the_requested_age_and_of_other_sessions_count(
    module_database: str, work: psycopg.Connection
) -> None:
    with holder(module_database) as (connection, blocker):
        monitor = monitor_of(work)
        [found] = monitor.blockers(ORDERS)
        assert (found.pid, found.application, found.state) == (blocker.pid, "report", "idle in transaction")
        assert (found.relation, found.mode, found.backend) == ("orders", "AccessShareLock", "client backend")
        assert found.untouchable, "the session of a superuser"
        assert found.age is not None and 0 <= found.age < 60
        assert monitor.blockers(ORDERS, older=60) == []
        assert monitor.blockers([Lock("", "orders", Mode.SHARE)]) == [], "reads do not conflict with it"
        assert monitor.blockers([]) == []
        until(lambda: bool(monitor.blockers(ORDERS, older=0.05)), "the transaction is old enough")
        own = LockMonitor(work, [work.info.backend_pid, connection.info.backend_pid])
        assert own.blockers(ORDERS) == []


def test_a_table_is_found_in_its_schema(module_database: str, work: psycopg.Connection) -> None:
    work.execute("create schema app; create table app.items (id int)")
    with psycopg.connect(module_database) as connection:
        connection.execute("select from app.items")

        [found] = monitor_of(work).blockers([Lock("app", "items", Mode.ACCESS_EXCLUSIVE)])
        assert (found.pid, found.relation) == (connection.info.backend_pid, "app.items")
        assert monitor_of(work).blockers([Lock("", "items", Mode.ACCESS_EXCLUSIVE)]) == []


def test_without_the_right_to_see_ages_a_session_is_as_old_as_its_first_sighting(
    module_database: str, work: psycopg.Connection
) -> None:
    work.execute("create role blind")
    try:
        with holder(module_database):
            work.execute("set role blind")
            monitor = monitor_of(work)

            assert monitor.blockers(ORDERS, older=0.3) == []
            [found] = monitor.blockers(ORDERS)
            assert (found.age, found.query) == (None, "<insufficient privilege>")
            until(lambda: bool(monitor.blockers(ORDERS, older=0.3)), "the sighting is old enough")
    finally:
        work.execute("reset role; drop role blind")


def test_a_look_without_old_transactions_stays_valid_for_that_age(work: psycopg.Connection) -> None:
    monitor = monitor_of(work)
    assert monitor.blockers(ORDERS, older=60) == []
    work.close()  # another look would be an error

    assert monitor.blockers(ORDERS, older=60) == []
    monitor.quiet_at -= 60
    with pytest.raises(psycopg.OperationalError):
        monitor.blockers(ORDERS, older=60)


def test_an_old_transaction_is_looked_for_again_at_once(module_database: str, work: psycopg.Connection) -> None:
    monitor = monitor_of(work)
    with holder(module_database) as (_, blocker):
        until(lambda: [found.pid for found in monitor.blockers(ORDERS, older=0.2)] == [blocker.pid], "it is old")
        assert [found.pid for found in monitor.blockers(ORDERS, older=0.2)] == [blocker.pid]


def test_the_sessions_that_a_waiting_session_waits_for_are_found(
    module_database: str, work: psycopg.Connection
) -> None:
    with (
        holder(module_database, "idler") as (_, blocker),
        psycopg.connect(module_database, autocommit=True) as waiting,
    ):
        assert monitor_of(work).blocking(waiting.info.backend_pid) == []
        request = threading.Thread(target=lock, args=(waiting,))
        request.start()
        until(lambda: bool(monitor_of(work).blocking(waiting.info.backend_pid)), "it waits")

        [found] = monitor_of(work).blocking(waiting.info.backend_pid)
        work.execute("select pg_cancel_backend(%s)", [waiting.info.backend_pid])
        request.join(timeout=30)

    assert (found.pid, found.application, found.relation, found.mode) == (blocker.pid, "idler", "", "")


def lock(connection: psycopg.Connection) -> None:
    """Request a lock until another session cancels that."""
    with pytest.raises(psycopg.errors.QueryCanceled), connection.transaction():
        connection.execute("lock table orders")
