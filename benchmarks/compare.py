"""How long a comparison of two databases takes, against dumping, sorting and comparing every row.

    python benchmarks/compare.py [--rows 1500000]

Two databases of one server with so many rows each, in two tables: orders with a number as its key, lines with a key of
two columns. They are compared as they are, after a few changes, after many that are scattered, and with another value
in every row. The naive way is `COPY … TO STDOUT | sort`, twice and at once, and `diff`; both must count alike.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from big_table import durable_server
from orderops.database.connection import login_from_dsn
from orderops.local.rds.postgres import PostgresServer
from orderops.local.users import scratch
from orderops.restore.compare.comparison import compare
from orderops.restore.compare.merge import Difference

BUILD = (
    "create table orders (id bigint generated always as identity primary key, customer uuid not null,"
    " status text not null, total numeric(12, 2), note text, created timestamptz not null)",
    "insert into orders (customer, status, total, note, created) select gen_random_uuid(),"
    " (array['new', 'paid', 'shipped'])[1 + i % 3], i * 1.37, case when i % 4 = 0 then null else 'note ' || i end,"
    " timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, {orders}) i",
    "create table lines (order_id bigint, n int, sku text, quantity int, primary key (order_id, n))",
    "insert into lines select i / 2, i % 2, 'sku-' || i % 1000, i % 7 from generate_series(1, {lines}) i",
    "vacuum analyze",
)
CHANGES = {
    "nothing changed": (),
    "1 % of the newest orders lost, 70 values changed": (
        "delete from orders where id > (select max(id) * 0.99 from orders)",
        "update orders set note = 'x' where id % 50000 = 7",
        "update lines set quantity = 99 where order_id % 10000 = 3",
    ),
    "1 % of all rows changed, scattered": (
        "update orders set note = 'x' where id % 100 = 7",
        "update lines set quantity = 99 where order_id % 100 = 3",
    ),
    "every row changed": ("update orders set note = 'x'", "update lines set quantity = 99"),
}
TABLES = {"orders": "id", "lines": "order_id, n"}


def main() -> None:
    """Build, change, compare in both ways, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_500_000)
    rows = parser.parse_args().rows
    print(f"{rows:,} rows against as many, in two tables; PostgreSQL and its clients on this machine")
    print(f"{'':50} orderops      naive   times as fast   most memory")
    with durable_server() as server, scratch("orderops-benchmark-") as folder:
        live = server.create_database("live")
        with psycopg.connect(live, autocommit=True) as session:
            for statement in BUILD:
                session.execute(statement.format(orders=rows * 2 // 3, lines=rows // 3).encode())
        for name, changes in CHANGES.items():
            with copy_of(server, changes) as restored:
                ours, counts = timed(lambda: counted(live, restored))
                theirs, lines = timed(lambda: naively(server, live, restored, folder))
            assert lines == counts, f"{lines} and {counts} lines that only one side has"
            print(f"{name:50} {ours:6.1f} s   {theirs:6.1f} s   {theirs / ours:13.1f}   {memory():8} MB", flush=True)


@contextmanager
def copy_of(server: PostgresServer, changes: tuple[str, ...]) -> Iterator[str]:
    """Provide a changed copy of live."""
    with server.connect() as session:
        session.execute("create database restored template live")
    dsn = server.dsn("restored")
    with psycopg.connect(dsn, autocommit=True) as session:
        for statement in (*changes, "vacuum analyze", "checkpoint"):
            session.execute(statement.encode())
    yield dsn
    server.drop_database("restored")


def counted(live: str, restored: str) -> tuple[int, int]:
    """Count the rows as diff counts them: a changed row once on each side."""
    comparison = compare(login_from_dsn(live), login_from_dsn(restored), tables=list(TABLES))
    changed = comparison.rows(Difference.CHANGED)
    return comparison.rows(Difference.ONLY_LIVE) + changed, comparison.rows(Difference.ONLY_RESTORED) + changed


def naively(server: PostgresServer, live: str, restored: str, folder: Path) -> tuple[int, int]:
    """Dump all rows of both to files, sort them and count the lines of diff."""
    only = [0, 0]
    for table in TABLES:
        files = [folder / "live", folder / "restored"]
        dumps = [
            subprocess.Popen(
                f"'{server.bindir / 'psql'}' -X -q -c 'copy {table} to stdout' '{dsn}' | LC_ALL=C sort > {file}",
                shell=True,
            )
            for dsn, file in zip((live, restored), files, strict=True)
        ]
        assert [dump.wait() for dump in dumps] == [0, 0]
        diff = subprocess.Popen(["diff", *files], stdout=subprocess.PIPE)
        assert diff.stdout
        for line in diff.stdout:
            only[0] += line.startswith(b"<")
            only[1] += line.startswith(b">")
        diff.wait()
    return only[0], only[1]


def timed(work: Callable[[], tuple[int, int]]) -> tuple[float, tuple[int, int]]:
    started = time.monotonic()
    result = work()
    return time.monotonic() - started, result


def memory() -> int:
    """Return the peak memory of this process, in MB."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()
