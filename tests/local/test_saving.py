"""`orderops local stop` calls the data kept only when all of it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orderops import local
from orderops.errors import OrderopsError
from orderops.local.directories import DataDirectory
from support.command_line import Orderops
from support.laptop import Laptop

SAVED: dict[str, Any] = {"problem": "", "failing_since": None, "left_out": []}


@pytest.mark.slow
def test_an_environment_that_cannot_be_saved_goes_on_running_and_says_so(
    own_laptop: Laptop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, orderops = own_laptop, Orderops(capsys)
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(laptop.directory))
    queue = laptop.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    # No file can be written under this name now.
    obstacle = laptop.directory / "emulator.half"
    obstacle.mkdir()
    laptop.client("sqs").send_message(QueueUrl=queue, MessageBody="an order")

    refused = orderops("local", "stop")

    assert refused.code == 1
    assert "was not stopped, since its state cannot be saved: Is a directory" in refused.err
    assert "orderops local stop --without-saving" in refused.err
    assert laptop.status()["running"]
    assert "saving    changes are not saved since " in orderops("local", "status").out
    assert orderops("local", "status", "--json").json["state"]["problem"] == "Is a directory"
    status = orderops("status")
    assert (status.code, "absent" in status.out) == (3, True)
    assert "laptop" in status.out
    assert "changes are not saved since " in status.out

    obstacle.rmdir()
    stopped = orderops("local", "stop")

    assert (stopped.code, "the data is kept" in stopped.err) == (0, True)
    assert "saving" not in orderops("local", "status").out
    laptop.start()
    messages = laptop.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert [message["Body"] for message in messages] == ["an order"]
    obstacle.mkdir()
    stopped = orderops("local", "stop", "--without-saving")
    assert (stopped.code, "kept" in stopped.err) == (0, False)


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[DataDirectory]:
    """Environment whose daemon is a process that ends without saving anything."""
    files = DataDirectory(tmp_path / "local")
    files.create()
    files.try_lock("start")
    files.keep_key()
    daemon = subprocess.Popen(["sleep", "600"])
    created = psutil.Process(daemon.pid).create_time()
    files.announce({"pid": daemon.pid, "created": created, "url": "http://127.0.0.1:1", "region": "ap-southeast-2"})
    yield files
    daemon.kill()
    daemon.wait()


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (None, "it ended before it reported that its state is saved"),
        ({**SAVED, "problem": "No space left on device"}, "its state was not saved: No space left on device"),
        ({**SAVED, "left_out": ["generator of sqs"]}, "its state was saved without: generator of sqs"),
    ],
)
def test_a_stop_after_which_something_is_lost_is_an_error(
    ended: DataDirectory, report: dict[str, Any] | None, words: str
) -> None:
    if report:
        ended.record_last_save(report)

    with pytest.raises(OrderopsError, match=f"the local environment has stopped, and {words}"):
        local.stop(ended.directory)


def test_a_stop_after_which_everything_is_saved_is_none(ended: DataDirectory) -> None:
    ended.record_last_save(SAVED)

    local.stop(ended.directory)

    assert not local.status(ended.directory)["running"]


def test_what_was_not_saved_is_shown_while_nothing_runs(ended: DataDirectory) -> None:
    ended.record_last_save({**SAVED, "left_out": ["generator of sqs"]})
    local.stop(ended.directory, without_saving=True)

    assert local.saving_problems(local.status(ended.directory)["state"]) == [
        "the state is saved without: generator of sqs"
    ]
