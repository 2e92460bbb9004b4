"""The sources of the order processor's image in a folder of a test, and base images of this machine's programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.repository import ROOT


def copy_sources(folder: Path) -> Path:
    """Copy what the builder would copy of this checkout."""
    folder.mkdir()
    for name in ("environments", "sql"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".dockerignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def copy_program(name: str, root: Path) -> None:
    """Copy a program of this machine, with its libraries, into the file system of an image."""
    program = shutil.which(name)
    if program is None or shutil.which("ldd") is None:
        pytest.skip(f"needs {name} and ldd to make a base image")
    copy_file(Path(program), root / "bin" / name)
    copy_libraries(Path(program), root)


def copy_libraries(program: Path, root: Path) -> None:
    """Copy the libraries of a program, or of a library, to the paths that they have here."""
    for library in _libraries(program):
        target = root / str(library).lstrip("/")
        if not target.exists():
            copy_file(library, target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file into a folder that may not exist yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def write_script(file: Path, text: str) -> None:
    """Write a program."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def _libraries(program: Path) -> Iterator[Path]:
    result = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    for word in result.stdout.split():
        # What a package of Python brings along comes with the package.
        if word.startswith("/") and "site-packages" not in word:
            yield Path(word)
