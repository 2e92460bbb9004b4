"""Syntax trees of files, parsed and walked once for all tests that look through the source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of that tree, as `ast.walk` answers them."""
    return tuple(ast.walk(tree(file)))
