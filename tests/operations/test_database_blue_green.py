"""`orderops database upgrade --blue-green` against the emulator over HTTP: green is made, tried, switched, given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import load_environment
from orderops.database.extensions import Extension, UpgradeCheck
from orderops.database.statistics import Analysis
from orderops.errors import OrderopsError
from orderops.infra.apply import Apply
from orderops.infra.workspace import Workspace
from orderops.operations.deployments import check_receives_schema
from support.command_line import Orderops, Said
from support.dev_accounts import IMAGES, REGION
from support.faulty_proxy import Fate, Proxy, from_change
from support.guided_changes_fixtures import NAME, instance
from support.laptop import until
from support.repository import ENVIRONMENTS

pytestmark = pytest.mark.slow

pytest_plugins = ["support.guided_changes_fixtures"]
Upgrade = Callable[..., Said]
OLD = f"{NAME}-old1"
TASKS = "orderops-dev-order-processor-task"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dev whose database can be switched over."""
    folder = tmp_path_factory.mktemp("declared")
    text, table = (ENVIRONMENTS / "dev.toml").read_text(), "[database]\n"
    assert text.count(table) == 1
    keys = 'engine_version = "16.14"\nmaster = "own"\nlogical_replication = true\n'
    (folder / "dev.toml").write_text(text.replace(table, f"{table}{keys}"))
    return folder


@pytest.fixture(scope="module")
def made(account: Proxy, declared: Path) -> bytes:
    """An account with that dev."""
    import boto3

    account.reset()
    session = boto3.Session("testing", "testing", region_name=REGION)
    workspace = Workspace(load_environment("dev", declared), Aws(REGION, endpoint_url=account.url, session=session))
    run = Apply(workspace, IMAGES)
    assert len([*run.infra(), *run.release()]) > 40
    return account.keep()


@pytest.fixture
def folder(tmp_path: Path, declared: Path) -> Path:
    (tmp_path / "dev.toml").write_text((declared / "dev.toml").read_text())
    return tmp_path


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> list[UpgradeCheck]:
    """What the database has, in the only item: the emulator has no server to read."""
    has = [UpgradeCheck((Extension("pg_stat_statements", "1.10", "1.10"),), unkeyed=(), large_objects=0)]
    monkeypatch.setattr("orderops.operations.database_upgrade.upgrade_check", lambda _: has[0])
    return has


@pytest.fixture
def analyzed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The instances whose statistics were gathered."""
    found: list[str] = []

    def gather(_: Workspace, of: Any) -> Analysis:
        found.append(of.name)
        return Analysis(0.5, 7, "17.11")

    monkeypatch.setattr("orderops.operations.database_blue_green.analyze_instance", gather)
    return found


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str],
    proxy: Proxy,
    made: bytes,
    folder: Path,
    database: list[UpgradeCheck],
    analyzed: list[str],
) -> Orderops:
    proxy.bring_back(made)
    return Orderops(capsys, "--env", "dev", "--environments", str(folder))


@pytest.fixture
def upgrade(orderops: Orderops) -> Upgrade:
    return lambda version, *words: orderops("database", "upgrade", "--to", version, "--blue-green", "--yes", *words)


def workspace_at(proxy: Proxy) -> Workspace:
    """dev as it is shipped, in this account."""
    import boto3

    session = boto3.Session("testing", "testing", region_name=REGION)
    return Workspace(load_environment("dev", ENVIRONMENTS), Aws(REGION, endpoint_url=proxy.url, session=session))


def words_of(said: Said) -> str:
    return " ".join(f"{said.out} {said.err}".split())


def deployments(rds: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rds.describe_blue_green_deployments()["BlueGreenDeployments"]
    return found


def names(rds: Any) -> list[str]:
    return sorted(found["DBInstanceIdentifier"] for found in rds.describe_db_instances()["DBInstances"])


def users(client: Callable[[str], Any]) -> str:
    """What the tasks may log in to."""
    iam = client("iam")
    policies = iam.list_role_policies(RoleName=TASKS)["PolicyNames"]
    return " ".join(str(iam.get_role_policy(RoleName=TASKS, PolicyName=name)["PolicyDocument"]) for name in policies)


def test_the_database_is_upgraded_beside_and_switched_over(
    upgrade: Upgrade, orderops: Orderops, rds: Any, folder: Path, client: Callable[[str], Any], analyzed: list[str]
) -> None:
    before = instance(rds)

    said = upgrade("17")

    assert said.code == 0, said.err
    now = instance(rds)
    assert (now["EngineVersion"], names(rds), deployments(rds)) == ("17.11", [NAME, OLD], [])
    assert now["DBParameterGroups"][0]["DBParameterGroupName"] == "orderops-dev-postgres17"
    assert 'engine_version = "17"\n' in (folder / "dev.toml").read_text()
    assert [name.startswith(f"{NAME}-green-") for name in analyzed] == [True]
    assert now["DbiResourceId"] in users(client)
    assert before["DbiResourceId"] not in users(client)
    assert f"let go of it: orderops restore discard {OLD} --env dev" in words_of(said)
    assert "it was away for" in words_of(said) or "never seen away" in words_of(said)
    assert orderops("infra", "plan", "--prune").out.splitlines() == [
        "- delete rds-parameter-group/orderops-dev-postgres16"
    ]


def test_the_plan_says_what_is_made_and_how_to_get_back(upgrade: Upgrade, rds: Any, proxy: Proxy) -> None:
    proxy.forget()

    said = words_of(upgrade("17", "--dry-run"))

    assert "+ create rds-blue-green-deployment/orderops-dev-" in said
    assert "+ create rds-parameter-group/orderops-dev-postgres17" in said
    assert "EngineVersion: 16.14 -> 17" in said
    assert "AWS's usual figure is under a minute" in said
    assert "extensions: pg_stat_statements 1.10" in said
    assert "apply no migration until the switchover" in said
    assert "two databases are charged until the old one is discarded: 0.0" in said
    assert "until the switchover: the same command with --abandon; after it orderops-dev-database-old1 keeps" in said
    assert proxy.changing == []


def test_green_is_left_ready_and_the_same_command_switches(
    upgrade: Upgrade, orderops: Orderops, rds: Any, folder: Path, client: Callable[[str], Any], proxy: Proxy
) -> None:
    text = (folder / "dev.toml").read_text()

    shown = upgrade("17", "--no-switch", "--dry-run").out
    stopped = upgrade("17", "--no-switch")
    (green,) = [name for name in names(rds) if name != NAME]
    both = users(client)
    proxy.forget()
    again = upgrade("17", "--no-switch")
    assert proxy.changing == []
    planned = orderops("infra", "plan")
    told = orderops("status")
    released = orderops("infra", "apply", "--yes")
    group = "orderops-dev-postgres17"

    assert (stopped.code, again.code, released.code) == (0, 0, 0), stopped.err + again.err + released.err
    assert ("update rds-instance" in shown, "dev.toml" in shown) == (False, False)
    assert f"{green} is ready and follows the database; nothing was switched over" in words_of(stopped)
    assert "switch over: orderops database upgrade --to 17 --blue-green --env dev" in words_of(stopped)
    assert (folder / "dev.toml").read_text() == text
    assert instance(rds)["EngineVersion"] == "16.14"
    assert f"{green} stands beside the database" in words_of(told)
    assert all(found["DbiResourceId"] in both for found in rds.describe_db_instances()["DBInstances"])
    assert planned.out.split() == ["?", "undeclared", f"rds-parameter-group/{group}", group]
    done = upgrade("17")
    assert done.code == 0, done.err
    assert (instance(rds)["EngineVersion"], deployments(rds)) == ("17.11", [])


def test_green_is_given_up_with_everything_that_was_made_for_it(
    upgrade: Upgrade, orderops: Orderops, rds: Any, folder: Path, client: Callable[[str], Any], proxy: Proxy
) -> None:
    text = (folder / "dev.toml").read_text()
    upgrade("17", "--no-switch")

    given_up = upgrade("17", "--abandon")
    until(lambda: names(rds) == [NAME], what="green is deleted")
    proxy.forget()
    again = upgrade("17", "--abandon")

    assert (given_up.code, again.code) == (0, 0), given_up.err + again.err
    assert f"{NAME} stays at PostgreSQL 16.14" in words_of(given_up)
    assert f"{NAME} has no blue/green deployment of orderops; nothing was changed" in words_of(again)
    assert proxy.changing == []
    assert ((folder / "dev.toml").read_text(), deployments(rds)) == (text, [])
    assert orderops("infra", "apply", "--prune", "--yes").code == 0
    assert orderops("infra", "plan").out == ""
    assert upgrade("17").code == 0


def test_the_version_in_the_file_is_taken_back_where_it_was_written(upgrade: Upgrade, folder: Path, rds: Any) -> None:
    upgrade("17", "--no-switch")
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace('"16.14"', '"17"'))

    upgrade("17", "--abandon")

    assert 'engine_version = "16"\n' in file.read_text()
    assert deployments(rds) == []


def test_another_version_than_that_of_green_is_refused(upgrade: Upgrade, proxy: Proxy) -> None:
    upgrade("17", "--no-switch")
    proxy.forget()

    refused = upgrade("18")

    assert "leads to PostgreSQL 17.11; nothing was changed" in words_of(refused)
    assert "or give it up: orderops database upgrade --to 17.11 --blue-green --abandon --env dev" in words_of(refused)
    assert (refused.code, proxy.changing) == (1, [])


def test_a_minor_version_needs_no_logical_replication(upgrade: Upgrade, rds: Any, analyzed: list[str]) -> None:
    group = instance(rds)["DBParameterGroups"][0]["DBParameterGroupName"]
    rds.reset_db_parameter_group(
        DBParameterGroupName=group,
        Parameters=[{"ParameterName": "rds.logical_replication", "ApplyMethod": "pending-reboot"}],
    )

    said = upgrade("16.15")

    assert said.code == 0, said.err
    assert (instance(rds)["EngineVersion"], analyzed) == ("16.15", [])


def test_what_rds_makes_no_deployment_of_is_refused_with_the_way(
    upgrade: Upgrade, rds: Any, proxy: Proxy, database: list[UpgradeCheck]
) -> None:
    group = instance(rds)["DBParameterGroups"][0]["DBParameterGroupName"]
    proxy.forget()

    database[0] = UpgradeCheck(unkeyed=("public.audit",), large_objects=0)
    unkeyed = words_of(upgrade("17"))
    database[0] = UpgradeCheck(unkeyed=(), large_objects=3)
    large = words_of(upgrade("17"))
    assert proxy.changing == []
    rds.reset_db_parameter_group(
        DBParameterGroupName=group,
        Parameters=[{"ParameterName": "rds.logical_replication", "ApplyMethod": "pending-reboot"}],
    )
    physical = words_of(upgrade("17"))
    rds.modify_db_instance(DBInstanceIdentifier=NAME, ManageMasterUserPassword=True)
    until(lambda: instance(rds)["DBInstanceStatus"] == "available", what="the database is available")
    managed = words_of(upgrade("17"))

    assert "1 table without a primary key or replica identity would not be replicated to green: public.audit" in unkeyed
    assert "ALTER TABLE public.audit REPLICA IDENTITY FULL" in unkeyed
    assert "the database has 3 large objects" in large
    assert "logical replication is not in force" in physical
    assert "set logical_replication = true under [database] in dev.toml" in physical
    assert "RDS makes no blue/green deployment of a database whose master password it manages" in managed
    assert 'set master = "own" under [database] in dev.toml' in managed
    assert deployments(rds) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "now"), "leave out --at, --rehearse, --without-rehearsal and --reason"),
        (("--rehearse",), "leave out --at, --rehearse, --without-rehearsal and --reason"),
        (("--no-switch", "--abandon"), "pass one of them"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    upgrade: Upgrade, proxy: Proxy, words: tuple[str, ...], said: str
) -> None:
    proxy.forget()

    refused = upgrade("17", *words)

    assert (refused.code, proxy.changing) == (2, [])
    assert said in words_of(refused)


def test_statistics_that_cannot_be_gathered_are_named_and_stop_nothing(
    upgrade: Upgrade, rds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Analysis:
        raise OrderopsError("no route to it")

    monkeypatch.setattr("orderops.operations.database_blue_green.analyze_instance", fail)

    said = upgrade("17")

    assert said.code == 0
    assert "were not gathered: no route to it" in words_of(said)
    assert instance(rds)["EngineVersion"] == "17.11"


@pytest.mark.parametrize("fate", [Fate.UNDONE, Fate.UNANSWERED])
def test_a_switchover_that_is_cut_off_is_gone_on_with(
    upgrade: Upgrade, rds: Any, proxy: Proxy, folder: Path, fate: Fate
) -> None:
    upgrade("17", "--no-switch")
    proxy.rule = from_change(1, fate)
    cut = upgrade("17")
    proxy.rule = lambda _: None
    proxy.settle()
    proxy.later(60.0)

    done = upgrade("17")

    assert done.code == 0, cut.err + done.err
    assert (instance(rds)["EngineVersion"], names(rds), deployments(rds)) == ("17.11", [NAME, OLD], [])
    assert 'engine_version = "17"\n' in (folder / "dev.toml").read_text()


def test_migrations_and_rotations_wait_for_the_switchover(upgrade: Upgrade, orderops: Orderops, proxy: Proxy) -> None:
    upgrade("17", "--no-switch")
    proxy.forget()

    for words in (("migrate", "apply"), ("migrate", "grant"), ("database", "rotate")):
        refused = orderops(*words, "--yes")

        assert refused.code == 1, words
        assert "has the green instance" in words_of(refused)
        assert "orderops database upgrade --to VERSION --blue-green [--abandon]" in words_of(refused)
    assert proxy.changing == []


def test_a_green_instance_of_the_same_major_version_receives_the_schema(upgrade: Upgrade, proxy: Proxy) -> None:
    upgrade("16.15", "--no-switch")

    check_receives_schema(workspace_at(proxy))


def test_the_database_before_the_switchover_is_promoted_again(
    upgrade: Upgrade, orderops: Orderops, rds: Any, folder: Path, client: Callable[[str], Any]
) -> None:
    upgrade("17")
    file = folder / "dev.toml"
    file.write_text(file.read_text().replace('engine_version = "17"', 'engine_version = "16"'))

    back = orderops("restore", "promote", OLD, "--as-it-is", "--yes")

    assert back.code == 0, back.err
    pointer = client("secretsmanager").get_secret_value(SecretId="orderops/dev/database")["SecretString"]
    assert f"{OLD}." in pointer
    assert {found["name"]: found["role"] for found in orderops("restore", "list", "--json").json} == {
        NAME: "former",
        OLD: "primary",
    }
    planned = orderops("infra", "plan")
    assert planned.code in (0, 3), planned.err
    assert "EngineVersion" not in planned.out
