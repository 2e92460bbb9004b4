"""The log of all calls: complete lines, no secrets, and no reason for a command to fail."""

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
from orderops.aws.redaction import masked, without_secrets
from orderops.cli import verbose_first
from orderops.errors import AwsError
from support.command_line import Orderops
from support.fake_answers import ACCOUNT, AnsweredSession, error_response
from support.repository import ENVIRONMENTS

WRITER = """
import sys
from orderops.aws import call_log
name, lines = sys.argv[1:]
with call_log.logged(print):
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(lines)):
        call_log.LoggedCall(f"{name}.{number}", {"Text": "x" * (number * 37 % 1900)}).succeeded({})
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


def test_a_call_is_logged_with_its_duration_and_outcome(folder: Path, complaints: list[str]) -> None:
    with call_log.logged(complaints.append):
        AnsweredSession((200, ACCOUNT)).aws.sts.get_caller_identity()

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


def test_an_error_is_logged_with_its_code_message_request_and_attempts(folder: Path) -> None:
    with call_log.logged(print), pytest.raises(AwsError):
        AnsweredSession(error_response(500, "InternalFailure", "an error")).aws.sts.get_caller_identity()

    [line] = lines(folder)
    assert (line["outcome"], line["status"], line["attempts"], line["request"]) == ("InternalFailure", 500, 5, "r-1")
    assert "an error" in line["text"]


def test_a_call_without_a_response_is_logged(folder: Path) -> None:
    with call_log.logged(print), pytest.raises(AwsError):
        Aws("ap-southeast-2", endpoint_url="http://127.0.0.1:1").once.sts.get_caller_identity()

    [line] = lines(folder)
    assert (line["outcome"], line["status"], line["attempts"]) == ("Unreachable", None, None)


def test_every_page_of_a_listing_is_logged(folder: Path) -> None:
    page = "<IsTruncated>true</IsTruncated><Marker>next</Marker>"
    pages = (
        f"<ListRolesResponse><ListRolesResult>{content}</ListRolesResult></ListRolesResponse>" for content in (page, "")
    )
    answers = AnsweredSession(*((200, text) for text in pages))

    with call_log.logged(print):
        list(every(answers.aws.iam.list_roles, "Roles"))

    assert [line["call"] for line in lines(folder)] == ["iam.list_roles", "iam.list_roles"]


def test_no_file_is_written_outside_a_command(folder: Path) -> None:
    AnsweredSession((200, ACCOUNT)).aws.sts.get_caller_identity()

    assert not folder.exists()


def test_only_the_user_can_read_the_log(folder: Path) -> None:
    with call_log.logged(print):
        AnsweredSession((200, ACCOUNT)).aws.sts.get_caller_identity()

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "calls.log").stat().st_mode & 0o077 == 0


SECRETS: dict[str, tuple[Any, Any]] = {
    "a password": ({"MasterUserPassword": "hunter2"}, {"MasterUserPassword": "***"}),
    "a flag about a password": ({"ManageMasterUserPassword": True}, {"ManageMasterUserPassword": True}),
    "a secret's value": ({"SecretId": "orders", "SecretString": "x"}, {"SecretId": "orders", "SecretString": "***"}),
    "bytes": ({"SecretBinary": b"x", "Body": b"abc"}, {"SecretBinary": "***", "Body": "(3 bytes)"}),
    "nested": ({"a": [{"authorizationToken": "t"}]}, {"a": [{"authorizationToken": "***"}]}),
    "a variable": (
        {"environment": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}]},
        {"environment": [{"name": "DB_PASSWORD", "value": "***"}, {"name": "PORT", "value": "80"}]},
    ),
    "a tag": ({"Tags": [{"Key": "api-token", "Value": "x"}]}, {"Tags": [{"Key": "api-token", "Value": "***"}]}),
    "a connection URL": (
        {"value": "postgresql://app:hunter2@db:5432/orders"},
        {"value": "postgresql://app:***@db:5432/orders"},
    ),
    "a presigned URL": (
        {"Url": "https://b.s3/x?X-Amz-Signature=abc&X-Amz-Date=1&X-Amz-Security-Token=t"},
        {"Url": "https://b.s3/x?X-Amz-Signature=***&X-Amz-Date=1&X-Amz-Security-Token=***"},
    ),
    "JSON in a text": (
        {"Policy": '{"user": "ann", "db_password": "hun\\"ter2"}'},
        {"Policy": '{"user": "ann", "db_password": "***"}'},
    ),
    "a customer's message": ({"MessageBody": "my secret wish"}, {"MessageBody": "(14 characters)"}),
    "a header": ({"Headers": "Accept: */*, Bearer abcdefgh.ijk"}, {"Headers": "Accept: */*, Bearer ***"}),
    "a connection string": ({"Conninfo": "host=db password=hunter2"}, {"Conninfo": "host=db password=***"}),
    "a time": ({"StartTime": datetime(2026, 11, 12, tzinfo=UTC)}, {"StartTime": "2026-11-12 00:00:00+00:00"}),
    "no secret": ({"QueueName": "orders", "MaxResults": 5}, {"QueueName": "orders", "MaxResults": 5}),
}  # fmt: skip


@pytest.mark.parametrize(("params", "logged"), SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_logged(params: Any, logged: Any) -> None:
    assert masked(params) == logged
    assert "hunter2" not in json.dumps(masked(params))


def test_a_long_text_is_truncated() -> None:
    assert without_secrets("x" * 3000).endswith("… (3000 characters)")


def test_processes_that_log_while_the_file_is_rotated_lose_no_line(folder: Path) -> None:
    folder.mkdir()
    old = json.dumps({"call": "old", "text": "x" * 5000})
    (folder / "calls.log").write_text(f"{old}\n" * (5_000_000 // 5000 + 1))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, "800"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"

    for writer in writers:  # they open the file at the same time
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]

    assert outputs == ["", "", ""]
    calls = [line["call"] for line in lines(folder)]
    assert sorted(call for call in calls if call != "old") == sorted(
        f"{name}.{number}" for name in "abc" for number in range(800)
    )
    assert calls.count("old") == 5_000_000 // 5000 + 1
    assert len(list(folder.glob("calls.log.*"))) == 1


def below_a_file(path: Path) -> Path:
    path.touch()
    return path / "log"


def with_a_full_disk(path: Path) -> Path:
    path.mkdir()
    (path / "calls.log").symlink_to("/dev/full")
    return path


@pytest.mark.parametrize("make", [below_a_file, with_a_full_disk])
def test_a_log_that_cannot_be_written_is_reported_once_and_fails_nothing(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    folder = make(tmp_path / "folder")
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(folder))
    answers = AnsweredSession((200, ACCOUNT))

    with call_log.logged(complaints.append):
        for _ in range(3):
            answers.aws.sts.get_caller_identity()

    [complaint] = complaints
    assert complaint.startswith(f"calls are not logged: {folder / 'calls.log'}: ")


def test_a_home_that_is_not_a_directory_is_reported_once_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: list[str]
) -> None:
    (tmp_path / "file").touch()
    for name in ("ORDEROPS_LOG_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))

    with call_log.logged(complaints.append):
        AnsweredSession((200, ACCOUNT)).aws.sts.get_caller_identity()

    [complaint] = complaints
    assert complaint.startswith(f"calls are not logged: {tmp_path / 'file'}")


def test_an_unknown_error_leads_to_the_log(folder: Path) -> None:
    with call_log.logged(print), pytest.raises(AwsError) as caught:
        AnsweredSession(error_response(400, "NeverSeen", "a new thing")).aws.sts.get_caller_identity()

    assert caught.value.message == "sts.get_caller_identity: NeverSeen: a new thing"
    assert caught.value.hint == f"request r-1; show what was sent: grep r-1 {folder / 'calls.log'}"


def test_the_log_contains_the_encoded_part_of_an_ec2_error(folder: Path) -> None:
    encoded = "4GIOHlTkIaWHQD0Q0m6XSnuUMCm"
    text = f"You are not authorized to perform this operation. Encoded authorization failure message: {encoded}"

    with call_log.logged(print), pytest.raises(AwsError) as caught:
        AnsweredSession(error_response(403, "UnauthorizedOperation", text)).aws.once.ec2.describe_vpcs()

    assert encoded not in caught.value.message
    assert encoded in lines(folder)[0]["text"]


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("argv", [("--verbose", "status"), ("status", "-v")], ids=" ".join)
def test_verbose_shows_every_call_before_and_after_the_command(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    result = Orderops(capsys)(*argv, "--env", "dev", "--environments", str(ENVIRONMENTS))

    shown = [line.split()[1] for line in result.err.splitlines() if " ms " in line]
    assert "sts.get_caller_identity" in shown
    assert "dev is absent" in result.out
    assert sorted(shown) == sorted(line["call"] for line in lines(folder))


def test_verbose_is_recognized_anywhere_but_in_arguments_of_other_programs() -> None:
    assert verbose_first(["infra", "plan", "-v"]) == ["-v", "infra", "plan"]
    assert verbose_first(["up"]) == ["up"]
    assert verbose_first(["local", "psql", "-v", "x=1"]) == ["local", "psql", "-v", "x=1"]
    assert verbose_first(["-v", "local", "psql", "-v", "x=1"]) == ["-v", "local", "psql", "-v", "x=1"]
    assert verbose_first(["service", "exec", "--", "ls", "-v"]) == ["service", "exec", "--", "ls", "-v"]
