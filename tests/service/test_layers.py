from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import orderops
from support.syntax_trees import nodes

SOURCE = Path(orderops.__file__).parent
SERVICE = SOURCE / "service"


def imported(file: Path) -> Iterator[str]:
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_the_service(name: str) -> bool:
    return f"{name}.".startswith("orderops.service.")


def test_the_service_imports_nothing_of_the_command_line() -> None:
    strangers = {
        (file.name, name)
        for file in SERVICE.rglob("*.py")
        for name in imported(file)
        if f"{name}.".startswith("orderops.") and not of_the_service(name)
    }

    assert strangers == set()


def test_no_other_package_imports_the_service() -> None:
    knowing = {
        (file.name, name)
        for file in SOURCE.rglob("*.py")
        if SERVICE not in file.parents
        for name in imported(file)
        if of_the_service(name)
    }

    assert knowing == set()
