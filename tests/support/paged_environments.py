"""The shipped environments, where P0 alarms of prod page a telephone: `up` refuses prod without a receiver."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from support.repository import ENVIRONMENTS

RECEIVER = '\n[alerts.p0]\nsms = ["+61412345678"]\n'


def paged_environments() -> Path:
    """A folder with them, removed when the tests end."""
    return Path(_folder().name)


@cache
def _folder() -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix="orderops-environments-")
    for file in ENVIRONMENTS.glob("*.toml"):
        text = file.read_text()
        (Path(folder.name) / file.name).write_text(text + RECEIVER * (file.stem == "prod"))
    return folder
