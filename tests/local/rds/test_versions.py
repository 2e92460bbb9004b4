"""The version of PostgreSQL: that of the server that runs, and of the data that it can read."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from orderops.errors import OrderopsError
from orderops.local import users
from orderops.local.rds.binaries import find_bindir, has_library, version_numbers
from orderops.local.rds.postgres import UNDURABLE, PostgresServer
from support.laptop import Laptop


def test_an_instance_reports_the_version_of_its_server(laptop: Laptop) -> None:
    [default, given] = [laptop.create_database(), laptop.create_database(EngineVersion="18")]

    for instance in (default, given):
        with laptop.connect(instance) as session:
            row = session.execute("SELECT split_part(current_setting('server_version'), ' ', 1)").fetchone()
        assert (instance["EngineVersion"],) == row


def test_only_a_library_that_the_installation_has_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib" / "postgresql").mkdir(parents=True)
    (tmp_path / "lib" / "postgresql" / "plpgsql.so").touch()

    assert has_library(find_bindir(), "pg_stat_statements")
    assert has_library(tmp_path / "bin", "plpgsql")
    assert not has_library(tmp_path / "bin", "pg_stat_statements")


@pytest.mark.parametrize("version", ["16", "16.4", "19", "18.99"])
def test_a_version_that_the_laptop_does_not_have_is_refused(laptop: Laptop, version: str) -> None:
    with pytest.raises(ClientError, match=f"PostgreSQL {version} does not run on this laptop, which has 18") as refusal:
        laptop.create_database(EngineVersion=version)

    assert refusal.value.response["Error"]["Code"] == "InvalidParameterCombination"
    assert 'Set engine_version = "18" under [database]' in str(refusal.value)


def test_an_upgrade_to_a_version_that_the_laptop_does_not_have_is_refused(laptop: Laptop) -> None:
    instance = laptop.create_database()

    with pytest.raises(ClientError, match="PostgreSQL 19 does not run on this laptop"):
        laptop.client("rds").modify_db_instance(
            DBInstanceIdentifier=instance["DBInstanceIdentifier"],
            EngineVersion="19",
            AllowMajorVersionUpgrade=True,
            ApplyImmediately=True,
        )


def test_data_of_another_major_version_is_refused_with_the_command_that_helps() -> None:
    with users.scratch() as directory:
        server = PostgresServer(directory / "one", settings=UNDURABLE)
        server.create()
        (server.data / "PG_VERSION").write_text("16\n")

        with pytest.raises(OrderopsError, match=r"is of PostgreSQL 16, and .* is PostgreSQL 18") as refusal:
            server.start()

    assert "ORDEROPS_PG_BIN=DIR orderops local start" in refusal.value.hint
    assert "orderops local reset" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("18.6", "18.6"), ("16.4 (Debian 16.4-1.pgdg120+1)", "16.4"), ("19beta1", "19"), ("18devel", "18")],
)
def test_a_version_has_only_numbers(text: str, numbers: str) -> None:
    assert version_numbers(text) == numbers
