"""After every command that changes nothing, a laptop environment is saved, and a restart brings it back whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderops import local
from orderops.cli.tree import whole_command
from orderops.local.ports import free_port
from orderops.local.users import scratch
from support.account_snapshot import take_snapshot
from support.command_line import Orderops
from support.laptop import Laptop, until
from support.repository import ROOT

# Commands without --dry-run that are no reads, and why. A new command is taken for a read.
NO_READS = {
    "service build": "builds an image",
    "infra export": "writes a folder",
    "migrate new": "writes two files",
    "service exec": "needs AWS's session-manager-plugin",
    "service sbom": "reads an image, and the laptop's service is a process",
    "board serve": "serves until Ctrl+C",
    "board publish": "puts a page into a bucket",
    "waf report": "reads the log of a firewall, and the laptop's file declares none",
    "local replay": "pauses what a replica replays, and resumes it",
    "local start": "starts what this test stops",
    "local stop": "called by this test",
    "local reset": "deletes everything",
}
# What a command is called with, besides without anything.
ALSO: dict[str, list[list[str]]] = {
    "doctor": [["--policies"], ["--for", "operator"], ["--json"]],
    "status": [["--json"]],
    "history": [["--json"]],
    "infra plan": [["--json"]],
    "restore salvage": [["--every-table", "--only-restored"]],
    "env diff": [["local", "dev"]],
    "local psql": [["-Atc", "select count(*) from users"]],
}
# psql waits for input, a salvage names its tables, two environments differ, and only a dead letter that is there can be
# shown.
ONLY_WITH_ARGUMENTS = {"env diff", "local psql", "queue dlq show", "restore salvage"}


def reads() -> list[list[str]]:
    """Return every command line that changes nothing."""
    found = []
    for words, options in leaves(whole_command()):
        name = " ".join(words)
        if "--dry-run" not in options and name not in NO_READS:
            found += [] if name in ONLY_WITH_ARGUMENTS else [words]
            found += [[*words, *more] for more in ALSO.get(name, ())]
    return found


def leaves(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[list[str], set[str]]]:
    """Return every command by its words, with its options."""
    if not hasattr(command, "commands"):
        yield list(before), {option for parameter in command.params for option in parameter.opts}
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*before, name))


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder with an environment `local` that has ports and a data directory of its own."""
    with scratch("orderops-reads-") as folder:
        shutil.copytree(ROOT / "environments", folder / "environments")
        file = folder / "environments" / "local.toml"
        text = file.read_text().replace("_tasks = 2", "_tasks = 1")
        for port in ("8080", "15432"):
            text = text.replace(f"port = {port}", f"port = {free_port()}")
        file.write_text(text)
        monkeypatch.setenv("ORDEROPS_ENVIRONMENTS", str(folder / "environments"))
        monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(folder / "data"))
        monkeypatch.chdir(ROOT)
        yield folder
        local.reset()


def everything(laptop: Laptop, orderops: Orderops) -> dict[str, Any]:
    """Return what an operator has: resources, restored instances, runs, and rows."""
    restored = [(row["name"], row["role"], row["status"]) for row in orderops("restore", "list", "--json").json]
    runs = [(run["command"], run["outcome"]) for run in orderops("history", "--json").json]
    return {"resources": take_snapshot(laptop.client), "restored": restored, "runs": runs}


def bodies(laptop: Laptop, queue: str) -> list[str]:
    response = laptop.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    return sorted(message["Body"] for message in response.get("Messages", ()))


@pytest.mark.slow
def test_a_restart_after_every_read_only_command_finds_everything(
    environments: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orderops = Orderops(capsys)
    assert orderops("up").code == 0
    laptop = Laptop(environments / "data", local.running_endpoint())
    queue = laptop.client("sqs").create_queue(QueueName="other")["QueueUrl"]
    assert orderops("restore", "--at", "latest").code == 0
    until(lambda: "other" in take_snapshot(laptop.client)["queue"], timeout=60, what="the new queue is listed")
    for body in ("tea", "coffee"):
        laptop.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    before = everything(laptop, orderops)
    assert len(before["restored"]) == 2

    codes = {" ".join(words): orderops(*words).code for words in reads()}

    # Nobody is paged by a laptop, and `alerts check` says so.
    assert codes.pop("alerts check") == 1
    assert {words: code for words, code in codes.items() if code not in (0, 3)} == {}
    assert len(codes) > 20
    stopped = orderops("local", "stop")
    assert (stopped.code, "the data is kept" in stopped.err) == (0, True), stopped.err
    laptop.start()
    until(lambda: orderops("status").code == 0, timeout=120, what="healthy again")
    assert everything(laptop, orderops) == before
    assert bodies(laptop, queue) == ["coffee", "tea"]
