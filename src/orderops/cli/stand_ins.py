"""Stand-ins for modules of libraries that load much and that no command uses.

botocore writes the docstrings of its clients with a parser of HTML, pydantic looks for plugins in the metadata of every
installed package, and urllib3 reads there whether it may speak HTTP/2. Together they are some 15 of the 450 ms of CPU
that a plan takes. A stand-in has the few names that the library takes; for any other the real module is loaded.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

PACKAGES = ("botocore.docs", "urllib3.http2")
"""Packages that load much themselves, of which one module is really used."""
DOCSTRINGS = ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring")


class NoDocstring(str):
    """A docstring that is empty, whatever it would be made of."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> NoDocstring:
        return super().__new__(cls)


class StandIn(ModuleType):
    """A module with some names of a real one, which takes its place when another of its names is asked for."""

    def __init__(self, name: str, **names: Any) -> None:
        super().__init__(name)
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        # The import system asks for what a module may lack, such as __path__.
        if name.startswith("__"):
            raise AttributeError(name)
        if "__path__" in vars(self):
            with suppress(ModuleNotFoundError):
                return import_module(f"{self.__name__}.{name}")
        sys.modules.pop(self.__name__, None)
        return getattr(import_module(self.__name__), name)


def install() -> None:
    """Put each stand-in where the import system looks first, before a library asks for the module."""
    _put(StandIn("botocore.docs.docstring", **dict.fromkeys(DOCSTRINGS, NoDocstring)))
    _put(StandIn("pydantic.plugin._loader", get_plugins=_no_plugins))
    for package in PACKAGES:
        library, _, name = package.partition(".")
        if found := PathFinder.find_spec(library):
            _put(StandIn(package, __path__=[f"{folder}/{name}" for folder in found.submodule_search_locations or ()]))


def _put(module: StandIn) -> None:
    sys.modules.setdefault(module.__name__, module)


def _no_plugins() -> tuple[()]:
    return ()
