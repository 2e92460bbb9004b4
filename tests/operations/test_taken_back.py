"""A release by hand that another command takes back: said in words before anything is changed."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest

from support.command_line import Orderops
from support.recorded_history import Dev
from support.repository import ENVIRONMENTS
from support.untrusted_role import untrusted_during_updates

# End to end.
pytestmark = pytest.mark.slow

pytest_plugins = ["support.recorded_history_fixtures"]

BY_HAND = "registry.example.com/orders@sha256:" + "1" * 64
DECLARED = "registry.example.com/orders@sha256:" + "2" * 64
NEXT = "registry.example.com/orders@sha256:" + "3" * 64


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def declared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Orderops:
    """The command line, on dev with an image in its file."""
    environments = Path(shutil.copytree(ENVIRONMENTS, tmp_path / "environments"))
    dev = environments / "dev.toml"
    dev.write_text(
        dev.read_text().replace("[services.order-processor]", f'[services.order-processor]\nimage = "{DECLARED}"')
    )
    return Orderops(capsys, "--env", "dev", "--environments", str(environments))


@pytest.fixture
def by_hand(dev: Dev, declared: Orderops) -> Dev:
    """dev, whose service runs an image that was given by hand."""
    said = declared("service", "deploy", "--image", BY_HAND, "--yes")
    assert said.code == 0, said.err
    return dev


@pytest.mark.parametrize("words", [("up", "--dry-run"), ("service", "deploy", "--dry-run")])
def test_a_plan_says_which_release_by_hand_it_takes_back(
    by_hand: Dev, declared: Orderops, words: tuple[str, ...]
) -> None:
    [sentence] = [line for line in declared(*words).err.splitlines() if line.startswith("order-processor runs")]

    who = re.escape(by_hand.workspace.aws.caller)
    assert re.fullmatch(
        rf"order-processor runs {BY_HAND}, released \d+ (s|min.*) ago by {who} with "
        rf"`service deploy order-processor --image {BY_HAND} --env dev`; "
        rf"this command releases {DECLARED}, which the environment file declares",
        sentence,
    )


def test_the_question_says_that_a_release_is_taken_back(
    by_hand: Dev, declared: Orderops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))

    said = declared("service", "deploy")

    assert "Release to dev, and take back the release above? [y/N]" in said.err
    assert said.code == 1


def test_the_image_that_runs_is_named_after_a_later_release_has_failed(by_hand: Dev, declared: Orderops) -> None:
    with untrusted_during_updates(by_hand.proxy, "orderops-dev-order-processor-execution"):
        assert declared("service", "deploy", "--image", NEXT, "--yes").code == 6

    assert f"order-processor runs {BY_HAND}, released" in declared("service", "deploy", "--dry-run").err


def test_a_command_with_an_image_of_its_own_takes_nothing_back(by_hand: Dev, declared: Orderops) -> None:
    assert "order-processor runs" not in declared("service", "deploy", "--image", NEXT, "--dry-run").err


def test_a_release_of_what_the_file_declares_is_not_one_by_hand(dev: Dev, declared: Orderops, tmp_path: Path) -> None:
    assert declared("service", "deploy", "--yes").code == 0
    file = tmp_path / "environments" / "dev.toml"
    file.write_text(file.read_text().replace(DECLARED, NEXT))

    said = declared("service", "deploy", "--dry-run")

    assert f"Image: {DECLARED} -> {NEXT}" in said.out
    assert "order-processor runs" not in said.err
