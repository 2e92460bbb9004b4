"""What the values of the program are made of."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, cast, dataclass_transform

from msgspec import Struct, field, to_builtins
from msgspec.structs import astuple, replace

__all__ = ["Frozen", "as_dict", "defaults", "field", "field_names", "replace", "values"]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen(Struct, frozen=True, dict=True):
    """Named fields that are never set again; equal to another of its class with equal fields.

    It replaces `@dataclass(frozen=True)`, which compiles six methods of each class anew whenever a command starts. A
    dataclass remains where a field changes, or is hidden from `repr` or from comparison; for documents, which pydantic
    validates; and in `local` and `service`, which start once and import nothing of the program.
    """


def field_names(kind: type[Frozen]) -> tuple[str, ...]:
    """The names of the fields, in order."""
    return kind.__struct_fields__


def defaults(kind: type[Frozen]) -> dict[str, Any]:
    """The constants that fields have unless they are given, by name."""
    constants = kind.__struct_defaults__
    names = kind.__struct_fields__
    return dict(zip(names[len(names) - len(constants) :], constants, strict=True))


def values(value: Frozen) -> tuple[Any, ...]:
    """The values of the fields, in order."""
    return astuple(value)


def as_dict(value: Frozen) -> dict[str, Any]:
    """The fields by name, with those inside of them as dictionaries too, and enumerations as their values."""
    return cast(dict[str, Any], to_builtins(value, builtin_types=(date, datetime, time, timedelta)))
