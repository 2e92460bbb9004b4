"""Twins: what several resources carry the address of is deleted only if each of them is named by its identity."""

from __future__ import annotations

import pytest

from orderops.engine.destroy import holding
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.twins import check_no_twins
from orderops.errors import OrderopsError
from support.fake_aws import Thing, World, ours

KINDS = (Thing,)
DOWN = "orderops down --env dev"


def found_in(world: World) -> tuple[list[Owned], Inventory]:
    inventory = Inventory(world, "dev", KINDS)
    return list(inventory.existing(())), inventory


def refusal(world: World, *named: str) -> OrderopsError | None:
    found, inventory = found_in(world)
    try:
        check_no_twins(found, holding(found, inventory), DOWN, named=named)
    except OrderopsError as error:
        return error
    return None


@pytest.fixture
def world() -> World:
    world = World()
    world.add("queue", tags=ours("queue"), Size=70)
    world.add("copy of the queue", tags=ours("queue"), Size=1)
    return world


def test_what_a_resource_holds_is_not_hidden_by_an_empty_twin(world: World) -> None:
    found, inventory = found_in(world)

    assert holding(found, inventory) == {("thing/queue", "queue#1"): "70 GB"}


def test_twins_are_refused_with_the_name_and_the_data_of_each_one(world: World) -> None:
    error = refusal(world)

    assert error is not None
    assert str(error).splitlines() == [
        "thing/queue was found 2 times, nothing was deleted:",
        "queue (thing, holds 70 GB)",
        "copy of the queue (thing, holds nothing)",
    ]
    assert error.hint.splitlines() == [
        "remove the tag orderops:address from those that are not the environment's, then re-run this command",
        f"or, to delete all of them: {DOWN} --only thing/queue --confirm queue --confirm copy of the queue",
    ]


@pytest.mark.parametrize("named", [("queue",), ("copy of the queue",), ("thing/queue",), ("queue#1", "queue")])
def test_a_name_that_fits_only_one_of_them_is_not_enough(world: World, named: tuple[str, ...]) -> None:
    assert refusal(world, *named) is not None


def test_twins_that_are_all_named_are_not_refused(world: World) -> None:
    assert refusal(world, "queue", "copy of the queue") is None


def test_twins_with_the_same_name_are_told_apart_by_their_ids(world: World) -> None:
    world.add("queue", tags=ours("queue"))

    error = refusal(world, "queue", "copy of the queue")

    assert error is not None
    assert "--confirm queue#1 --confirm copy of the queue#2 --confirm queue#3" in error.hint
    assert refusal(world, "queue#1", "copy of the queue#2", "queue#3") is None


def test_resources_with_an_address_each_are_not_refused() -> None:
    world = World()
    for name in ("a", "b"):
        world.add(name, tags=ours(name))

    assert refusal(world) is None


def test_twins_that_are_named_do_not_hide_others_that_are_not(world: World) -> None:
    for name in ("old", "copy of the old"):
        world.add(name, tags=ours("old"))

    error = refusal(world, "queue", "copy of the queue")

    assert error is not None
    assert str(error).startswith("thing/old was found 2 times")
