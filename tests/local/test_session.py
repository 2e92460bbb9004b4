"""How orderops itself reaches the laptop environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.config.environment import load_environment
from orderops.errors import AwsError
from orderops.operations.workspace import open_account
from support.laptop import Laptop
from support.repository import ENVIRONMENTS

CONFIG = """
[default]
endpoint_url = http://127.0.0.1:1
region = us-east-1
credential_process = /bin/false
"""


def test_nothing_of_the_operators_own_settings_reaches_the_laptop(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(CONFIG)
    for name, value in {
        "ORDEROPS_LOCAL_DIRECTORY": str(laptop.directory),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "absent",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "of the operator",
        "AWS_SESSION_TOKEN": "of the operator",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    aws = open_account(load_environment("local", ENVIRONMENTS))

    assert aws.account == "123456789012"
    assert aws.endpoint("sqs") == laptop.endpoint.url


def test_a_key_that_the_laptop_does_not_know_is_explained(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    # An operator exported the address, but not the key.
    monkeypatch.setenv("AWS_ENDPOINT_URL", laptop.endpoint.url)

    with pytest.raises(AwsError) as refused:
        _ = open_account(load_environment("dev", ENVIRONMENTS)).account

    assert "AWS_ENDPOINT_URL leads to a laptop environment, which accepts only its own key" in refused.value.lines
    assert 'eval "$(orderops local env)"' in refused.value.hint
    assert "unset AWS_ENDPOINT_URL" in refused.value.hint
