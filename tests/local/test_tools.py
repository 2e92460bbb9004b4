"""`orderops local env`: what other AWS tools need, for a shell and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from orderops import local
from orderops.local.keys import AccessKey
from support.command_line import Orderops
from support.laptop import Laptop

KEY = AccessKey("LAPTOP7", 'a\'b $(touch pwned) `x` "c"\nd')
ENDPOINT = local.LocalEndpoint("http://127.0.0.1:4000", "ap-southeast-2", Path("/tmp"), KEY)
SHELLS = [shell for shell in ("/bin/sh", "/bin/bash", "/bin/zsh") if Path(shell).exists()]
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def after_eval(commands: list[str], before: Mapping[str, str], shell: str, folder: Path) -> dict[str, str]:
    """Return the environment of a program that a shell starts after it evaluated these commands."""
    text = f'set -eu\neval "$1"\n"{sys.executable}" -c "{SHOW}"'
    environment = {"PATH": os.environ["PATH"], **before}
    run = [shell, "-c", text, shell, "\n".join(commands)]
    output = subprocess.run(run, env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = json.loads(output)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_gets_the_values_as_they_are_and_none_that_disturb(shell: str, tmp_path: Path) -> None:
    before = {
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "old",
        "AWS_ENDPOINT_URL_SQS": "https://sqs.example",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HOME": "/home/ann",
    }

    after = after_eval(local.shell_commands(local.tool_variables(ENDPOINT, before)), before, shell, tmp_path)

    assert {name: value for name, value in after.items() if name.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4000",
        "AWS_ACCESS_KEY_ID": KEY.id,
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_REGION": "ap-southeast-2",
        "AWS_DEFAULT_REGION": "ap-southeast-2",
    }
    assert after["HOME"] == "/home/ann"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_call_of_the_aws_cli_names_the_endpoint(shell: str, tmp_path: Path) -> None:
    # Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS: aws/aws-cli, customizations/overridesslcommonname.py.
    program = tmp_path / "aws"
    program.write_text('#!/bin/sh\nfor argument; do echo "[$argument]"; done\n')
    program.chmod(0o755)
    text = 'eval "$1"\naws sqs send-message --message-body "two words"\nunset AWS_ENDPOINT_URL\naws sts'
    commands = "\n".join(local.shell_commands(local.tool_variables(ENDPOINT, {})))
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    run = subprocess.run(
        [shell, "-c", text, shell, commands], env=environment, capture_output=True, text=True, check=True
    )

    first = ["[--endpoint-url=http://127.0.0.1:4000]", "[sqs]", "[send-message]", "[--message-body]", "[two words]"]
    assert run.stdout.splitlines() == [*first, "[sts]"]


@pytest.mark.parametrize(
    ("variables", "hosts"),
    [
        ({}, None),
        ({"http_proxy": "http://proxy:3128"}, "127.0.0.1"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "intern.example"}, "intern.example,127.0.0.1"),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "127.0.0.1"}, None),
    ],
)
def test_requests_do_not_go_to_a_proxy(
    variables: dict[str, str], hosts: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert local.tool_variables(ENDPOINT, {}).get("NO_PROXY") == hosts


def test_without_a_running_environment_nothing_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(tmp_path / "absent"))

    refused = Orderops(capsys)("local", "env")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "error: the local environment is not running\n hint: run: orderops local start\n"
    assert not (tmp_path / "absent").exists()


def test_boto3_works_with_the_printed_environment_alone(
    laptop: Laptop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDEROPS_LOCAL_DIRECTORY", str(laptop.directory))
    orderops, name = Orderops(capsys), laptop.name("queue")
    code = f"import boto3; print(boto3.client('sqs').create_queue(QueueName={name!r})['QueueUrl'])"
    before = {"AWS_PROFILE": "absent", "AWS_SESSION_TOKEN": "old", "HOME": str(tmp_path)}
    variables = orderops("local", "env", "--json").json
    assert variables["AWS_PROFILE"] is None
    environment = {**before, **{k: v for k, v in variables.items() if v is not None}}
    environment = {name: value for name, value in environment.items() if variables.get(name, value) is not None}

    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert run.stdout.strip() == f"{laptop.endpoint.url}/123456789012/{name}"
    assert f"export AWS_ACCESS_KEY_ID={laptop.endpoint.key.id}\n" in orderops("local", "env").out
