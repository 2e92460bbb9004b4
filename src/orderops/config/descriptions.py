"""What the keys of an environment file mean: the docstring below each field of its model.

pydantic can read them too, for all models when they are imported. That takes longer than all else in reading a file.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel


def description_of(model: type[BaseModel], field: str) -> str:
    """Return the docstring of a field; "" without one, and where the sources are not installed."""
    for owner in model.__mro__:
        if field in inspect.get_annotations(owner):
            return dict(_docstrings(owner)).get(field, "")
    return ""


def _docstrings(model: type) -> Iterator[tuple[str, str]]:
    try:
        source = inspect.getsource(model)
    except OSError:
        return
    (definition,) = ast.parse(dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    for statement, following in pairwise(definition.body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
