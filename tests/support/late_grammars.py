"""The grammars of RFC 3987, built when the first IRI is checked.

jsonschema imports `rfc3987_syntax` if it is installed, which builds 38 grammars: 2.5 s of CPU in every process that
imports moto, and only the schema of a bill of materials has IRIs.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "rfc3987_syntax"


def build_grammars_late() -> None:
    """Have it so from now on; call this before the first import of jsonschema or moto."""
    if NAME in sys.modules or not find_spec(NAME):
        return
    late = ModuleType(NAME)
    vars(late)["is_valid_syntax"] = _is_valid_syntax
    sys.modules[NAME] = late


def _is_valid_syntax(rule: str, text: str) -> bool:
    return bool(_grammars().is_valid_syntax(rule, text))


@cache
def _grammars() -> Any:
    sys.modules.pop(NAME, None)
    return import_module(NAME)
