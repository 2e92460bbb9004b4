"""Frozen dataclasses that are defined in a tenth of the time: `dataclass`, for modules with many of them.

The one of Python writes up to six functions for each class and compiles them whenever the module is imported, which for
all kinds of resources took a tenth of the time of a plan. Here all classes share the same functions, which are slower
when they run. To type checkers, and to `fields`, `replace` and `is_dataclass`, it is Python's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, FrozenInstanceError, field
from dataclasses import dataclass as standard_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

Class = TypeVar("Class", bound=type)


@standard_dataclass(frozen=True)
class _Model:
    """What Python notes on a frozen dataclass and on a field of it is taken from here."""

    field: int


PARAMS, FIELDS, POSITIONAL = "__dataclass_params__", "__dataclass_fields__", "__match_args__"
KIND_OF_FIELD = vars(_Model)[FIELDS]["field"]._field_type


def quick_dataclass(*, frozen: bool, eq: bool = True) -> Callable[[Class], Class]:
    """Make a class a frozen dataclass; with `eq`, one that is compared by its fields."""
    if not frozen:
        raise TypeError("it makes frozen dataclasses only")

    def made(cls: Class) -> Class:
        # Those of bases include their class variables.
        inherited = [item for base in reversed(cls.__mro__) for item in vars(base).get(FIELDS, {}).values()]
        found = {item.name: item for item in inherited if item._field_type is KIND_OF_FIELD}
        found.update((item.name, item) for item in _own_fields(cls))
        methods = [_init, _repr, _frozen_setattr, _frozen_delattr, *((_eq, _hash) if eq else ())]
        for method in methods:
            name = NAMES[method]
            if name not in vars(cls) or (name == "__hash__" and vars(cls)[name] is None):
                setattr(cls, name, method)
        setattr(cls, FIELDS, found)
        setattr(cls, PARAMS, vars(_Model)[PARAMS])
        positional = tuple(name for name, item in found.items() if item.kw_only is not True)
        setattr(cls, POSITIONAL, positional)
        return cls

    return made


def _own_fields(cls: type) -> Iterator[Field[Any]]:
    """The fields that a class declares, with their defaults on the class as Python leaves them."""
    for name, annotation in inspect.get_annotations(cls).items():
        if "ClassVar" in str(annotation):
            continue
        given = vars(cls).get(name, MISSING)
        item: Field[Any] = given if isinstance(given, Field) else field(default=given)
        item.name, item.type, item._field_type = name, annotation, KIND_OF_FIELD  # type: ignore[attr-defined]
        if isinstance(given, Field):
            if item.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, item.default)
        yield item


def _init(self: Any, /, *args: Any, **given: Any) -> None:
    cls = type(self)
    found: dict[str, Field[Any]] = getattr(cls, FIELDS)
    values, positional = self.__dict__, getattr(cls, POSITIONAL)
    if len(args) > len(positional):
        raise TypeError(f"{cls.__name__} takes {len(positional)} arguments in order, and {len(args)} were given")
    values.update(zip(positional, args, strict=False))
    if twice := values.keys() & given.keys() or given.keys() - found.keys():
        raise TypeError(f"{cls.__name__} got an unexpected argument {min(twice)!r}, or got it twice")
    values.update(given)
    if len(values) < len(found):
        for name, item in found.items():
            if name not in values:
                values[name] = _default(cls, item)
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _default(cls: type, item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    if item.default_factory is not MISSING:
        return item.default_factory()
    raise TypeError(f"{cls.__name__} is missing the argument {item.name!r}")


def _repr(self: Any) -> str:
    shown = (name for name, item in getattr(self, FIELDS).items() if item.repr)
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _frozen_setattr(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _frozen_delattr(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name, item in getattr(self, FIELDS).items() if item.compare)


def _eq(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


NAMES: dict[Any, str] = {
    _init: "__init__",
    _repr: "__repr__",
    _frozen_setattr: "__setattr__",
    _frozen_delattr: "__delattr__",
    _eq: "__eq__",
    _hash: "__hash__",
}

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = quick_dataclass
