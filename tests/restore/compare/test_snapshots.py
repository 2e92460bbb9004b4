"""The sessions of a comparison: one snapshot, nothing written, no limit of the database, and errors with its name."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from orderops.database.connection import Login
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.restore.compare.snapshots import Snapshot, Unreadable, open_snapshots
from support.two_databases import DatabasePair

pytest_plugins = ["support.postgres_fixtures", "support.two_databases"]

# Every timeout of a session in PostgreSQL's documentation, section "Statement Behavior"; the last since version 17.
TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
LIMITS = f"select name, setting from pg_settings where name in {TIMEOUTS} or name = 'lock_timeout'"


def test_no_timeout_of_a_database_ends_a_session_of_a_comparison(two: DatabasePair) -> None:
    known = [name for (name,) in two.live.rows(f"select name from pg_settings where name in {TIMEOUTS}")]
    two.live.execute(*(f"alter database test_live set {name} to '10min'" for name in known))
    try:
        with (
            open_snapshots(two.live.login, two.restored.login, timedelta(seconds=1.5)) as first,
            first.second_session() as second,
        ):
            limits = [dict(snapshots.live.rows(LIMITS)) for snapshots in (first, second)]
    finally:
        two.live.execute("alter database test_live reset all")

    assert limits == [{**dict.fromkeys(known, "0"), "lock_timeout": "1500"}] * 2


def test_every_session_reads_the_same_moment(two: DatabasePair) -> None:
    two.both("create table orders (id int primary key)")
    with open_snapshots(two.live.login, two.restored.login) as first:
        two.both("insert into orders values (1)")
        with first.second_session() as second:
            found = [
                snapshot.rows("select id from public.orders")
                for snapshots in (first, second)
                for snapshot in snapshots.both
            ]
            names = [snapshot.name for snapshot in second.both]

    assert found == [[]] * 4
    assert names == ["live", "restored"]


def test_a_snapshot_knows_its_server_and_its_moment(two: DatabasePair) -> None:
    [(before,)] = two.live.rows("select clock_timestamp()")
    with open_snapshots(two.live.login, two.restored.login) as snapshots:
        [(after,)] = two.live.rows("select clock_timestamp()")
        [(version,)] = two.live.rows("select current_setting('server_version_num')::int")

    for snapshot in snapshots.both:
        assert before <= snapshot.taken <= after
        assert (snapshot.version, snapshot.encoding) == (version, "UTF8")
    assert not snapshots.encodings_differ
    assert replace(snapshots, live=replace(snapshots.live, encoding="LATIN1")).encodings_differ


def test_nothing_is_written(two: DatabasePair) -> None:
    two.both("create table orders (id int primary key)")

    with open_snapshots(two.live.login, two.restored.login) as first, first.second_session() as second:
        for snapshots in (first, second):
            for snapshot in snapshots.both:
                with pytest.raises(Unreadable) as refused, snapshot.releasing_locks():
                    snapshot.rows("insert into public.orders values (1) returning id")
                assert refused.value.message == f"{snapshot.name}: cannot execute INSERT in a read-only transaction"

    assert two.live.rows("select id from orders") == two.restored.rows("select id from orders") == []


def test_locks_end_with_the_block_that_took_them_even_after_an_error(two: DatabasePair) -> None:
    two.both("create table orders (id int primary key)")
    held = (
        "select count(*)::int from pg_locks l join pg_database d on d.oid = l.database"
        " where relation = 'public.orders'::regclass and d.datname = current_database()"
    )

    with open_snapshots(two.live.login, two.restored.login) as snapshots:
        with snapshots.releasing_locks():
            for snapshot in snapshots.both:
                snapshot.rows("select id from public.orders")
            during = two.live.rows(held), two.restored.rows(held)
        with pytest.raises(Unreadable), snapshots.releasing_locks():
            snapshots.live.rows("select id from public.orders")
            snapshots.live.rows("select 1 / 0")
        afterwards = two.live.rows(held), two.restored.rows(held)
        assert snapshots.live.rows("select 1") == [(1,)]

    assert afterwards == ([(0,)], [(0,)])
    assert all(count for [(count,)] in during)


# errors


class Refusal(psycopg.Error):
    """An error with a SQLSTATE, as the server sends it."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = state


LOGIN = Login(host="h", port=5432, dbname="orders", sslmode="", username="clerk", password="")
LOST = "the connection to the live database orders on h:5432 was lost: "


def translated(error: BaseException, **connection: Any) -> OrderopsError:
    state = SimpleNamespace(**{"broken": False, "closed": False, **connection})
    snapshot = Snapshot("live", LOGIN, cast(Any, state), "", cast(Any, None), 180000, "UTF8", timedelta(seconds=2.5))
    with pytest.raises(OrderopsError) as raised, snapshot.translated_errors():
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (Refusal("42501", "permission denied for table t"), "permission denied for table t", "the role is clerk"),
        (Refusal("55P03", "canceling statement"), "another session holds a lock for more than 2.5 s", ""),
        (Refusal("42P01", 'relation "t"\n  does not exist'), 'relation "t" does not exist', ""),
    ],
    ids=["no privilege", "a lock", "another"],
)
def test_what_cannot_be_read_is_an_error_of_one_table(error: Refusal, message: str, hint: str) -> None:
    refused = translated(error)

    assert isinstance(refused, Unreadable)
    assert (refused.message, refused.hint) == (f"live: {message}", hint)


@pytest.mark.parametrize(
    ("error", "connection"),
    [
        (Refusal("57P01", "terminating connection"), {}),
        (Refusal("08006", "terminating connection"), {}),
        (Refusal("", "terminating connection"), {}),
        (Refusal("42501", "terminating connection"), {"broken": True}),
        (Refusal("42501", "terminating connection"), {"closed": True}),
    ],
    ids=["by an administrator", "connection failure", "no state", "broken", "closed"],
)
def test_a_lost_connection_ends_the_comparison(error: Refusal, connection: dict[str, bool]) -> None:
    lost = translated(error, **connection)

    assert not isinstance(lost, Unreadable)
    assert (lost.message, lost.hint) == (
        f"{LOST}terminating connection",
        "nothing was changed; re-run this command once the database accepts connections",
    )


def test_a_lost_connection_without_a_word_of_the_server_is_an_error_too() -> None:
    assert translated(Refusal("", "")).message == f"{LOST}no response"


def test_text_that_is_not_valid_is_an_error_of_one_table() -> None:
    refused = translated(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))

    assert isinstance(refused, Unreadable)
    assert refused.message == "live: it contains text that is not valid UTF8"
