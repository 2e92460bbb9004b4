"""The table [board]: how often AWS publishes the page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orderops.config.environment import Environment, load_environment
from orderops.errors import UsageError
from support.repository import ENVIRONMENTS

BUCKET = "orderops-dev-board-acme"


def loaded(folder: Path, board: str) -> Environment:
    (folder / "dev.toml").write_text(f"{(ENVIRONMENTS / 'dev.toml').read_text()}\n[board]\n{board}\n")
    return load_environment("dev", folder)


MISTAKES: dict[str, tuple[str, str]] = {
    "no bucket": ('publish_every = "5m"', 'needs the bucket to publish into: bucket = "orderops-dev-board-NAME"'),
    "seconds": (f'bucket = "{BUCKET}"\npublish_every = "30s"', 'must be whole minutes or hours, such as "5m" or "1h"'),
    "never": (f'bucket = "{BUCKET}"\npublish_every = "0m"', 'must be whole minutes or hours, such as "5m" or "1h"'),
    "a number": (f'bucket = "{BUCKET}"\npublish_every = 5', "must be a text in quotes"),
}


@pytest.mark.parametrize(("board", "why"), MISTAKES.values(), ids=MISTAKES)
def test_an_interval_that_aws_cannot_keep_is_a_mistake_in_the_file(tmp_path: Path, board: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, board)

    assert "board.publish_every" in refused.value.message
    assert why in refused.value.message


@pytest.mark.parametrize(("every", "interval"), [("1m", timedelta(minutes=1)), ("12h", timedelta(hours=12))])
def test_an_interval_is_in_minutes_or_hours(tmp_path: Path, every: str, interval: timedelta) -> None:
    assert loaded(tmp_path, f'bucket = "{BUCKET}"\npublish_every = "{every}"').board.interval == interval


def test_without_an_interval_aws_publishes_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, f'bucket = "{BUCKET}"').board.interval is None
