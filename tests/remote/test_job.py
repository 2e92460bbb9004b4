"""Migrations of a database that only the service's tasks reach: a real task and a real database."""

from __future__ import annotations

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
from orderops.database.connection import Login, login
from orderops.errors import OrderopsError
from orderops.infra.workspace import Site
from orderops.local.ports import free_port
from orderops.operations.migrate import files_of
from orderops.operations.workspace import open_environment
from orderops.remote.job import Outcome, run
from orderops.remote.task import STARTED_BY
from orderops.runs.lease import key_of
from support.command_line import Orderops, Said
from support.killable_process import Victim
from support.repository import ROOT
from support.session_plugin import plugin

CLUSTER = "orderops-local-cluster"
SLOW = "select pg_sleep(60);\n"


@pytest.fixture(scope="module")
def laptop() -> Iterator[Path]:
    """A folder of environments with a `local` whose database is reached by a task, and beside it one that is not."""
    place = Path(tempfile.mkdtemp(prefix="orderops-errand-"))
    place.chmod(0o755)  # when tests run as root, PostgreSQL runs as nobody
    text = (ROOT / "environments" / "local.toml").read_text()
    for this, that in {
        "port = 8080": f"port = {free_port()}",
        "port = 15432": f"port = {free_port()}",
        "on_up = true": "on_up = false",
        "_tasks = 2": "_tasks = 1",
    }.items():
        text = text.replace(this, that)
    for folder, how in {"environments": "task", "direct": "direct", "tunnel": "tunnel"}.items():
        (place / folder).mkdir()
        (place / folder / "local.toml").write_text(text.replace("[database]", f'[database]\naccess = "{how}"'))
    before = os.environ.get("ORDEROPS_LOCAL_DIRECTORY")
    os.environ["ORDEROPS_LOCAL_DIRECTORY"] = str(place / "data")
    yield place
    local.reset()
    shutil.rmtree(place, ignore_errors=True)
    del os.environ["ORDEROPS_LOCAL_DIRECTORY"]
    if before is not None:
        os.environ["ORDEROPS_LOCAL_DIRECTORY"] = before


class Elsewhere:
    """The environment, a folder of migrations of the test's own, and its commands."""

    def __init__(self, place: Path, sql: Path, orderops: Orderops) -> None:
        self.place = place
        self.sql = sql
        self.orderops = orderops
        self.environments = place / "environments"

    def __call__(self, *words: str) -> Said:
        return self.orderops(*words, "--environments", str(self.environments))

    def migrate(self, verb: str, *words: str) -> Said:
        return self("migrate", verb, "--sql", str(self.sql), *words)

    def process(self, verb: str, *words: str) -> Victim:
        where = ("--sql", str(self.sql), "--environments", str(self.environments))
        return Victim("migrate", verb, *where, *words)

    def write(self, name: str, forwards: str, back: str = "select 1;\n") -> None:
        self.sql.mkdir(exist_ok=True)
        (self.sql / f"V{name}.sql").write_text(forwards)
        (self.sql / f"U{name}.sql").write_text(back)

    @property
    def site(self) -> Site:
        return open_environment("local", self.environments)

    @property
    def login(self) -> Login:
        site = self.site
        return login(site.aws, site.stack.pointer.name)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(autocommit=True, **self.login.parameters) as connection:  # type: ignore[arg-type]  # by name
            answer = connection.execute(query.encode())
            return list(answer.fetchall()) if answer.description else []

    def tasks(self, status: str = "RUNNING") -> list[str]:
        """The errands that ECS knows of."""
        aws = self.site.aws
        found = aws.ecs.list_tasks(cluster=CLUSTER, startedBy=STARTED_BY, desiredStatus=status)["taskArns"]
        return list(found)

    def papers(self) -> list[str]:
        """The documents of errands that are left in the bucket."""
        site = self.site
        name = f"orderops-{site.aws.account}-{site.aws.region}"
        told = site.aws.s3.list_objects_v2(Bucket=name, Prefix="local/errands/")
        return [each["Key"] for each in told.get("Contents", ())]

    def wake(self) -> None:
        """Somebody ends the session of a migration that sleeps."""
        self.rows("select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(60)'")

    def sleeps(self) -> bool:
        return bool(self.rows("select 1 from pg_stat_activity where query = 'select pg_sleep(60)'"))


@pytest.fixture
def elsewhere(laptop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Elsewhere]:
    found = Elsewhere(laptop, tmp_path / "sql", Orderops(capfd))
    if not local.status()["running"]:
        made = found("up")
        assert made.code == 0, made.err
    yield found
    aws = found.site.aws.guarded(lambda: None)
    Bucket(aws).remove(key_of("local"))  # a dead operator's would be waited out
    for arn in found.tasks():
        aws.ecs.stop_task(cluster=CLUSTER, task=arn)
    until(lambda: not found.sleeps(), "nothing of the test runs any more")
    found.rows("drop schema if exists orderops cascade; drop table if exists parcels")


def until(found: Callable[[], Any], what: str, timeout: float = 120) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)
    return answer


def test_a_command_says_there_what_it_says_here(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__make_parcels", "-- naïve 漢字\ncreate table parcels (id bigint primary key);\n")
    there = elsewhere.migrate("info", "--json")
    elsewhere.environments = elsewhere.place / "direct"

    assert there == elsewhere.migrate("info", "--json")
    assert [each["state"] for each in there.json["migrations"]] == ["pending"]


def test_who_agreed_is_who_migrated(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__make_parcels", "create table parcels (id bigint primary key);\n", "drop table parcels;\n")

    applied = elsewhere.migrate("apply", "--to", "1")

    assert applied.code == 0, applied.err
    assert f"next: orderops migrate info --env local --sql {elsewhere.sql}" in applied.err
    who, host = elsewhere.rows("select who, host from orderops.ledger")[0]
    record = elsewhere("history", "--last", "1", "--json").json[0]
    assert (who, host) == (record["who"], record["host"])
    assert record["command"] == "migrate apply --to 1 --env local"
    assert [step["migration"] for step in record["steps"]] == ["V001__make_parcels.sql"]
    assert elsewhere.papers() == []


def test_what_is_refused_there_is_refused_here_once(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__nothing", "select 1;\n")

    refused = elsewhere.migrate("repair", "--version", "77", "--as", "applied")

    assert refused.code == 2
    assert refused.err.count("version 77") == 1
    assert refused.err.count("hint:") == 1
    assert elsewhere("history", "--last", "1", "--json").json[0]["outcome"] == "failed"


def test_a_question_that_nobody_could_answer_there_is_asked_before(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__nothing", "select 1;\n")

    refused = elsewhere.migrate("apply", "--terminate-blockers")

    assert refused.code == 2
    assert "--yes" in refused.err
    assert elsewhere.tasks() == []


def test_no_line_is_lost_or_out_of_order(elsewhere: Elsewhere) -> None:
    loop = "do $$ begin for i in 1..3000 loop raise notice 'zürich % 漢', i; end loop; end $$;\n"
    elsewhere.write("001__say_much", loop)

    said = elsewhere.migrate("apply")

    assert [line for line in said.err.splitlines() if line.startswith("NOTICE")] == [
        f"NOTICE: zürich {number} 漢" for number in range(1, 3001)
    ]


def test_an_interrupted_command_ends_in_order_there_too(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__sleep", SLOW)
    operator = elsewhere.process("apply")
    until(elsewhere.sleeps, "the migration runs")

    health = elsewhere("status", "--json").json
    operator.interrupt()

    assert operator.ended() == 130
    assert "interrupted; left: V001__sleep.sql" in operator.said
    assert not elsewhere.sleeps()
    assert elsewhere.rows("select state from orderops.ledger") == [("failed",)]
    assert elsewhere.papers() == []
    assert [each["detail"] for each in health["components"] if each["name"].startswith("service")] == [
        "1 of 1 tasks, revision 1"
    ]


def test_an_errand_outlives_its_operator_and_the_next_goes_on_with_it(elsewhere: Elsewhere) -> None:
    elsewhere.write("001__sleep", SLOW)
    operator = elsewhere.process("apply")
    until(elsewhere.sleeps, "the migration runs")
    operator.kill()
    begun = elsewhere.tasks()

    with pytest.raises(OrderopsError, match="orderops migrate apply still runs in local") as refused:
        sent(elsewhere, "migrate", "undo")
    assert "orderops migrate apply --env local" in refused.value.hint

    ended = sent(elsewhere, "migrate", "apply", when_attached=elsewhere.wake)

    assert set(elsewhere.tasks() + elsewhere.tasks("STOPPED")) & {*begun} == {*begun}
    assert len(elsewhere.rows("select 1 from orderops.ledger")) == 1
    assert ended.exit_code == 1
    assert "V001__sleep.sql" in str(ended.error)
    assert elsewhere.papers() == []


def test_a_tunnel_leads_through_the_task_of_the_service(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.write("001__make_parcels", "create table parcels (id bigint primary key);\n", "drop table parcels;\n")
    elsewhere.environments = elsewhere.place / "tunnel"
    monkeypatch.setenv("PATH", os.environ["PATH"])
    program = plugin(tmp_path / "bin", elsewhere.login.port)

    applied = elsewhere.migrate("apply")

    assert applied.code == 0, applied.err
    assert elsewhere.rows("select who from orderops.ledger")
    assert program.called["asked"]["Target"].startswith(f"ecs:{CLUSTER}_")
    assert program.called["asked"]["Parameters"]["portNumber"] == [str(elsewhere.login.port)]
    assert not program.lives


def test_up_migrates_only_what_it_reaches_by_itself(elsewhere: Elsewhere, tmp_path: Path) -> None:
    text = (elsewhere.environments / "local.toml").read_text()
    (tmp_path / "local.toml").write_text(text.replace("on_up = false", "on_up = true"))
    elsewhere.environments = tmp_path

    refused = elsewhere("up")

    assert refused.code == 2
    assert "local.toml: on_up = true" in refused.err


def sent(elsewhere: Elsewhere, *words: str, when_attached: Callable[[], None] = lambda: None) -> Outcome:
    """An errand by whoever has the lease."""
    return run(
        elsewhere.site,
        [*words, "--yes"],
        sql=files_of(elsewhere.sql),
        alone=True,
        heard=lambda said: when_attached() if said.text.startswith("goes on with task") else None,
        waiting=lambda *_: None,
    )
