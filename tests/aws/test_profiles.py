"""Profiles of the AWS tools that do not exist or lack something: an error that says which and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.aws.partition import partition_of
from orderops.errors import AwsError
from support.command_line import Orderops
from support.repository import ENVIRONMENTS

CONFIG = """
[profile half]
aws_access_key_id = AKIDEXAMPLE
[profile without-session]
sso_session = gone
sso_account_id = 123456789012
sso_role_name = Admin
[profile half-sso]
sso_account_id = 123456789012
sso_role_name = Admin
[profile without-source]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = missing
[profile circle]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = other
[profile other]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = circle
[profile talks]
credential_process = /bin/echo hello
[profile without-token]
role_arn = arn:aws:iam::123456789012:role/x
web_identity_token_file = /nonexistent/token
"""
CASES = {
    "nobody": "no AWS profile named 'nobody'",
    "half": "the profile lacks aws_secret_access_key",
    "without-session": "the profile names the SSO session 'gone', which does not exist",
    "half-sso": "the profile 'half-sso' uses SSO and lacks sso_start_url, sso_region",
    "without-source": "the profile 'without-source' takes its credentials from 'missing', which does not exist",
    "circle": "the configuration of the AWS tools cannot be read",
    "talks": "the source of these credentials returned none",
    "without-token": "a file that provides these credentials cannot be used: /nonexistent/token",
}


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    (tmp_path / "config").write_text(CONFIG)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The data about regions is read once in a process, and by any test before.
    partition_of.cache_clear()
    return monkeypatch


@pytest.mark.parametrize(("name", "meaning"), CASES.items(), ids=CASES)
def test_an_unusable_profile_is_explained(profile: pytest.MonkeyPatch, name: str, meaning: str) -> None:
    profile.setenv("AWS_PROFILE", name)

    with pytest.raises(AwsError) as refused:
        _ = Aws("ap-southeast-2").account

    assert refused.value.lines[0] == meaning
    assert "aws" in refused.value.hint


@pytest.mark.parametrize("words", [("history",), ("status",), ("infra", "plan"), ("up", "--dry-run")], ids=" ".join)
def test_a_command_with_a_stale_profile_ends_with_its_name(
    profile: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    profile.setenv("AWS_PROFILE", "nobody")

    said = Orderops(capsys, "--env", "dev", "--environments", str(ENVIRONMENTS))(*words)

    assert said.code == 1
    assert said.err.splitlines()[0] == "error: no AWS profile named 'nobody'"
    assert "aws configure list-profiles" in said.err


def test_a_command_that_needs_no_account_works_with_a_stale_profile(
    profile: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile.setenv("AWS_PROFILE", "nobody")
    (tmp_path / "config").write_text("[profile x\nbroken")

    said = Orderops(capsys)("env", "check", "dev", "--environments", str(ENVIRONMENTS))

    assert (said.code, said.out) == (0, "dev: ok\n"), said.err
