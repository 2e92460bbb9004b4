"""`orderops env new` and `orderops env diff`, on folders of environment files."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from support.command_line import Orderops
from support.repository import ENVIRONMENTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ENVIRONMENTS.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


@pytest.fixture
def orderops(capsys: pytest.CaptureFixture[str], folder: Path) -> Orderops:
    return Orderops(capsys, "--environments", str(folder))


def test_a_new_file_keeps_every_comment_and_changes_the_range_alone(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()

    said = orderops("env", "new", "qa", "--like", "dev")

    assert said.code == 0, said.err
    # 10.0 to 10.2 are those of dev, staging and prod.
    assert (folder / "qa.toml").read_text() == text.replace("10.0.0.0/16", "10.3.0.0/16")
    assert said.out.strip() == str(folder / "qa.toml")
    assert orderops("env", "check", "qa").code == 0


def test_a_range_that_the_file_leaves_to_the_default_is_written(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    (folder / "dev.toml").write_text(text.replace('cidr = "10.0.0.0/16"\n', ""))

    assert orderops("env", "new", "qa", "--like", "dev").code == 0

    assert tomllib.loads((folder / "qa.toml").read_text())["network"]["cidr"] == "10.3.0.0/16"


def test_a_smaller_range_overlaps_no_larger_one(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    (folder / "dev.toml").write_text(text.replace("10.0.0.0/16", "10.0.240.0/20"))

    assert orderops("env", "new", "qa", "--like", "dev").code == 0

    # Behind it begins 10.1.0.0/16, of staging; the laptop has the default, 10.0.0.0/16.
    cidr = IPv4Network(tomllib.loads((folder / "qa.toml").read_text())["network"]["cidr"])
    assert str(cidr) == "10.3.0.0/20"


def test_a_dry_run_shows_the_difference_and_writes_nothing(orderops: Orderops, folder: Path) -> None:
    said = orderops("env", "new", "qa", "--like", "dev", "--dry-run")

    assert said.code == 0
    assert '+cidr = "10.3.0.0/16"' in said.out
    assert not (folder / "qa.toml").exists()


def test_an_existing_file_is_not_overwritten(orderops: Orderops, folder: Path) -> None:
    text = (folder / "staging.toml").read_text()

    said = orderops("env", "new", "staging", "--like", "dev")

    assert said.code == 2
    assert "staging.toml exists already; nothing was written" in said.err
    assert (folder / "staging.toml").read_text() == text


def test_a_link_to_nowhere_is_not_written_through(orderops: Orderops, folder: Path) -> None:
    (folder / "qa.toml").symlink_to(folder / "elsewhere.toml")

    assert orderops("env", "new", "qa", "--like", "dev").code == 2
    assert not (folder / "elsewhere.toml").exists()


@pytest.mark.parametrize("name", ["QA", "q_a", "", "../qa", "1st", "a-very-long-name", "qa-"])
def test_a_name_that_is_none_is_refused(orderops: Orderops, name: str) -> None:
    said = orderops("env", "new", name, "--like", "dev")

    assert said.code == 2
    assert "is not the name of an environment" in said.err


def test_a_name_whose_resources_another_environment_has_is_refused(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    # The service a-b of the environment dev and the service b of dev-a both are orderops-dev-a-b.
    (folder / "dev.toml").write_text(
        text + "\n[services.a-b]\nimage = 'registry.example.com/a:1'\nmax_tasks = 1\npaths = ['/a']\npriority = 50\n"
    )
    (folder / "staging.toml").write_text(
        (folder / "staging.toml").read_text()
        + "\n[services.b]\nimage = 'registry.example.com/b:1'\nmax_tasks = 1\npaths = ['/b']\npriority = 50\n"
    )

    said = orderops("env", "new", "dev-a", "--like", "staging")

    assert said.code == 2
    assert "dev-a and dev would both own" in said.err
    assert not (folder / "dev-a.toml").exists()


def test_subnets_of_another_vpc_are_not_copied(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    (folder / "dev.toml").write_text(
        text.replace("zones = 2", 'zones = 2\npublic_subnets = ["10.0.100.0/24", "10.0.101.0/24"]')
    )

    said = orderops("env", "new", "qa", "--like", "dev")

    assert said.code == 1
    assert "dev.toml sets public_subnets, whose addresses belong to its own VPC" in said.err


def test_a_file_with_mistakes_stops_the_search_for_a_range(orderops: Orderops, folder: Path) -> None:
    (folder / "broken.toml").write_text("nothing = 1\n")

    assert orderops("env", "new", "qa", "--like", "dev").code == 2
    assert not (folder / "qa.toml").exists()


def test_lines_that_name_the_other_environment_are_pointed_out(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    (folder / "dev.toml").write_text(f"# orderops-dev is ours\n# developers\n{text}")

    said = orderops("env", "new", "qa", "--like", "dev")

    assert "dev is named in line 1: check whether qa is meant" in said.err


def test_a_difference_is_shown_with_its_default(orderops: Orderops) -> None:
    lines = orderops("env", "diff", "dev", "staging").out.splitlines()

    assert 'network.cidr: "10.0.0.0/16" in dev, "10.1.0.0/16" in staging' in lines
    assert "database.deletion_protection: false (default) in dev, true in staging" in lines
    assert "database.max_storage_gb: not set (default) in dev, 200 in staging" in lines
    assert "network.zones: 2 in both; written in dev, the default in staging" in lines
    assert not [line for line in lines if line.startswith(("name", "database.port"))]


def test_defaults_that_follow_from_other_settings_are_resolved(orderops: Orderops) -> None:
    found = {item["key"]: item for item in orderops("env", "diff", "prod", "local", "--json").json}

    sides = found["database.login"]["environments"]
    assert sides["prod"] == {"value": "iam", "exists": True, "written": False}
    assert sides["local"] == {"value": "password", "exists": True, "written": False}
    assert found["alerts.anomaly_detection"]["environments"]["prod"]["value"] is True
    assert found["network.private_subnets"]["environments"]["local"]["value"] == ["10.0.4.0/24", "10.0.5.0/24"]


def test_a_service_of_one_environment_is_missing_in_the_other(orderops: Orderops, folder: Path) -> None:
    text = (folder / "dev.toml").read_text()
    (folder / "more.toml").write_text(
        f"{text}\n[services.more]\nimage = 'registry.example.com/a:1'\nmax_tasks = 1\npaths = ['/a']\npriority = 50\n"
    )

    found = {item["key"]: item for item in orderops("env", "diff", "dev", "more", "--json").json}

    assert found["services.more.image"]["environments"] == {
        "dev": {"value": None, "exists": False, "written": False},
        "more": {"value": "registry.example.com/a:1", "exists": True, "written": True},
    }


def test_equal_environments_have_no_difference(orderops: Orderops) -> None:
    said = orderops("env", "diff", "dev", "dev")

    assert said.out == ""
    assert "dev and dev have the same settings" in said.err
