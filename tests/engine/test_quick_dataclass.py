"""Dataclasses that are defined quickly behave as Python's own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import pytest

from orderops.engine.quick_dataclass import quick_dataclass
from orderops.infra.stack import KINDS


def _shapes(decorated: Callable[..., Any]) -> tuple[Any, Any, Any]:
    @decorated(frozen=True)
    class Place:
        """A value with every sort of field."""

        name: str
        port: int = 80
        tags: dict[str, str] = field(default_factory=dict, compare=False)
        secret: str = field(default="", repr=False)
        zone: str | None = field(default=None, kw_only=True)

        kind: ClassVar[str] = "place"

        @cached_property
        def url(self) -> str:
            return f"http://{self.name}:{self.port}"

    @decorated(frozen=True)
    class Room(Place):
        """One that inherits fields, and changes the default of one."""

        port: int = 443
        floor: int = field(default=0)

        def __post_init__(self) -> None:
            if self.floor < 0:
                raise ValueError("below the ground")

    @decorated(frozen=True, eq=False)
    class Unlike(Place):
        """One that is not compared by its fields."""

        def __repr__(self) -> str:
            return "its own words"

    return Place, Room, Unlike


OURS, PYTHONS = _shapes(quick_dataclass), _shapes(dataclass)
GIVEN: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", 1), {"zone": "b"}),
    (("a",), {"tags": {"x": "y"}, "secret": "s"}),
    ((), {"name": "a", "port": 2}),
    ((), {}),
    (("a", 1), {"port": 2}),
    (("a",), {"unknown": 1}),
    (("a", 1, {}, "s", "zone"), {}),
    (("a",), {"floor": -1}),
]


def outcome(made: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    try:
        one = made(*args, **given)
    except (TypeError, ValueError) as error:
        return type(error)
    return repr(one).replace("_shapes.<locals>.", ""), vars(one), one == made(*args, **given), hash(one) == hash(one)


@pytest.mark.parametrize("place", range(3), ids=["plain", "inheriting", "without eq"])
@pytest.mark.parametrize(("args", "given"), GIVEN)
def test_they_are_made_shown_and_compared_alike(place: int, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    assert outcome(OURS[place], args, given) == outcome(PYTHONS[place], args, given)


@pytest.mark.parametrize("place", range(3))
def test_what_looks_at_dataclasses_sees_the_same(place: int) -> None:
    ours, pythons = OURS[place], PYTHONS[place]
    shown = [
        [(item.name, item.type, item.default, item.repr, item.compare) for item in fields(kind)]
        for kind in (ours, pythons)
    ]

    assert is_dataclass(ours)
    assert shown[0] == shown[1]
    assert ours.__match_args__ == pythons.__match_args__
    assert replace(ours("a", 1), port=2).port == 2
    assert copy.copy(ours("a")).name == "a"
    assert ours("a").url.startswith("http://a:")


@pytest.mark.parametrize("place", range(3))
def test_they_are_frozen(place: int) -> None:
    one = OURS[place]("a")

    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name
    assert one.name == "a"


def test_one_of_python_can_be_derived_from_one_of_ours_and_the_other_way_round() -> None:
    @dataclass(frozen=True)
    class Python(OURS[1]):  # type: ignore[misc, name-defined]  # a class that is made when the tests begin
        window: str = "north"

    @quick_dataclass(frozen=True)
    class Again(Python):
        door: int = 1

    assert Again("a", floor=2, window="south") == Again("a", floor=2, window="south", door=1)
    assert [item.name for item in fields(Again)] == [
        "name", "port", "tags", "secret", "zone", "floor", "window", "door",
    ]  # fmt: skip


def test_a_mutable_one_is_refused() -> None:
    with pytest.raises(TypeError, match="frozen"):
        quick_dataclass(frozen=False)


def test_every_kind_of_resource_is_frozen_and_pickles_by_its_fields() -> None:
    for kind in KINDS:
        assert kind.__setattr__ is not object.__setattr__
        assert "kind" not in {item.name for item in fields(kind)}
    assert pickle.loads(pickle.dumps(KINDS)) == KINDS  # pickled here
