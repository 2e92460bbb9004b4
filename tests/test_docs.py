"""The papers: every command is in the README and has help."""

from __future__ import annotations

import pytest
import typer

from orderops.cli import commands
from support.command_line import Orderops
from support.repository import ROOT


def paths(app: typer.Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command as its words."""
    own = [(*before, each.name or each.callback.__name__) for each in app.registered_commands if each.callback]
    groups = [(group.typer_instance, str(group.name)) for group in app.registered_groups if group.typer_instance]
    return own + [path for inner, name in groups for path in paths(inner, (*before, name))]


@pytest.mark.parametrize("path", paths(commands), ids=" ".join)
def test_every_command_is_in_the_readme_and_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert f"orderops {' '.join(path)} " in (ROOT / "README.md").read_text()

    said = Orderops(capsys)(*path, "--help")

    assert said.code == 0
    assert said.out.count(".") >= 1


def test_the_readme_holds_the_lines_that_are_tried() -> None:
    text = (ROOT / "README.md").read_text()

    assert "<!-- up -->\n```sh\n" in text
    assert "<!-- tests -->\n```sh\n" in text
