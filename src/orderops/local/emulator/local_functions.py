"""Functions inside functions, such as the factories of moto's dictionaries, which pickle cannot find by name.

They are found again in the code of the function around them; a state file is read only by the moto that wrote it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import reduce
from types import CodeType, FunctionType
from typing import Any

LOCALS = ".<locals>."


def reduced_function(function: FunctionType) -> tuple[Callable[..., Any], tuple[str, str, int]] | None:
    """Return how pickle writes a function; None where it depends on more than its code."""
    if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
        return None
    try:
        found = _codes(function.__module__, function.__qualname__)
        return find_function, (function.__module__, function.__qualname__, found.index(function.__code__))
    except (AttributeError, ImportError, ValueError):
        return None


def find_function(module: str, name: str, number: int) -> FunctionType:
    """Return the function with this qualified name; `number` tells those of the same name apart, such as lambdas."""
    return FunctionType(_codes(module, name)[number], vars(importlib.import_module(module)))


def _codes(module: str, name: str) -> list[CodeType]:
    outer, *inner = name.split(LOCALS)
    codes = [reduce(getattr, outer.split("."), importlib.import_module(module)).__code__]
    for part in inner:
        constants = [constant for code in codes for constant in code.co_consts]
        codes = [constant for constant in constants if isinstance(constant, CodeType) and constant.co_name == part]
    return codes
