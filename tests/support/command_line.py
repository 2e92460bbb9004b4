"""The command line, run in a test's own process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from orderops.cli import main


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


class Orderops:
    """`orderops("infra", "plan")` runs a command and answers what it said; `always` goes behind most of them."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *always: str) -> None:
        self._capsys = capsys
        self._always = always

    def __call__(self, *words: str) -> Said:
        self._capsys.readouterr()
        always = () if words[0] == "local" else self._always
        try:
            main([*words, *always])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)
