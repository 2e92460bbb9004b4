"""[drift.ignore]: what is left alone, with a reason and until a date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orderops.config.drift import DriftConfig
from orderops.config.environment import load_environment
from support.environment_cases import SERVICE, refusal

TODAY = date(2026, 11, 29)
QUEUE = "sqs-queue/orderops-dev-orders-queue"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def drift(folder: Path, address: str = "sqs-queue/*", properties: str = '["VisibilityTimeout"]') -> DriftConfig:
    table = f'[drift.ignore."{address}"]\nproperties = {properties}\nreason = "a load test"\nuntil = 2026-11-29\n'
    (folder / "dev.toml").write_text(
        f"{table}[database]\n{SERVICE}" if "[database]" not in SERVICE else table + SERVICE
    )
    return load_environment("dev", folder).drift


@pytest.mark.parametrize(
    "address, properties, key, covered",
    [
        ("sqs-queue/*", '["VisibilityTimeout"]', "VisibilityTimeout", True),
        (QUEUE, '["Visibility*", "x"]', "VisibilityTimeout", True),
        (QUEUE, '["*"]', "RedrivePolicy", True),
        (QUEUE, '["VisibilityTimeout"]', "RedrivePolicy", False),
        ("logs-group/*", '["VisibilityTimeout"]', "VisibilityTimeout", False),
        (QUEUE.upper().replace("SQS-QUEUE", "sqs-queue"), '["VisibilityTimeout"]', "VisibilityTimeout", False),
    ],
)
def test_a_difference_is_ignored_by_address_and_property(
    folder: Path, address: str, properties: str, key: str, covered: bool
) -> None:
    assert bool(drift(folder, address, properties).ignoring(QUEUE, key, TODAY)) is covered


def test_a_difference_is_ignored_on_the_last_day_and_not_after_it(folder: Path) -> None:
    declared = drift(folder)

    assert declared.ignoring(QUEUE, "VisibilityTimeout", TODAY)
    assert not declared.ignoring(QUEUE, "VisibilityTimeout", date(2026, 11, 30))


@pytest.mark.parametrize(
    "table, problem",
    [
        ('properties = ["a"]\nuntil = 2026-12-31\n', "reason: is missing"),
        ('properties = ["a"]\nreason = "a test"\n', "until: is missing"),
        ('reason = "a test"\nuntil = 2026-12-31\n', "properties: is missing"),
        ('properties = []\nreason = "a test"\nuntil = 2026-12-31\n', "properties: []: must"),
        ('properties = ["a"]\nreason = ""\nuntil = 2026-12-31\n', 'reason: "": must'),
        ('properties = ["a"]\nreason = "a test"\nuntil = "2026-12-31"\n', "without quotes"),
    ],
)
def test_a_table_without_reason_date_or_properties_is_refused(folder: Path, table: str, problem: str) -> None:
    lines = refusal(folder, f'[drift.ignore."sqs-queue/x"]\n{table}{SERVICE}')

    assert any(problem in line for line in lines), lines


def test_what_is_no_address_is_refused(folder: Path) -> None:
    table = '[drift.ignore.queue]\nproperties = ["a"]\nreason = "a test"\nuntil = 2026-12-31\n'

    assert "must be an address such as sqs-queue/NAME" in refusal(folder, table + SERVICE)[0]
