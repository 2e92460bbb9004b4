"""Where the repository and its folders are, for tests that read the files that ship."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "environments"
SQL = ROOT / "sql"
