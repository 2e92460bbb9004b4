"""Whom the schema of a laptop environment belongs to, from the first `up` to a restored instance."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from support.order_client import LaptopEnvironment, laptop_environment
from support.page_traffic import page_traffic

pytestmark = pytest.mark.slow

OWNER = "orderops_owner"
TABLES = "select relowner::regrole::text, count(*) from pg_class where relkind = 'r' and relnamespace in"
TABLES += " ('public'::regnamespace, 'orderops_ledger'::regnamespace) group by 1 order by 1"
# As it was before there was such a role.
TAKEN_BACK = f"""
do $$ declare name text; begin
    for name in select format('alter table %s owner to orderops', c.oid::regclass) from pg_class c
        where relkind in ('r', 'v') and relowner = '{OWNER}'::regrole loop execute name; end loop;
end $$;
alter schema orderops_ledger owner to orderops;
alter database orders owner to orderops;
drop owned by {OWNER}; drop role {OWNER};
"""


@pytest.fixture(scope="module")
def laptop() -> Iterator[LaptopEnvironment]:
    with laptop_environment(**{"min_tasks = 2": "min_tasks = 1"}) as environment:
        yield environment


def execute(laptop: LaptopEnvironment, statements: str, instance: str | None = None) -> list[tuple[object, ...]]:
    with psycopg.connect(laptop.dsn(instance), autocommit=True) as connection:
        cursor = connection.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


def owners(laptop: LaptopEnvironment, instance: str | None = None) -> list[tuple[object, ...]]:
    """Each owner of tables with their number."""
    return execute(laptop, TABLES, instance)


@contextmanager
def pair(laptop: LaptopEnvironment, forwards: str, back: str) -> Iterator[None]:
    """A migration that is there for a while."""
    delete = laptop.migration(5, "case", forwards, back)
    try:
        yield
    finally:
        delete()


@contextmanager
def gated(laptop: LaptopEnvironment) -> Iterator[None]:
    """The environment wants a receipt for a while."""
    file = laptop.folder / "environments" / "local.toml"
    text = file.read_text()
    file.write_text(text.replace("on_up = true", "rehearsed = true", 1))
    try:
        yield
    finally:
        file.write_text(text)


def test_the_first_up_makes_everything_the_owners(laptop: LaptopEnvironment) -> None:
    assert [owner for owner, _ in owners(laptop)] == [OWNER]
    users = {user["user"]: user for user in laptop("database", "users", "--json").json}
    assert users[OWNER]["may"] == "own the schema"
    assert not users[OWNER]["logs_in"]
    assert users["orderops"]["may"] == "administer the server, change the schema"


def test_an_older_environment_is_handed_over_without_a_failed_request(laptop: LaptopEnvironment) -> None:
    execute(laptop, TAKEN_BACK)
    before = laptop("migrate", "info")
    asked = laptop("migrate", "grant", "--dry-run")
    url: str = laptop("infra", "outputs", "--json").json["load_balancer_url"]

    with page_traffic(f"{url}/users") as traffic:
        applied = laptop("migrate", "apply", "--yes")

    assert "the schema belongs to orderops" in before.err
    assert f"+ role {OWNER}" in asked.out
    assert f"handed over to {OWNER}: the database and 8 objects" in applied.err
    assert [owner for owner, _ in owners(laptop)] == [OWNER]
    assert traffic.failed == []
    assert "handed over" not in laptop("migrate", "apply", "--yes").err


def test_two_operators_at_once_hand_over_once(laptop: LaptopEnvironment) -> None:
    execute(laptop, TAKEN_BACK)

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: laptop("migrate", "grant", "--yes").err, range(2)))

    assert sum(f"handed over to {OWNER}: the database" in one for one in said) == 1
    assert [owner for owner, _ in owners(laptop)] == [OWNER]


def test_status_and_doctor_name_a_table_of_another_role(laptop: LaptopEnvironment) -> None:
    execute(laptop, "create table stray (id int)")

    notes = laptop("status", "--json").json["notes"]
    checks = {check["name"]: check for check in laptop("doctor", "--json").json["findings"]}
    laptop("migrate", "grant", "--yes")

    what = f"1 table belongs to another role than {OWNER}"
    assert {"priority": "P3", "what": what, "next": "orderops migrate info --env local"} in notes
    assert (checks["schema owner"]["ok"], checks["database login"]["ok"]) == (False, True)
    assert checks["schema owner"]["detail"] == f"1 table not owned by {OWNER}"
    assert not [note for note in laptop("status", "--json").json["notes"] if OWNER in note["what"]]
    execute(laptop, "drop table stray")


def test_a_receipt_from_before_the_hand_over_is_one_for_after_it(laptop: LaptopEnvironment) -> None:
    execute(laptop, TAKEN_BACK)
    with gated(laptop), pair(laptop, "alter table users add note text;\n", "alter table users drop note;\n"):
        rehearsed = laptop("migrate", "rehearsal", "--yes", "--holder", "1s", "--json").json
        before = owners(laptop)
        laptop("migrate", "apply", "--yes")
        after = owners(laptop)
        laptop("migrate", "undo", "--yes", "--to", "4")

    assert rehearsed["verdict"]["impact"] == "SAFE"
    assert ([owner for owner, _ in before], [owner for owner, _ in after]) == (["orderops"], [OWNER])


def test_what_the_owner_may_not_fails_in_the_rehearsal_already(laptop: LaptopEnvironment) -> None:
    with pair(laptop, "create role bystander;\n", "drop role bystander;\n"):
        failed = laptop("migrate", "rehearsal", "--yes", "--holder", "1s", fails=True)

    assert "FAILS" in failed.out + failed.err
    assert "permission denied to create role" in failed.out + failed.err


def test_a_restored_instance_belongs_to_the_owner_and_serves_as_the_primary(laptop: LaptopEnvironment) -> None:
    laptop("restore", "--at", "latest", "--yes")
    restored = next(one["name"] for one in laptop.instances() if one["role"] != "primary")

    assert owners(laptop, restored) == owners(laptop)
    laptop("restore", "compare", restored)
    laptop("restore", "promote", restored, "--yes")

    assert laptop("migrate", "apply", "--yes").err.count("handed over") == 0
    assert laptop("migrate", "info", "--json").json["schema_owner"] == {"role": OWNER, "owned_by_others": []}
    with pair(laptop, "create table more (id int);\n", "drop table more;\n"):
        laptop("migrate", "apply", "--yes")
    assert execute(laptop, "select relowner::regrole::text from pg_class where relname = 'more'") == [(OWNER,)]
    can = "select has_table_privilege('orderops_service', 'more', 'INSERT')"
    can += ", has_table_privilege('orderops_reader', 'more', 'SELECT')"
    assert execute(laptop, can) == [(True, True)]
