"""Migrations of a database that only tasks inside the VPC reach, with a real task and a real database."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orderops import local
from orderops.aws.documents import Bucket
from orderops.database.connection import Login, login_from_secret
from orderops.errors import OrderopsError
from orderops.infra.workspace import Workspace
from orderops.local.ports import free_port
from orderops.operations.migration_target import files_of
from orderops.operations.workspace import open_workspace
from orderops.remote.job import JobObserver, JobRequest, JobResult, run_job
from orderops.runs.lease import key_of
from support.command_line import Orderops, Said
from support.killable_process import Victim
from support.repository import ROOT
from support.session_plugin import plugin

# End to end.
pytestmark = pytest.mark.slow

CLUSTER = "orderops-local-cluster"
SLOW = "select pg_sleep(60);\n"


@pytest.fixture(scope="module")
def laptop() -> Iterator[Path]:
    """A folder with three folders of environments: `local` with access by task, directly and through a tunnel."""
    folder = Path(tempfile.mkdtemp(prefix="orderops-job-"))
    # When tests run as root, PostgreSQL runs as nobody and must be able to read its data directory.
    folder.chmod(0o755)
    text = (ROOT / "environments" / "local.toml").read_text()
    for declared, changed in {
        "port = 8080": f"port = {free_port()}",
        "port = 15432": f"port = {free_port()}",
        "on_up = true": "on_up = false",
        "_tasks = 2": "_tasks = 1",
        'sslmode = "disable"': 'sslmode = "require"\nlogin = "iam"',
    }.items():
        text = text.replace(declared, changed)
    for name, access in {"environments": "task", "direct": "direct", "tunnel": "tunnel"}.items():
        (folder / name).mkdir()
        (folder / name / "local.toml").write_text(text.replace("[database]", f'[database]\naccess = "{access}"'))
    before = os.environ.get("ORDEROPS_LOCAL_DIRECTORY")
    os.environ["ORDEROPS_LOCAL_DIRECTORY"] = str(folder / "data")
    yield folder
    local.reset()
    shutil.rmtree(folder, ignore_errors=True)
    del os.environ["ORDEROPS_LOCAL_DIRECTORY"]
    if before is not None:
        os.environ["ORDEROPS_LOCAL_DIRECTORY"] = before


class Isolated:
    """An environment with an isolated database, a folder of migrations, and the commands on them."""

    def __init__(self, folder: Path, sql: Path, orderops: Orderops) -> None:
        self.folder = folder
        self.sql = sql
        self.orderops = orderops
        self.environments = folder / "environments"

    def __call__(self, *argv: str) -> Said:
        return self.orderops(*argv, "--environments", str(self.environments))

    def migrate(self, verb: str, *argv: str) -> Said:
        return self("migrate", verb, "--sql", str(self.sql), *argv)

    def process(self, verb: str, *argv: str) -> Victim:
        options = ("--sql", str(self.sql), "--environments", str(self.environments))
        return Victim("migrate", verb, *options, *argv)

    def write(self, name: str, apply: str, undo: str = "select 1;\n") -> None:
        self.sql.mkdir(exist_ok=True)
        (self.sql / f"V{name}.sql").write_text(apply)
        (self.sql / f"U{name}.sql").write_text(undo)

    @property
    def workspace(self) -> Workspace:
        return open_workspace("local", self.environments)

    @property
    def login(self) -> Login:
        workspace = self.workspace
        return login_from_secret(workspace.aws, workspace.stack.pointer.name)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(autocommit=True, **self.login.parameters) as connection:  # type: ignore[arg-type]  # by name
            cursor = connection.execute(query.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def tasks(self, status: str = "RUNNING") -> list[str]:
        """List the tasks of jobs."""
        response = self.workspace.aws.ecs.list_tasks(cluster=CLUSTER, startedBy="orderops-job", desiredStatus=status)
        return list(response["taskArns"])

    def documents(self) -> list[str]:
        """List the documents of jobs in the bucket."""
        workspace = self.workspace
        bucket = f"orderops-{workspace.aws.account}-{workspace.aws.region}"
        response = workspace.aws.s3.list_objects_v2(Bucket=bucket, Prefix="local/jobs/")
        return [document["Key"] for document in response.get("Contents", ())]

    def pointer(self) -> dict[str, Any]:
        secrets = self.workspace.aws.secretsmanager
        value: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId="orderops/local/database")["SecretString"])
        return value

    def forget_login(self) -> None:
        """Let the account not know that the services have a role in the database."""
        aws = self.workspace.aws.guarded(lambda: None)
        [instance] = aws.rds.describe_db_instances()["DBInstances"]
        aws.rds.remove_tags_from_resource(ResourceName=instance["DBInstanceArn"], TagKeys=["orderops:service-secret"])

    def terminate_session(self) -> None:
        """Terminate the session of a migration that sleeps."""
        self.rows("select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(60)'")

    def sleeps(self) -> bool:
        """Return whether a migration sleeps."""
        return bool(self.rows("select 1 from pg_stat_activity where query = 'select pg_sleep(60)'"))


@pytest.fixture
def isolated(laptop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Isolated]:
    isolated = Isolated(laptop, tmp_path / "sql", Orderops(capfd))
    if not local.status()["running"]:
        up = isolated("up")
        assert up.code == 0, up.err
    yield isolated
    aws = isolated.workspace.aws.guarded(lambda: None)
    # The lease of a killed operator would be waited for.
    Bucket(aws).remove(key_of("local"))
    for arn in isolated.tasks():
        aws.ecs.stop_task(cluster=CLUSTER, task=arn)
    until(lambda: not isolated.sleeps(), "no migration of the test is running")
    isolated.rows("drop schema if exists orderops_ledger cascade; drop table if exists parcels")


def until(condition: Callable[[], Any], description: str, timeout: float = 120) -> Any:
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {description}"
        time.sleep(0.1)
    return result


def test_a_job_prints_what_the_command_prints_with_direct_access(isolated: Isolated) -> None:
    isolated.write("001__make_parcels", "-- naïve 漢字\ncreate table parcels (id bigint primary key);\n")
    by_task = isolated.migrate("info", "--json")
    isolated.environments = isolated.folder / "direct"

    directly = isolated.migrate("info", "--json")
    # Not what goes to stderr: there, a slow task is waited for.
    assert (by_task.code, by_task.out) == (directly.code, directly.out)
    assert [migration["state"] for migration in by_task.json["migrations"]] == ["pending"]


def test_the_ledger_names_the_operator_and_not_the_task(isolated: Isolated) -> None:
    isolated.write("001__make_parcels", "create table parcels (id bigint primary key);\n", "drop table parcels;\n")

    applied = isolated.migrate("apply", "--to", "1")

    assert applied.code == 0, applied.err
    assert f"next: orderops migrate info --env local --sql {isolated.sql}" in applied.err
    who, host = isolated.rows("select who, host from orderops_ledger.ledger")[0]
    record = isolated("history", "--last", "1", "--json").json[0]
    assert (who, host) == (record["who"], record["host"])
    assert record["command"] == "migrate apply --to 1 --env local"
    assert [step["migration"] for step in record["steps"]] == ["V001__make_parcels.sql"]
    assert isolated.documents() == []


def test_a_migration_by_a_task_gives_the_services_a_role_of_their_own(isolated: Isolated) -> None:
    isolated.write("001__make_parcels", "create table parcels (id bigint primary key);\n", "drop table parcels;\n")
    isolated.forget_login()

    applied = isolated.migrate("apply", "--yes")

    assert applied.code == 0, applied.err
    assert "role orderops_service_iam reads and writes orders" in applied.err
    assert "the services log in by password" not in applied.err
    privileges = "select privilege_type from information_schema.role_table_grants where table_name = 'parcels'"
    granted = {row[0] for row in isolated.rows(f"{privileges} and grantee = 'orderops_service'")}
    assert granted == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    member = "select pg_has_role('orderops_service_iam', 'orderops_service', 'usage')"
    assert isolated.rows(member) == [(True,)]
    assert isolated.pointer()["login"] == "iam"
    assert isolated("infra", "plan").code == 0
    again = isolated("migrate", "grant", "--yes")
    assert again.code == 0, again.err
    assert "reads and writes" not in again.err


def test_an_error_inside_the_task_is_shown_once(isolated: Isolated) -> None:
    isolated.write("001__nothing", "select 1;\n")

    refused = isolated.migrate("repair", "--version", "77", "--as", "applied")

    assert refused.code == 2
    assert refused.err.count("version 77") == 1
    assert refused.err.count("hint:") == 1
    assert isolated("history", "--last", "1", "--json").json[0]["outcome"] == "failed"


def test_a_command_that_would_ask_inside_the_task_needs_yes(isolated: Isolated) -> None:
    isolated.write("001__nothing", "select 1;\n")

    refused = isolated.migrate("apply", "--terminate-blockers")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert isolated.tasks() == []


def test_no_line_of_output_is_lost_or_out_of_order(isolated: Isolated) -> None:
    loop = "do $$ begin for i in 1..3000 loop raise notice 'zürich % 漢', i; end loop; end $$;\n"
    isolated.write("001__print_much", loop)

    applied = isolated.migrate("apply")

    assert [line for line in applied.err.splitlines() if line.startswith("NOTICE")] == [
        f"NOTICE: zürich {number} 漢" for number in range(1, 3001)
    ]


def test_ctrl_c_interrupts_the_command_in_the_task(isolated: Isolated) -> None:
    isolated.write("001__sleep", SLOW)
    operator = isolated.process("apply")
    until(isolated.sleeps, "the migration runs")

    health = isolated("status", "--json").json
    operator.interrupt()

    assert operator.ended() == 130
    assert "interrupted; not done: V001__sleep.sql" in operator.said
    assert not isolated.sleeps()
    assert isolated.rows("select state from orderops_ledger.ledger") == [("failed",)]
    assert isolated.documents() == []
    assert [part["detail"] for part in health["components"] if part["name"].startswith("service")] == [
        "1 of 1 tasks, revision 1"
    ]


def test_a_job_survives_its_operators_process_and_a_re_run_attaches_to_it(isolated: Isolated) -> None:
    isolated.write("001__sleep", SLOW)
    operator = isolated.process("apply")
    until(isolated.sleeps, "the migration runs")
    operator.kill()
    started = isolated.tasks()

    with pytest.raises(OrderopsError, match="orderops migrate apply is still running in local") as refused:
        run(isolated, "migrate", "undo")
    assert "orderops migrate apply --env local" in refused.value.hint

    ended = run(isolated, "migrate", "apply", when_attached=isolated.terminate_session)

    assert set(isolated.tasks() + isolated.tasks("STOPPED")) & {*started} == {*started}
    assert len(isolated.rows("select 1 from orderops_ledger.ledger")) == 1
    assert ended.exit_code == 1
    assert "V001__sleep.sql" in str(ended.error)
    assert isolated.documents() == []


def test_a_migration_through_a_tunnel_uses_a_task_of_the_service(
    isolated: Isolated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolated.write("001__make_parcels", "create table parcels (id bigint primary key);\n", "drop table parcels;\n")
    isolated.environments = isolated.folder / "tunnel"
    monkeypatch.setenv("PATH", os.environ["PATH"])
    program = plugin(tmp_path / "bin", isolated.login.port)

    applied = isolated.migrate("apply")

    assert applied.code == 0, applied.err
    assert isolated.rows("select who from orderops_ledger.ledger")
    assert program.called["request"]["Target"].startswith(f"ecs:{CLUSTER}_")
    assert program.called["request"]["Parameters"]["portNumber"] == [str(isolated.login.port)]
    assert not program.is_running


def test_migrations_on_up_need_direct_access(isolated: Isolated, tmp_path: Path) -> None:
    text = (isolated.environments / "local.toml").read_text()
    (tmp_path / "local.toml").write_text(text.replace("on_up = false", "on_up = true"))
    isolated.environments = tmp_path

    refused = isolated("up")

    assert refused.code == 2
    assert "local.toml: on_up = true" in refused.err


def run(isolated: Isolated, *argv: str, when_attached: Callable[[], None] = lambda: None) -> JobResult:
    """Run an exclusive job, as the holder of the lease does."""
    request = JobRequest((*argv, "--yes"), sql=files_of(isolated.sql), exclusive=True)
    observer = JobObserver(
        lambda line: when_attached() if line.text.startswith("attached to task") else None, lambda *_: None
    )
    return run_job(isolated.workspace, request, observer)
