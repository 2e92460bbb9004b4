"""The log of every call: whole lines, no secrets, and never the reason why a command fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orderops.aws import call_log
from orderops.aws.client import Aws, every
from orderops.aws.redaction import HIDDEN, masked, without_secrets
from orderops.cli import verbose_first
from orderops.errors import AwsError
from support.command_line import Orderops
from support.fake_answers import ACCOUNT, Answers, refusal
from support.repository import ENVIRONMENTS

WRITER = """
import sys
from orderops.aws import call_log
name, lines = sys.argv[1:]
with call_log.kept(print):
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(lines)):
        call_log.Calls(f"{name}.{number}", {"Text": "x" * (number * 37 % 1900)}).answered({})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def complaints() -> list[str]:
    return []


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("calls.log*")) for line in file.read_text().splitlines()]


def test_a_call_is_a_line_that_says_what_how_long_and_how_it_ended(folder: Path, complaints: list[str]) -> None:
    with call_log.kept(complaints.append):
        Answers((200, ACCOUNT)).aws.sts.get_caller_identity()

    [line] = lines(folder)
    assert (line["call"], line["outcome"], line["status"], line["attempts"]) == (
        "sts.get_caller_identity",
        "ok",
        200,
        1,
    )
    assert datetime.fromisoformat(line["time"]).tzinfo == UTC
    assert line["ms"] >= 0
    assert line["pid"]
    assert complaints == []


def test_a_refusal_is_logged_with_its_code_its_words_its_request_and_every_attempt(folder: Path) -> None:
    with call_log.kept(print), pytest.raises(AwsError):
        Answers(refusal(500, "InternalFailure", "an error")).aws.sts.get_caller_identity()

    [line] = lines(folder)
    assert (line["outcome"], line["status"], line["attempts"], line["request"]) == ("InternalFailure", 500, 5, "r-1")
    assert "an error" in line["text"]


def test_what_was_never_answered_is_logged_too(folder: Path) -> None:
    with call_log.kept(print), pytest.raises(AwsError):
        Aws("ap-southeast-2", endpoint_url="http://127.0.0.1:1").once.sts.get_caller_identity()

    [line] = lines(folder)
    assert (line["outcome"], line["status"], line["attempts"]) == ("Unreachable", None, None)


def test_every_page_of_a_listing_is_a_line(folder: Path) -> None:
    page = "<IsTruncated>true</IsTruncated><Marker>next</Marker>"
    answers = Answers(*((200, f"<ListRolesResponse><ListRolesResult>{each}</ListRolesResult></ListRolesResponse>")
                        for each in (page, "")))  # fmt: skip

    with call_log.kept(print):
        list(every(answers.aws.iam.list_roles, "Roles"))

    assert [line["call"] for line in lines(folder)] == ["iam.list_roles", "iam.list_roles"]


def test_nothing_is_logged_where_no_log_is_kept(folder: Path) -> None:
    Answers((200, ACCOUNT)).aws.sts.get_caller_identity()

    assert not folder.exists()


def test_the_log_is_for_nobody_else(folder: Path) -> None:
    with call_log.kept(print):
        Answers((200, ACCOUNT)).aws.sts.get_caller_identity()

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "calls.log").stat().st_mode & 0o077 == 0


SECRETS: dict[str, tuple[Any, Any]] = {
    "a password": ({"MasterUserPassword": "hunter2"}, {"MasterUserPassword": HIDDEN}),
    "whether there is one": ({"ManageMasterUserPassword": True}, {"ManageMasterUserPassword": True}),
    "a secret's value": ({"SecretId": "orders", "SecretString": "x"}, {"SecretId": "orders", "SecretString": HIDDEN}),
    "bytes": ({"SecretBinary": b"x", "Body": b"abc"}, {"SecretBinary": HIDDEN, "Body": "(3 bytes)"}),
    "deep inside": ({"a": [{"authorizationToken": "t"}]}, {"a": [{"authorizationToken": HIDDEN}]}),
    "a variable": (
        {"environment": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}]},
        {"environment": [{"name": "DB_PASSWORD", "value": HIDDEN}, {"name": "PORT", "value": "80"}]},
    ),
    "a tag": ({"Tags": [{"Key": "api-token", "Value": "x"}]}, {"Tags": [{"Key": "api-token", "Value": HIDDEN}]}),
    "a database's address": (
        {"value": "postgresql://app:hunter2@db:5432/orders"},
        {"value": f"postgresql://app:{HIDDEN}@db:5432/orders"},
    ),
    "a signed address": (
        {"Url": "https://b.s3/x?X-Amz-Signature=abc&X-Amz-Date=1&X-Amz-Security-Token=t"},
        {"Url": f"https://b.s3/x?X-Amz-Signature={HIDDEN}&X-Amz-Date=1&X-Amz-Security-Token={HIDDEN}"},
    ),
    "JSON in a text": (
        {"Policy": '{"user": "ann", "db_password": "hun\\"ter2"}'},
        {"Policy": f'{{"user": "ann", "db_password": "{HIDDEN}"}}'},
    ),
    "what a customer wrote": ({"MessageBody": "my secret wish"}, {"MessageBody": "(14 characters)"}),
    "a header": ({"Headers": "Accept: */*, Bearer abcdefgh.ijk"}, {"Headers": f"Accept: */*, Bearer {HIDDEN}"}),
    "a libpq text": ({"Conninfo": "host=db password=hunter2"}, {"Conninfo": f"host=db password={HIDDEN}"}),
    "a time": ({"StartTime": datetime(2026, 11, 12, tzinfo=UTC)}, {"StartTime": "2026-11-12 00:00:00+00:00"}),
    "what is none": ({"QueueName": "orders", "MaxResults": 5}, {"QueueName": "orders", "MaxResults": 5}),
}  # fmt: skip


@pytest.mark.parametrize(("params", "logged"), SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_logged(params: Any, logged: Any) -> None:
    assert masked(params) == logged
    assert "hunter2" not in json.dumps(masked(params))


def test_a_long_text_is_cut() -> None:
    assert without_secrets("x" * 3000).endswith("… (3000 characters)")


def test_two_processes_that_log_at_once_lose_no_line_and_tear_none_while_the_file_is_put_aside(folder: Path) -> None:
    folder.mkdir()
    old = json.dumps({"call": "old", "text": "x" * 5000})
    (folder / "calls.log").write_text(f"{old}\n" * (call_log.LARGEST // 5000 + 1))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, "800"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"

    for writer in writers:  # each begins its file now
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=60)[0] for writer in writers]

    assert said == ["", "", ""]
    found = [line["call"] for line in lines(folder)]
    assert sorted(call for call in found if call != "old") == sorted(
        f"{name}.{each}" for name in "abc" for each in range(800)
    )
    assert found.count("old") == call_log.LARGEST // 5000 + 1
    assert len(list(folder.glob("calls.log.*"))) == 1


def below_a_file(path: Path) -> Path:
    path.touch()
    return path / "log"


def with_a_full_disk(path: Path) -> Path:
    path.mkdir()
    (path / "calls.log").symlink_to("/dev/full")
    return path


@pytest.mark.parametrize("make", [below_a_file, with_a_full_disk])
def test_a_log_that_cannot_be_written_is_said_once_and_fails_nothing(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    folder = make(tmp_path / "place")
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(folder))
    answers = Answers((200, ACCOUNT))

    with call_log.kept(complaints.append):
        for _ in range(3):
            answers.aws.sts.get_caller_identity()

    [told] = complaints
    assert told.startswith(f"calls are not logged: {folder / 'calls.log'}: ")


def test_a_home_that_is_none_is_said_once_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    (tmp_path / "file").touch()
    for name in ("ORDEROPS_LOG_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))

    with call_log.kept(complaints.append):
        Answers((200, ACCOUNT)).aws.sts.get_caller_identity()

    [told] = complaints
    assert told.startswith(f"calls are not logged: {tmp_path / 'file'}")


def test_an_unknown_failure_says_where_all_of_it_stands(folder: Path) -> None:
    with call_log.kept(print), pytest.raises(AwsError) as told:
        Answers(refusal(400, "NeverSeen", "a new thing")).aws.sts.get_caller_identity()

    assert told.value.message == "sts.get_caller_identity: NeverSeen: a new thing"
    assert told.value.hint == f"request r-1; what was sent: grep r-1 {folder / 'calls.log'}"


def test_what_ec2_encodes_is_whole_in_the_log(folder: Path) -> None:
    blob = "4GIOHlTkIaWHQD0Q0m6XSnuUMCm"
    text = f"You are not authorized to perform this operation. Encoded authorization failure message: {blob}"

    with call_log.kept(print), pytest.raises(AwsError) as told:
        Answers(refusal(403, "UnauthorizedOperation", text)).aws.once.ec2.describe_vpcs()

    assert blob not in told.value.message
    assert blob in lines(folder)[0]["text"]


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("words", [("--verbose", "status"), ("status", "-v")], ids=" ".join)
def test_verbose_shows_every_call_before_and_after_the_command(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    said = Orderops(capsys)(*words, "--env", "dev", "--environments", str(ENVIRONMENTS))

    shown = [line.split()[1] for line in said.err.splitlines() if " ms " in line]
    assert "sts.get_caller_identity" in shown
    assert "dev is absent" in said.out
    assert sorted(shown) == sorted(line["call"] for line in lines(folder))


def test_verbose_may_be_said_anywhere_but_to_another_program() -> None:
    assert verbose_first(["infra", "plan", "-v"]) == ["-v", "infra", "plan"]
    assert verbose_first(["up"]) == ["up"]
    assert verbose_first(["local", "psql", "-v", "x=1"]) == ["local", "psql", "-v", "x=1"]
    assert verbose_first(["-v", "local", "psql", "-v", "x=1"]) == ["-v", "local", "psql", "-v", "x=1"]
    assert verbose_first(["service", "exec", "--", "ls", "-v"]) == ["service", "exec", "--", "ls", "-v"]
