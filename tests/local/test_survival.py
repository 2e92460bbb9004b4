from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from orderops import local
from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory
from orderops.local.users import enterable, scratch
from support.laptop import Laptop, Stack, until


@pytest.mark.slow
def test_a_killed_environment_restarts_with_its_data_tasks_and_address(own_laptop: Laptop) -> None:
    laptop, url, key = own_laptop, own_laptop.endpoint.url, own_laptop.endpoint.key
    instance = laptop.create_database()
    with laptop.connect(instance) as session:
        session.execute("CREATE TABLE orders AS SELECT 7 AS id")
    stack = Stack(laptop)
    stack.create(stack.register(NAME="first"))
    stack.completed()
    queue = laptop.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    laptop.client("sqs").send_message(QueueUrl=queue, MessageBody="an order")
    laptop.client("s3").create_bucket(
        Bucket="orderops-records", CreateBucketConfiguration={"LocationConstraint": Laptop.region}
    )
    laptop.client("s3").put_object(Bucket="orderops-records", Key="lease", Body=b"mine")
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    laptop.client("iam").create_role(
        RoleName="tasks", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    managed = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    laptop.client("iam").attach_role_policy(RoleName="tasks", PolicyArn=managed)
    kms_key = laptop.client("kms").create_key()["KeyMetadata"]["KeyId"]
    pids = stack.pids()
    laptop.remembered()

    laptop.kill()
    assert all(psutil.pid_exists(pid) for pid in pids)
    laptop.start()

    # Tasks that outlive the daemon have keys derived from this one.
    assert (laptop.endpoint.url, laptop.endpoint.key) == (url, key)
    assert laptop.client("kms").describe_key(KeyId=kms_key)["KeyMetadata"]["KeyId"] == kms_key
    attached = laptop.client("iam").list_attached_role_policies(RoleName="tasks")["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [managed]
    assert laptop.client("s3").get_object(Bucket="orderops-records", Key="lease")["Body"].read() == b"mine"
    received = laptop.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)["Messages"]
    assert [message["Body"] for message in received] == ["an order"]
    again = laptop.wait_for_database(instance["DBInstanceIdentifier"], "available")
    assert again["DbiResourceId"] == instance["DbiResourceId"]
    with laptop.connect(again) as session:
        assert session.execute("SELECT id FROM orders").fetchone() == (7,)
    until(lambda: stack.health() == ["healthy", "healthy"], what="the targets are healthy again")
    assert stack.pids() == pids
    assert stack.get()[0] == 200

    killed = min(pids)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in stack.pids() and len(stack.pids()) == 2, what="a task of the killed daemon is replaced")


@pytest.mark.slow
def test_a_stopped_environment_leaves_no_process_and_keeps_its_state(own_laptop: Laptop) -> None:
    laptop = own_laptop
    instance = laptop.create_database()
    stack = Stack(laptop, desired=1)
    stack.create(stack.register())
    stack.completed()
    pids = stack.pids()

    local.stop(laptop.directory)

    assert not laptop.status()["running"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not _postgres_below(laptop.directory)

    laptop.start()
    stack.completed()
    until(lambda: stack.health() == ["healthy"], what="the target is healthy")
    assert stack.service()["deployments"][0]["failedTasks"] == 0
    laptop.connect(laptop.wait_for_database(instance["DBInstanceIdentifier"], "available")).close()


@pytest.mark.slow
def test_reset_deletes_everything_even_after_a_crash(own_laptop: Laptop) -> None:
    laptop = own_laptop
    laptop.create_database()
    stack = Stack(laptop, desired=1)
    stack.create(stack.register())
    stack.completed()
    pids = stack.pids()
    laptop.remembered()
    laptop.kill()

    local.reset(laptop.directory)

    assert not laptop.directory.exists()
    assert not _postgres_below(laptop.directory)
    until(lambda: not any(_alive(pid) for pid in pids), what="the tasks have ended")


@pytest.mark.slow
@pytest.mark.usefixtures("daemon_of_its_own")
def test_concurrent_starts_yield_one_environment() -> None:
    with scratch() as directory, ThreadPoolExecutor() as pool:
        try:
            endpoints = list(pool.map(lambda _: local.start(Laptop.region, directory), range(4)))

            assert len({endpoint.url for endpoint in endpoints}) == 1
            daemons = [one for one in psutil.process_iter(["cmdline"]) if str(directory) in (one.info["cmdline"] or [])]
            assert len(daemons) == 1
        finally:
            local.reset(directory)


def test_a_directory_with_other_files_is_neither_used_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    for use in (lambda: local.start(Laptop.region, tmp_path), lambda: local.reset(tmp_path)):
        with pytest.raises(OrderopsError, match="contains other files"):
            use()

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("head_start", [0.2, 0.5, 0.8])
def test_a_start_begun_by_an_interrupted_command_is_awaited(head_start: float) -> None:
    with scratch("orderops-local-") as directory:
        code = "import sys, pathlib; from orderops import local; local.start(sys.argv[1], pathlib.Path(sys.argv[2]))"
        first = subprocess.Popen([sys.executable, "-c", code, Laptop.region, directory], stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            first.wait(head_start)
        first.kill()
        first.wait()

        local.start(Laptop.region, directory)

        assert local.status(directory)["running"]
        local.reset(directory)


def stopped(directory: Path) -> DataDirectory:
    """Return the files of an environment that was started before."""
    files = DataDirectory(directory)
    with files.locked("start", timeout=1):
        return files


def test_a_taken_port_is_refused_with_its_number() -> None:
    with scratch() as directory, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stopped(directory).keep_port(port)
        with pytest.raises(OrderopsError, match=f"port {port} is taken by another program") as refused:
            local.start(Laptop.region, directory)

        assert "orderops local reset" in refused.value.hint


def test_a_state_file_of_another_version_is_refused_with_a_hint() -> None:
    with scratch() as directory:
        stopped(directory).state.write_bytes(b'{"format": 1, "moto": "4.0.0"}\nwhatever')
        with pytest.raises(OrderopsError, match=r"written by moto 4\.0\.0") as refused:
            local.start(Laptop.region, directory)

        assert "orderops local reset" in refused.value.hint
        local.reset(directory)


def test_status_reports_running_parts_with_stable_keys(laptop: Laptop, capfd: pytest.CaptureFixture[str]) -> None:
    name = laptop.create_database()["DBInstanceIdentifier"]

    status = laptop.status()

    assert set(status) == {"running", "aws_endpoint", "strict", "data_directory", "state", "databases", "services"}
    assert (status["running"], status["aws_endpoint"]) == (True, laptop.endpoint.url)
    assert set(status["databases"][name]) == {"host", "port", "state"}
    assert local.psql(name, ["-Atc", "SELECT 40 + 2"], laptop.directory) == 0
    assert capfd.readouterr().out.strip() == "42"
    with pytest.raises(OrderopsError, match="no local database is named 'other'"):
        local.psql("other", [], laptop.directory)
    assert any("answers at" in line for line in local.logs(laptop.directory))
    assert any(line.startswith("postgres: ") for line in local.logs(laptop.directory))


def test_without_an_environment_status_reports_it_and_psql_hints_at_start(tmp_path: Path) -> None:
    assert local.status(tmp_path)["running"] is False
    with pytest.raises(OrderopsError) as refused:
        local.psql(directory=tmp_path)
    assert refused.value.hint == "run: orderops local start"
    local.stop(tmp_path)


def test_importing_the_client_loads_neither_moto_nor_boto3() -> None:
    heavy = ("moto", "boto3", "botocore", "psycopg", "uvicorn")
    code = f"import sys, orderops.local; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _postgres_below(directory: Path) -> list[int]:
    databases = str(enterable(directory / "databases"))
    return [
        one.pid
        for one in psutil.process_iter(["cmdline", "name"])
        if one.info["name"] == "postgres" and any(databases in part for part in one.info["cmdline"] or [])
    ]


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
