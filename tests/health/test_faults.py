"""Fourteen faults of a laptop environment, with real processes: status names cause, urgency and next command."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from orderops import local
from orderops.database.connection import login_at_endpoint
from orderops.local.ports import free_port
from orderops.local.users import scratch
from orderops.operations.workspace import open_workspace
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import load_instances
from support.command_line import Orderops
from support.laptop import until
from support.repository import ROOT

INSTANCE = "orderops-local-database"
QUEUE = "orderops-local-order-processor-queue"
GROUP = "/orderops/local/order-processor"
STORAGE = 20 * 1024**3
"""Bytes that the environment declares, by default."""
NO_ROOM = "not enough free disk to fill the storage of the instance"


@dataclass
class System:
    """A laptop environment that is broken and mended."""

    folder: Path
    orderops: Orderops
    port: int
    database_port: int

    @property
    def aws(self) -> Any:
        return open_workspace("local", None).aws.guarded(lambda: None)

    def tasks(self) -> list[int]:
        """The processes of the service."""
        return [task["pid"] for tasks in local.status()["services"].values() for task in tasks if task["pid"]]

    def server(self) -> psutil.Process:
        """The postmaster, which listens for everybody else."""
        for process in psutil.process_iter(["name", "cmdline"]):
            words = process.info["cmdline"] or ()
            if process.info["name"] == "postgres" and any(word.startswith(str(self.folder)) for word in words):
                return process
        raise AssertionError("PostgreSQL does not run")

    def connect(self) -> psycopg.Connection[Any]:
        """A session of the master user, who has none of the connections in reserve."""
        workspace = open_workspace("local", None)
        primary = load_instances(workspace.aws, workspace.stack).require_primary()
        login = login_at_endpoint(workspace.aws, connection_info(workspace.stack, primary))
        parameters: dict[str, Any] = dict(login.parameters)
        return psycopg.connect(**parameters, autocommit=True)

    def send(self, number: int) -> None:
        """Send orders into the queue."""
        sqs = self.aws.sqs
        url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        for first in range(0, number, 10):
            entries = [{"Id": str(index), "MessageBody": "{}"} for index in range(first, min(first + 10, number))]
            sqs.send_message_batch(QueueUrl=url, Entries=entries)


def one_process_dead(system: System) -> AbstractContextManager[None]:
    return killed(system, left=1)


def all_processes_dead(system: System) -> AbstractContextManager[None]:
    return killed(system, left=0)


@contextmanager
def killed(system: System, *, left: int) -> Iterator[None]:
    """The processes of the service, and those that take their place, are killed but for this many."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.05):
            for pid in system.tasks()[left:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def database_stopped(system: System) -> Iterator[None]:
    system.aws.rds.stop_db_instance(DBInstanceIdentifier=INSTANCE)
    yield
    until(lambda: database_state(system) == "stopped")
    system.aws.rds.start_db_instance(DBInstanceIdentifier=INSTANCE)


def database_state(system: System) -> str:
    (instance,) = system.aws.rds.describe_db_instances(DBInstanceIdentifier=INSTANCE)["DBInstances"]
    return str(instance["DBInstanceStatus"])


@contextmanager
def database_frozen(system: System) -> Iterator[None]:
    server = system.server()
    processes = [server, *server.children()]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def database_slow(system: System) -> Iterator[None]:
    """A session locks the users, and others wait for it."""
    with ExitStack() as sessions:
        holder = sessions.enter_context(system.connect())
        holder.execute("begin")
        holder.execute("lock table users in access exclusive mode")
        waiting = [sessions.enter_context(system.connect()) for _ in range(4)]
        threads = [threading.Thread(target=read_users, args=[session]) for session in waiting]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            holder.execute("rollback")
            for thread in threads:
                thread.join()


def read_users(session: psycopg.Connection[Any]) -> None:
    session.execute("select count(*) from users")


@contextmanager
def connections_exhausted(system: System) -> Iterator[None]:
    """Sessions of somebody else take each connection, those of the service too."""
    with ExitStack() as sessions:
        first = sessions.enter_context(system.connect())
        over = threading.Event()

        def take() -> None:
            while not over.is_set():
                try:
                    sessions.enter_context(system.connect())
                except psycopg.OperationalError:
                    with suppress(psycopg.Error):
                        first.execute(
                            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orderops_service'"
                        )

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def disk_nearly_full(system: System) -> Iterator[None]:
    server = system.server()
    data = Path(server.cmdline()[server.cmdline().index("-D") + 1])
    file = data / "ballast"
    try:
        subprocess.run(["fallocate", "--length", str(STORAGE * 95 // 100), str(file)], check=True)
        yield
    finally:
        file.unlink()


def queue_growing(system: System) -> AbstractContextManager[None]:
    return left_waiting(system, 1100)


def consumer_stuck(system: System) -> AbstractContextManager[None]:
    return left_waiting(system, 1)


@contextmanager
def left_waiting(system: System, messages: int) -> Iterator[None]:
    """Nobody takes the messages: the service that runs is one without a consumer."""
    system.send(messages)
    yield
    system.aws.sqs.purge_queue(QueueUrl=system.aws.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"])


@contextmanager
def poison_messages(system: System) -> Iterator[None]:
    system.send(3)
    yield
    dead = "orderops-local-order-processor-dlq"
    assert system.orderops("queue", "dlq", "purge", "--all", "--confirm", dead).code == 0


@contextmanager
def port_taken(system: System) -> Iterator[None]:
    assert system.orderops("local", "stop").code == 0
    with socket.create_server(("127.0.0.1", system.port)):
        assert system.orderops("local", "start").code == 0
        yield


@contextmanager
def migrations_pending(system: System) -> Iterator[None]:
    files = [system.folder / "sql" / f"{letter}099__colour.sql" for letter in "VU"]
    for file, text in zip(
        files, ("alter table users add colour text;\n", "alter table users drop colour;\n"), strict=True
    ):
        file.write_text(text)
    yield
    for file in files:
        file.unlink()


@contextmanager
def drift(system: System) -> Iterator[None]:
    system.aws.logs.put_retention_policy(logGroupName=GROUP, retentionInDays=90)
    yield
    assert system.orderops("infra", "apply", "--yes").code == 0


@contextmanager
def secret_changed(system: System) -> Iterator[None]:
    system.aws.secretsmanager.put_secret_value(SecretId="orderops/local/order-processor/COLOUR", SecretString="red")
    yield
    assert system.orderops("service", "restart", "--yes").code == 0


def has_room(folder: Path) -> bool:
    """Whether a file of that size can be reserved here in no time and in no memory."""
    probe = folder / "probe"
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True).stdout.strip()
    reserved = (
        shutil.which("fallocate") and subprocess.run(["fallocate", "--length", "4096", str(probe)]).returncode == 0
    )
    probe.unlink(missing_ok=True)
    return bool(reserved) and kind not in ("tmpfs", "ramfs") and shutil.disk_usage(folder).free > STORAGE * 1.2


Fault = Callable[[System], AbstractContextManager[None]]
# The component that is the cause (none where nothing is wrong now), the priority, words of the cause, and the command.
FAULTS: dict[Fault, tuple[str | None, str, str, str]] = {
    one_process_dead: ("service order-processor", "P2", "1 of 2 tasks", "orderops status --watch --env local"),
    all_processes_dead: (
        "service order-processor",
        "P0",
        "0 of 2 tasks",
        "orderops service logs order-processor --env local",
    ),
    database_stopped: ("database", "P0", "stop", "orderops up --env local"),
    database_frozen: ("database", "P0", "no answer within 2 s", "orderops local logs"),
    database_slow: ("database", "P0", "sessions are active for each of its CPUs", "orderops local psql"),
    connections_exhausted: ("database", "P0", "no free connection slot", "orderops local logs"),
    disk_nearly_full: ("database", "P1", "storage is nearly full", "orderops infra apply --env local"),
    poison_messages: (
        "queue order-processor",
        "P2",
        "dead letters",
        "orderops queue dlq list --env local",
    ),
    port_taken: ("balancer", "P0", "port", "orderops local status"),
    migrations_pending: (None, "P3", "1 migration pending", "orderops migrate rehearsal --env local"),
    drift: (None, "P3", "logs-group", "orderops infra drift --env local"),
    secret_changed: (
        None,
        "P3",
        "2 tasks of order-processor started before",
        "orderops service restart order-processor --env local",
    ),
}
# By a service that answers clients and takes no message.
WITHOUT_CONSUMER: dict[Fault, tuple[str | None, str, str, str]] = {
    queue_growing: ("queue order-processor", "P1", "1100 waiting", "orderops queue status --env local"),
    consumer_stuck: (
        "queue order-processor",
        "P1",
        "nobody takes its messages",
        "orderops service restart order-processor --env local",
    ),
}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[System]:
    with scratch("orderops-faults-") as folder:
        for name in ("environments", "sql"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "tests" / "releases" / "broken_service.py", folder)
        file, ports = folder / "environments" / "local.toml", (free_port(), free_port())
        text = file.read_text().replace("8080", str(ports[0])).replace("15432", str(ports[1]))
        text = text.replace("demonstration = true", 'demonstration = true\nsecrets = ["COLOUR"]')
        file.write_text(f"{text}\n[services.order-processor.alarms]\nqueue_age_seconds = 60\n")
        for name, value in {
            "ORDEROPS_ENVIRONMENTS": folder / "environments",
            "ORDEROPS_SQL": folder / "sql",
            "ORDEROPS_LOCAL_DIRECTORY": folder / "data",
            "PYTHONPATH": folder,
        }.items():
            monkeypatch.setenv(name, str(value))
        orderops = Orderops(capsys)
        try:
            up = orderops("up", "--yes")
            assert up.code == 0, up.err
            yield System(folder, orderops, *ports)
        finally:
            local.reset()


def verdict(system: System, expected: tuple[str | None, str, str, str]) -> tuple[str | None, str, str, str]:
    """What status says; the words of the cause as expected if they are in it."""
    said = system.orderops("status", "--json").json
    words = expected[2] if expected[2] in said["cause"] else said["cause"]
    return said["cause_component"], said["priority"], words, said["next"]


def found(system: System, fault: Fault, expected: tuple[str | None, str, str, str]) -> Any:
    """The last verdict while the fault lasts; the expected one as soon as status gives it."""
    seen = []

    def named() -> bool:
        seen.append(verdict(system, expected))
        return seen[-1] == expected

    with fault(system):
        # The last verdict is compared with the expected one.
        deadline = time.monotonic() + 90
        while not named() and time.monotonic() < deadline:
            time.sleep(0.1)
    until(lambda: system.orderops("status", "--json").json["cause_component"] is None, 400, f"healthy after {fault}")
    return seen[-1]


@pytest.mark.slow
def test_each_of_fourteen_faults_has_its_cause_its_priority_and_its_next_command(system: System) -> None:
    enough = has_room(system.folder)
    faults = {fault: expected for fault, expected in FAULTS.items() if enough or fault is not disk_nearly_full}

    assert {fault.__name__: found(system, fault, expected) for fault, expected in faults.items()} == {
        fault.__name__: expected for fault, expected in faults.items()
    }
    deployed = system.orderops("service", "deploy", "--image", "process://broken_service", "--bake", "0", "--yes")
    assert deployed.code == 0, deployed.err
    assert {fault.__name__: found(system, fault, expected) for fault, expected in WITHOUT_CONSUMER.items()} == {
        fault.__name__: expected for fault, expected in WITHOUT_CONSUMER.items()
    }
    if not enough:
        pytest.skip(NO_ROOM)
