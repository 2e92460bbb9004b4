"""orderops board: the page of an environment, its samples, and its incidents on record."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from orderops.aws.documents import Bucket
from orderops.config.environment import load_environment
from orderops.errors import OrderopsError, UsageError
from orderops.infra.workspace import Workspace
from orderops.operations.board import publish_board
from support.command_line import Orderops
from support.faulty_proxy import Proxy
from support.recorded_history import Dev
from support.repository import ENVIRONMENTS

BUCKET = "orderops-dev-board-acme"
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
    said = orderops("board", "incident", "open", "Orders are late", "--dry-run", "--yes")

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


@pytest.fixture
def published(dev: Dev, tmp_path: Path) -> Workspace:
    """The environment dev with a bucket for its board, which exists."""
    workspace = dev.workspace
    workspace.aws.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    return workspace_with(dev, tmp_path, f'[board]\ntitle = "Acme"\nbucket = "{BUCKET}"\n')


def workspace_with(dev: Dev, folder: Path, more: str) -> Workspace:
    (folder / "dev.toml").write_text((ENVIRONMENTS / "dev.toml").read_text() + "\n" + more)
    return Workspace(load_environment("dev", folder), dev.workspace.aws)


def page_in(workspace: Workspace) -> Any:
    return workspace.aws.s3.get_object(Bucket=BUCKET, Key="index.html")


def test_a_page_is_published_for_browsers_and_says_what_renews_it(
    published: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_board(published, None)

    page = page_in(published)
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert page["CacheControl"] == "max-age=30"
    assert b'data-every="60" data-stale="900"' in page["Body"]
    assert b"Detail for engineers" not in page["Body"]
    said = capsys.readouterr().err
    assert f"published s3://{BUCKET}/index.html" in said
    assert "nothing renews it: repeat this command every five minutes, or let it run with --every 5m" in said


def test_publishing_goes_on_after_a_failure_until_ctrl_c(
    published: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        s3 = published.aws.s3
        if len(pauses) == 1:
            s3.delete_object(Bucket=BUCKET, Key="index.html")
            s3.delete_bucket(Bucket=BUCKET)
        elif len(pauses) == 2:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
        else:
            raise KeyboardInterrupt

    publish_board(published, timedelta(minutes=5), pause)

    assert pauses == [300, 300, 300]
    assert f"not published: there is no bucket {BUCKET}" in capsys.readouterr().err
    assert b'data-stale="900"' in page_in(published)["Body"]


def test_a_bucket_that_does_not_exist_is_an_error_with_the_command_that_makes_it(dev: Dev, tmp_path: Path) -> None:
    workspace = workspace_with(dev, tmp_path, f'[board]\nbucket = "{BUCKET}"\n')

    with pytest.raises(OrderopsError) as refused:
        publish_board(workspace, None)

    assert refused.value.message == f"there is no bucket {BUCKET}"
    assert refused.value.hint == f"create it: aws s3 mb s3://{BUCKET} --region ap-southeast-2"


def test_without_a_bucket_in_the_file_nothing_is_published(dev: Dev) -> None:
    with pytest.raises(UsageError, match=r"dev\.toml names no bucket for the board"):
        publish_board(dev.workspace, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("bucket", "why"),
    [("acme-status", "must begin with orderops-dev-board"), ("orderops-dev-board.acme", "3 to 63 lower-case letters")],
)
def test_a_bucket_that_no_policy_allows_is_a_mistake_in_the_file(
    dev: Dev, tmp_path: Path, bucket: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        workspace_with(dev, tmp_path, f'[board]\nbucket = "{bucket}"\n')


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
