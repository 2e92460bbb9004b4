"""Other users of this machine: what they can read and connect to."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orderops import local
from orderops.errors import OrderopsError
from orderops.local import users
from orderops.local.directories import DataDirectory
from orderops.local.users import enterable
from support.laptop import Laptop, Stack

# Reads every file below the folders that it can, and what it can of processes.
ATTACK = """
import json, os, sys, urllib.error, urllib.request
url, pids, *folders = json.loads(sys.argv[1])
found = []
for folder in folders:
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                open(os.path.join(where, name), "rb").read(1)
                found.append(os.path.join(where, name))
            except OSError:
                pass
for pid in pids:
    for name in ("environ", "mem", "cwd/postgresql.conf", "root/etc/passwd", *(f"fd/{n}" for n in range(64))):
        try:
            open(f"/proc/{pid}/{name}", "rb").close()
            found.append(f"/proc/{pid}/{name}")
        except OSError:
            pass
for path in ("/orderops/credentials", "/orderops/status", "/", "/moto-api/data.json"):
    try:
        found.append(urllib.request.urlopen(url + path).read().decode())
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
print(json.dumps(found))
"""


def as_nobody(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python as `nobody` with the group that this user has on this machine."""
    entry = pwd.getpwnam("nobody")
    # The interpreter of the tests is in a directory that only root can enter.
    python = next(
        path for path in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable) if Path(path).exists()
    )
    return subprocess.run(
        [python, "-c", code, *arguments],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as another user")


@root
def test_another_user_reads_nothing_of_the_environment_of_root(laptop: Laptop) -> None:
    instance = laptop.create_database()
    stack = Stack(laptop, desired=1)
    stack.create(stack.register())
    stack.completed()
    databases = enterable(laptop.directory / "databases")
    server = databases / instance["DbiResourceId"] / "server"
    pid = int((server / "data" / "postmaster.pid").read_text().splitlines()[0])
    daemon = json.loads((laptop.directory / "daemon.json").read_text())["pid"]
    targets = [laptop.endpoint.url, [pid, daemon, *stack.pids()]]

    attack = as_nobody(ATTACK, json.dumps([*targets, str(laptop.directory), str(databases)]))

    assert (attack.returncode, json.loads(attack.stdout or "null")) == (0, []), attack.stderr
    with laptop.connect(instance) as session:
        # Files in /dev/shm belong to the user alone, whatever the group.
        assert session.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)
    # The same attack succeeds where nothing prevents it.
    with users.scratch() as folder:
        (folder / "open.txt").write_text("orders")
        found = as_nobody(ATTACK, json.dumps([laptop.endpoint.url, [], str(folder)]))
        assert json.loads(found.stdout) == [str(folder / "open.txt")], found.stderr


def test_the_databases_ask_every_user_for_a_password(laptop: Laptop) -> None:
    instance = laptop.create_database()
    data = enterable(laptop.directory / "databases") / instance["DbiResourceId"] / "server" / "data"
    rules = [line.split() for line in (data / "pg_hba.conf").read_text().splitlines() if line and line[0] != "#"]

    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    with laptop.connect(instance) as session:
        shown = {
            name: session.execute(f"SHOW {name}").fetchone() for name in ("unix_socket_directories", "listen_addresses")
        }
    assert shown == {"unix_socket_directories": ("",), "listen_addresses": ("127.0.0.1",)}


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o711, 0o750])
def test_a_directory_that_was_open_is_closed_to_others(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    folder.chmod(mode)

    DataDirectory(folder).create()

    status = folder.stat()
    assert status.st_mode & stat.S_IRWXO == 0
    assert status.st_mode & stat.S_IRWXG in (0, stat.S_IXGRP)
    if status.st_mode & stat.S_IXGRP:
        # The group of the servers, which no user has.
        assert status.st_gid == 65525


def test_a_directory_that_is_private_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "local"
    folder.mkdir(mode=0o700)

    DataDirectory(folder).create()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@root
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "local"
    folder.mkdir()
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)

    with pytest.raises(OrderopsError, match="belongs to another user"):
        local.start(Laptop.region, folder)

    assert list(folder.iterdir()) == []


def test_the_key_is_private_and_an_open_one_is_replaced(tmp_path: Path) -> None:
    files = DataDirectory(tmp_path / "local")
    files.create()
    key = files.keep_key()
    path = files.directory / "key.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.keep_key() == files.key == key
    path.chmod(0o644)
    assert files.keep_key() != key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text('{"access_key_id": 7')
    assert files.keep_key().secret


@root
def test_the_environment_of_another_user_is_shown_as_not_running(laptop: Laptop) -> None:
    # The tests' Python is closed to other users, so this process itself becomes one for a moment.
    entry = pwd.getpwnam("nobody")
    os.seteuid(entry.pw_uid)
    try:
        state = local.status(laptop.directory)
        with pytest.raises(OrderopsError, match="belongs to another user"):
            local.stop(laptop.directory)
    finally:
        os.seteuid(0)

    assert (state["running"], state["aws_endpoint"]) == (False, None)
    assert laptop.status()["running"]


@root
def test_directories_for_servers_can_be_entered_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "orderops"
    monkeypatch.setattr(users, "SYSTEM_DIRECTORY", system)
    before = os.umask(0o077)
    try:
        made = users.system_directory("sheltered")
    finally:
        os.umask(before)

    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (system, made)] == [0o755, 0o755]
