"""Findings of lint rules."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from orderops.frozen import Frozen


class Level(StrEnum):
    """Severity; an error fails a pipeline, and a note never does."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(Frozen):
    """One problem: its position, what it does, and what to write instead."""

    file: Path
    line: int
    """From 1."""
    column: int
    """Characters, from 1."""
    rule: str
    level: Level
    message: str
    """What the statement does to the running system."""
    rewrite: str
    """The safe alternative: SQL and comments, files separated by `syntax.NEXT_FILE`; may be empty."""
    executed: bool = False
    """Whether a server has shown it in a scratch database; else it was read from the file."""

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON; the keys are stable."""
        return {
            "file": self.file.as_posix(),
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "level": str(self.level),
            "message": self.message,
            "rewrite": self.rewrite,
            "executed": self.executed,
        }
