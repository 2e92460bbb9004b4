"""What a database has that keeps RDS from upgrading it."""

from __future__ import annotations

import pytest

from orderops.database.extensions import Extension, UpgradeCheck
from orderops.errors import OrderopsError


# Release notes of PostgreSQL 17, "Migration to Version 17": adminpack and old_snapshot are removed.
@pytest.mark.parametrize(("name", "major", "gone"), [("adminpack", 17, True), ("adminpack", 16, False)])
def test_an_extension_that_the_new_version_lacks_is_refused(name: str, major: int, gone: bool) -> None:
    has = UpgradeCheck((Extension(name, "2.1", "2.1"), Extension("pg_trgm", "1.6", "1.6")))

    if not gone:
        has.check(major)
        return
    with pytest.raises(OrderopsError, match=f"PostgreSQL {major} has no {name}, which") as refused:
        has.check(major)
    assert refused.value.hint == f"DROP EXTENSION {name}"


@pytest.mark.parametrize(
    ("has", "words"),
    [
        (UpgradeCheck(prepared=2), "2 prepared transactions"),
        (UpgradeCheck(logical_slots=1), "1 logical replication slot, "),
    ],
)
def test_what_rds_does_not_begin_with_is_refused(has: UpgradeCheck, words: str) -> None:
    with pytest.raises(OrderopsError, match=words):
        has.check(18)


def test_extensions_are_listed_with_what_comes_first() -> None:
    has = UpgradeCheck((Extension("pg_trgm", "1.6", "1.6"), Extension("postgis", "3.3.2", "3.4.2")))

    assert has.in_words() == "pg_trgm 1.6, postgis 3.3.2; before the upgrade: ALTER EXTENSION postgis UPDATE"
    current = UpgradeCheck((Extension("postgis", "3.4.2", "3.4.2"),))
    assert current.in_words() == "postgis 3.4.2; afterwards ALTER EXTENSION … UPDATE"
    assert UpgradeCheck().in_words() == "none but plpgsql"
