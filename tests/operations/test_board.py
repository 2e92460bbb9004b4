"""orderops board: the page of an environment, its samples, and its incidents on record."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from orderops.aws.documents import Bucket
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.recorded_history import Dev
from support.repository import ENVIRONMENTS

pytest_plugins = ["support.recorded_history_fixtures"]


def kept(dev: Dev) -> list[str]:
    """The samples of all days."""
    bucket = Bucket(dev.workspace.aws)
    documents = [bucket.read(key) for key in bucket.keys("dev/board/samples/")]
    return [line for document in documents if document for line in document.value["samples"]]


def test_the_page_is_written_and_a_sample_is_kept(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    file = tmp_path / "board.html"

    said = orderops("board", "--out", str(file))

    assert (said.code, said.out) == (0, "")
    assert f"wrote {file}" in said.err
    assert "<h1" in file.read_text()
    assert "Detail for engineers" not in file.read_text()
    assert len(kept(dev)) == 1


def test_the_details_have_components_and_charts(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    file = tmp_path / "board.html"

    orderops("board", "--detail", "--out", str(file))

    page = file.read_text()
    assert all(
        part in page for part in ("Detail for engineers", "queue order-processor", "Messages waiting", "Running")
    )


def test_a_page_replaces_the_one_before_and_leaves_nothing_beside_it(
    dev: Dev, orderops: Orderops, tmp_path: Path
) -> None:
    file = tmp_path / "board.html"
    file.write_text("before")

    orderops("board", "--out", str(file))

    assert file.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["board.html"]


def test_a_folder_that_does_not_exist_is_an_error(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    said = orderops("board", "--out", str(tmp_path / "none" / "board.html"))

    assert said.code == 1
    assert "cannot be used: no such file or directory" in said.err


def test_an_environment_that_does_not_exist_has_a_page_and_leaves_no_bucket(
    brought: object, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, orderops: Orderops, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    said = orderops("board", "--out", str(tmp_path / "board.html"))

    assert said.code == 0
    assert "The system is not in operation" in (tmp_path / "board.html").read_text()
    assert Dev(proxy).workspace.aws.s3.list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("board", "--detail"), "name the file for the page"),
        (("board", "--detail", "incident", "list"), "--detail comes before incident"),
        (("board", "serve", "--every", "1s"), "--every is shorter than 5 s"),
        (("board", "incident", "open", ""), "the title is empty"),
        (("board", "incident", "update", "20261129-0000-beef", "x"), "no incident has the id '20261129-0000-beef'"),
    ],
)
def test_what_makes_no_sense_is_refused(dev: Dev, orderops: Orderops, words: tuple[str, ...], error: str) -> None:
    said = orderops(*words)

    assert said.code == 2
    assert error in said.err


def test_an_incident_is_opened_updated_and_closed_each_on_record(dev: Dev, orderops: Orderops, tmp_path: Path) -> None:
    identifier = orderops("board", "incident", "open", "Orders <b>late</b>", "--affects", "orders", "--yes").out.strip()
    orderops("board", "incident", "update", identifier, "We look\ninto it.", "--yes")
    orderops("board", "--out", str(tmp_path / "open.html"))
    orderops("board", "incident", "close", identifier, "--text", "Done.", "--yes")
    [incident] = orderops("board", "incident", "list", "--json").json
    history = orderops("history", "--json").json

    page = (tmp_path / "open.html").read_text()
    assert "Orders &lt;b&gt;late&lt;/b&gt;" in page
    assert "<p>We look</p>" in page
    assert "operational" not in page
    assert [update["text"] for update in incident["updates"]] == ["We look\ninto it.", "Done."]
    assert incident["closed"]
    assert [run["steps"][0]["action"] for run in history] == ["incident closed", "incident updated", "incident opened"]
    assert {run["steps"][0]["incident"] for run in history} == {identifier}
    assert [run["outcome"] for run in history] == ["done"] * 3


def test_a_dry_run_shows_the_text_and_writes_nothing(dev: Dev, orderops: Orderops) -> None:
    said = orderops("board", "incident", "open", "Orders are late", "--dry-run")

    assert "customers will read: Orders are late" in said.err
    assert orderops("board", "incident", "list", "--json").json == []


def test_an_incident_waits_for_no_other_run(dev: Dev, orderops: Orderops) -> None:
    with dev.workspace.runs.begun("up --env dev", None, wait=timedelta(), waiting=lambda *_: None):
        said = orderops("board", "incident", "open", "Orders are late", "--yes", "--wait", "0")

    assert said.code == 0


def test_an_incident_on_the_terminal_has_no_control_characters(dev: Dev, orderops: Orderops) -> None:
    document = {
        "id": "20261129-0312-beef",
        "title": "late\x1b[2J",
        "affects": "orders",
        "opened": "2026-11-29T03:12:00Z",
        "updates": [{"at": "2026-11-29T03:12:00Z", "who": "ana\x1b", "text": "a\u202eb"}],
        "closed": None,
    }
    Bucket(dev.workspace.aws).put("dev/board/incidents/20261129-0312-beef.json", document)

    said = orderops("board", "incident", "list")

    assert "\x1b[2J" not in said.out
    assert "\u202e" not in said.out
    assert r"late\x1b[2J" in said.out


def test_the_board_is_served_until_ctrl_c(dev: Dev, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orderops", "board", "serve", "--port", "0", "--env", "dev"]
    variables = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "ORDEROPS_LOG_DIRECTORY": str(tmp_path),
    }
    with subprocess.Popen(
        [*command, "--environments", str(ENVIRONMENTS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    ) as program:
        assert program.stdout
        assert program.stderr
        assert select.select([program.stdout], [], [], 60)[0]
        url = program.stdout.readline().strip()
        assert program.stderr.readline() == "serving until Ctrl+C\n"
        with urlopen(url, timeout=30) as response:
            page = response.read().decode()
        program.send_signal(signal.SIGINT)
        rest = program.communicate(timeout=60)[1]

    assert page.count("<h1") == 1
    assert (program.returncode, rest) == (0, "")
