from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orderops.service.settings import LogLevel, WrongSettings, read_settings

NEEDED = {
    "AWS_REGION": "ap-southeast-2",
    "ORDEROPS_ENVIRONMENT": "dev",
    "QUEUE_URL": "https://sqs.ap-southeast-2.amazonaws.com/111122223333/orderops-dev-orders",
    "DATABASE_SECRET": "orderops-dev-database",
}


def test_four_variables_suffice() -> None:
    settings = read_settings(NEEDED)

    assert (settings.host, settings.port, settings.service) == ("0.0.0.0", 8080, "order-processor")
    assert (settings.database_pool_size, settings.drain_seconds, settings.log_level) == (4, 25, LogLevel.INFO)
    assert settings.dead_letter_queue_url is None
    assert settings.max_lag_seconds == 5


def test_both_region_variables_work_and_empty_ones_count_as_absent() -> None:
    given = {**NEEDED, "AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1", "DEAD_LETTER_QUEUE_URL": "", "PORT": " "}

    settings = read_settings(given)

    assert (settings.region, settings.port, settings.dead_letter_queue_url) == ("eu-west-1", 8080, None)


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({}, True),
        ({"DATABASE_MAX_LAG_SECONDS": "1", "ORDEROPS_ROLE": "web"}, True),
        ({"DATABASE_MAX_LAG_SECONDS": "0"}, False),
        ({"ORDEROPS_ROLE": "worker"}, False),
    ],
)
def test_replicas_are_used_unless_the_limit_is_0_or_nothing_may_be_old(variables: dict[str, str], used: bool) -> None:
    assert read_settings({**NEEDED, **variables}).uses_replicas is used


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(WrongSettings) as refusal:
        read_settings({})

    assert refusal.value.problems == [
        "AWS_REGION is missing",
        "ORDEROPS_ENVIRONMENT is missing",
        "QUEUE_URL is missing",
        "DATABASE_SECRET is missing",
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PORT", "70000", "PORT is '70000': should be less than or equal to 65535"),
        ("PORT", "http", "PORT is 'http': should be a valid integer, unable to parse string as an integer"),
        (
            "DATABASE_MAX_LAG_SECONDS",
            "-1",
            "DATABASE_MAX_LAG_SECONDS is '-1': should be greater than or equal to 0",
        ),
        (
            "DATABASE_MAX_LAG_SECONDS",
            "3601",
            "DATABASE_MAX_LAG_SECONDS is '3601': should be less than or equal to 3600",
        ),
        ("DATABASE_POOL_SIZE", "500", "DATABASE_POOL_SIZE is '500': should be less than or equal to 100"),
        ("KEEP_ALIVE_SECONDS", "4101", "KEEP_ALIVE_SECONDS is '4101': should be less than or equal to 4100"),
        ("DRAIN_SECONDS", "0", "DRAIN_SECONDS is '0': should be greater than or equal to 1"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud': should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        (
            "QUEUE_URL",
            "orderops-dev-orders",
            "QUEUE_URL is 'orderops-dev-orders': must be the URL of a queue, "
            "like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
        ),
        ("DATABASE_CA", "/nowhere.pem", "DATABASE_CA is '/nowhere.pem': no such file"),
    ],
)
def test_a_wrong_value_is_named_with_the_allowed_ones(name: str, value: str, problem: str) -> None:
    with pytest.raises(WrongSettings) as refusal:
        read_settings({**NEEDED, name: value})

    assert refusal.value.problems == [problem]


def test_a_secret_value_given_as_its_name_is_not_shown() -> None:
    with pytest.raises(WrongSettings) as refusal:
        read_settings({**NEEDED, "DATABASE_SECRET": '{"password": "hunter2"}'})

    assert refusal.value.problems == ["DATABASE_SECRET must be the name or the ARN of a secret, not its value"]


def test_invalid_settings_end_the_service_with_2_and_every_reason(tmp_path: Path) -> None:
    given = {name: value for name, value in NEEDED.items() if name != "QUEUE_URL"}

    ended = subprocess.run(
        [sys.executable, "-m", "orderops.service"],
        env={**given, "PORT": "none"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "QUEUE_URL is missing" in ended.stderr
    assert "PORT is 'none'" in ended.stderr
    assert " hint: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
