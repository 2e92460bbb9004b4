"""`orderops database upgrade` against the emulator over HTTP: checked, declared, carried out, refused and repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orderops.database.extensions import Extension, UpgradeCheck
from orderops.database.statistics import Analysis
from orderops.errors import OrderopsError
from support.command_line import Orderops, Said
from support.faulty_proxy import Proxy
from support.guided_changes_fixtures import NAME, instance
from support.repository import ENVIRONMENTS

pytestmark = pytest.mark.slow

pytest_plugins = ["support.guided_changes_fixtures", "support.dev_accounts"]
Upgrade = Callable[..., Said]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> list[UpgradeCheck | OrderopsError]:
    """What the database has, in the only item: the emulator has no server to read."""
    has: list[UpgradeCheck | OrderopsError] = [UpgradeCheck((Extension("pg_stat_statements", "1.10", "1.10"),))]

    def read(_: Any) -> UpgradeCheck:
        if isinstance(has[0], OrderopsError):
            raise has[0]
        return has[0]

    monkeypatch.setattr("orderops.operations.database_upgrade.upgrade_check", read)
    return has


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str], proxy: Proxy, dev_released: bytes, folder: Path, database: object
) -> Orderops:
    proxy.bring_back(dev_released)
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture
def upgrade(orderops: Orderops) -> Upgrade:
    return lambda version, *words: orderops("database", "upgrade", "--to", version, "--yes", *words)


def words_of(said: Said) -> str:
    return " ".join(f"{said.out} {said.err}".split())


def test_a_major_version_is_declared_and_in_force_with_its_parameter_group(
    upgrade: Upgrade, rds: Any, folder: Path
) -> None:
    text = (folder / "dev.toml").read_text()

    said = upgrade("17")

    assert said.code == 0, said.err
    found = instance(rds)
    assert found["EngineVersion"] == "17.11"
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == "orderops-dev-postgres17"
    after = (folder / "dev.toml").read_text()
    assert 'engine_version = "17"\n' in after
    assert after.replace('engine_version = "17"\n', "") == text
    assert "then: orderops database analyze --env dev" in words_of(said)


def test_the_plan_names_the_extensions_and_that_there_is_no_way_back(upgrade: Upgrade, rds: Any, proxy: Proxy) -> None:
    proxy.forget()

    said = words_of(upgrade("17", "--dry-run"))

    assert "EngineVersion: 16.15 -> 17" in said
    assert "+ create rds-parameter-group/orderops-dev-postgres17" in said
    assert "AWS's usual figure is 10 to 30 min" in said
    assert "extensions: pg_stat_statements 1.10" in said
    assert "rehearsal: none on record" in said
    assert "the way back is a restore to a time before the upgrade" in said
    assert proxy.changing == []
    assert instance(rds)["EngineVersion"] == "16.15"


def test_a_repeated_upgrade_says_so_and_changes_nothing(upgrade: Upgrade, proxy: Proxy) -> None:
    upgrade("17")
    proxy.forget()

    said = upgrade("17")

    assert said.code == 0
    assert "orderops-dev-database has 17 already; nothing was changed" in said.err
    assert proxy.changing == []


def test_in_the_window_the_version_waits_and_now_carries_it_out(upgrade: Upgrade, rds: Any) -> None:
    upgrade("17", "--at", "window")
    waiting = instance(rds)

    said = upgrade("17", "--at", "now")

    assert (waiting["EngineVersion"], waiting["PendingModifiedValues"]) == ("16.15", {"EngineVersion": "17.11"})
    assert said.code == 0, said.err
    assert (instance(rds)["EngineVersion"], instance(rds)["PendingModifiedValues"]) == ("17.11", {})


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("seventeen", "'seventeen' is no version of PostgreSQL from 13 on"),
        ("15", "RDS never lowers one"),
        (
            "17.1",
            "RDS cannot upgrade orderops-dev-database from PostgreSQL 16.15 to 17.1 in one step",
        ),
    ],
)
def test_a_version_that_no_upgrade_leads_to_is_refused_before_anything_changes(
    upgrade: Upgrade, proxy: Proxy, folder: Path, version: str, said: str
) -> None:
    text = (folder / "dev.toml").read_text()
    proxy.forget()

    refused = upgrade(version)

    assert refused.code in (1, 2)
    assert said in words_of(refused)
    assert proxy.changing == []
    assert (folder / "dev.toml").read_text() == text


@pytest.mark.parametrize(
    ("has", "said"),
    [
        (UpgradeCheck((Extension("adminpack", "2.1"),)), "PostgreSQL 17 has no adminpack, which the database uses"),
        (UpgradeCheck(prepared=1), "the database has 1 prepared transaction, and RDS upgrades none with them"),
        (UpgradeCheck(logical_slots=2), "the database has 2 logical replication slots, and RDS upgrades none with"),
    ],
)
def test_what_the_database_has_and_an_upgrade_does_not_take_is_refused(
    upgrade: Upgrade,
    proxy: Proxy,
    database: list[UpgradeCheck | OrderopsError],
    has: UpgradeCheck,
    said: str,
) -> None:
    database[0] = has
    proxy.forget()

    refused = upgrade("17")

    assert refused.code == 1
    assert said in words_of(refused)
    assert proxy.changing == []


def test_a_database_that_cannot_be_read_is_named_and_not_taken_for_one_without_extensions(
    upgrade: Upgrade, database: list[UpgradeCheck | OrderopsError]
) -> None:
    database[0] = OrderopsError("no route to it")

    said = words_of(upgrade("17", "--dry-run"))

    assert "extensions: not checked, since the database was not reached (no route to it)" in said
    assert "read them: orderops database extensions --env dev" in said


def test_a_minor_version_that_is_older_than_the_running_one_is_in_force(upgrade: Upgrade, proxy: Proxy) -> None:
    proxy.forget()

    said = upgrade("16.9")

    assert said.code == 0
    assert "rds.ModifyDBInstance" not in proxy.changing


def test_where_rehearsals_are_asked_for_an_upgrade_without_one_needs_a_reason_on_record(
    upgrade: Upgrade, orderops: Orderops, folder: Path, proxy: Proxy
) -> None:
    file = folder / "dev.toml"
    file.write_text(f"{file.read_text()}\n[migrations]\nrehearsed = true\n")
    proxy.forget()

    refused = upgrade("17")
    halfway = upgrade("17", "--without-rehearsal")
    assert proxy.changing == []
    done = upgrade("17", "--without-rehearsal", "--reason", "a test")

    assert "an upgrade of dev to PostgreSQL 17 was not rehearsed; nothing was changed" in words_of(refused)
    assert (refused.code, halfway.code, done.code) == (1, 2, 0)
    [run] = orderops("history", "--json", "--last", "1").json
    assert [step["reason"] for step in run["steps"] if step.get("action") == "not rehearsed"] == ["a test"]


def test_a_rehearsal_upgrades_a_copy_keeps_what_it_took_and_deletes_the_copy(
    upgrade: Upgrade, orderops: Orderops, folder: Path, rds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The emulator has no server to read.
    monkeypatch.setattr("orderops.operations.upgrade_rehearsal.analyze_instance", lambda *_: Analysis(0.5, 7, "17.11"))
    file = folder / "dev.toml"
    file.write_text(f"{file.read_text()}\n[migrations]\nrehearsed = true\n")
    text = file.read_text()
    while "LatestRestorableTime" not in instance(rds):
        pass

    rehearsed = upgrade("17", "--rehearse", "--json")
    left = [found["DBInstanceIdentifier"] for found in rds.describe_db_instances()["DBInstances"]]
    unchanged = (file.read_text(), instance(rds)["EngineVersion"])
    shown = words_of(upgrade("17", "--dry-run"))
    done = upgrade("17")

    assert rehearsed.code == 0, rehearsed.err
    assert (rehearsed.json["kind"], rehearsed.json["before"], rehearsed.json["after"]) == ("rehearsal", "16.15", "17")
    assert rehearsed.json["analyze"] == {"seconds": 0.5, "tables": 7, "version": "17.11"}
    assert left == [NAME]
    assert unchanged == (text, "16.15")
    assert "rehearsal: a copy took" in shown
    assert done.code == 0, done.err
    assert instance(rds)["EngineVersion"] == "17.11"


def test_a_rehearsal_of_another_version_does_not_count(
    upgrade: Upgrade, folder: Path, monkeypatch: pytest.MonkeyPatch, rds: Any, proxy: Proxy
) -> None:
    monkeypatch.setattr("orderops.operations.upgrade_rehearsal.analyze_instance", lambda *_: Analysis(0.5, 7, "17.11"))
    file = folder / "dev.toml"
    file.write_text(f"{file.read_text()}\n[migrations]\nrehearsed = true\n")
    while "LatestRestorableTime" not in instance(rds):
        pass
    upgrade("17", "--rehearse")

    refused = upgrade("18")

    assert "an upgrade of dev to PostgreSQL 18 was not rehearsed" in words_of(refused)
    assert "rehearse it: orderops database upgrade --to 18 --env dev --rehearse" in words_of(refused)


def test_a_version_that_no_upgrade_leads_to_is_not_rehearsed(upgrade: Upgrade, proxy: Proxy) -> None:
    proxy.forget()

    refused = upgrade("17.1", "--rehearse")

    assert "RDS cannot upgrade orderops-dev-database from PostgreSQL 16.15 to 17.1 in one step" in words_of(refused)
    assert "nothing to rehearse" in words_of(upgrade("16", "--rehearse"))
    assert proxy.changing == []


def test_the_laptop_has_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    refused = Orderops(capsys)("database", "upgrade", "--to", "17", "--environments", str(ENVIRONMENTS))

    assert refused.code == 2
    assert "local is on this machine" in words_of(refused)
    assert "cannot upgrade a database to another version" in words_of(refused)
