"""What a rule has to say about a place in a file, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Level(StrEnum):
    """Whether a finding stops a pipeline."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One place in a file that would hurt, why, and what to write instead."""

    file: Path
    line: int
    """From 1."""
    column: int
    """Characters, from 1."""
    rule: str
    level: Level
    message: str
    """What it does to the running system, and why that hurts."""
    rewrite: str
    """The safe way: SQL and comments; `lint_sql.NEXT_FILE` stands between files. May be empty."""

    def to_dict(self) -> dict[str, Any]:
        """For machines; keys stay as they are."""
        return {
            "file": self.file.as_posix(),
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "level": str(self.level),
            "message": self.message,
            "rewrite": self.rewrite,
        }
