"""The inventory: one listing for each kind, owners, and a tag index that lags."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import count

import pytest

from orderops.engine.inventory import Inventory, Once
from orderops.engine.resource import UNKNOWN, State
from orderops.engine.step import Action
from orderops.errors import AwsError, Meaning, OrderopsError
from support.fake_aws import KINDS, Operator, Placed, Thing, Untold, World, ours

ASKED = {"Size": 1, "Shape": "round", "On": []}
A = Thing("a")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world)


def test_each_kind_is_listed_once_for_any_number_of_resources(world: World, operator: Operator) -> None:
    for name in "abc":
        world.add(name, tags=ours(name))
    inventory = operator.inventory()

    assert [observed.name for observed in (inventory.get(Thing(name), ASKED) for name in "abc") if observed] == [
        "a",
        "b",
        "c",
    ]
    list(inventory.owned())

    assert sorted(world.calls) == ["get_resources", *["list"] * len(KINDS)]


def test_kinds_are_listed_concurrently(world: World) -> None:
    together = threading.Barrier(len(KINDS), timeout=10)
    world.at["list"] = lambda name: together.wait()

    inventory = Inventory(world, "dev", KINDS)

    assert list(inventory.owned()) == []
    assert not together.broken


def test_a_failed_listing_is_repeated(world: World) -> None:
    for _ in range(2):  # once by the inventory itself at its start, and once by the first `get`
        world.meets("list", "Throttling", meaning=Meaning.LATER)
    world.add("a", tags=ours("a"))
    inventory = Inventory(world, "dev", (Thing,))

    for _ in range(2):
        with suppress(AwsError):
            inventory.get(A, ASKED)

    assert inventory.get(A, ASKED)


def test_a_shared_value_is_computed_by_one_of_several_threads() -> None:
    numbers = count(1)
    once = Once(lambda: next(numbers))
    askers = [threading.Thread(target=once) for _ in range(8)]

    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert once() == 1
    assert next(numbers) == 2


def test_refresh_finds_a_resource_that_the_listing_did_not_have(world: World, operator: Operator) -> None:
    inventory = operator.inventory()
    assert inventory.get(A, ASKED) is None

    world.add("a", tags=ours("a"))

    assert inventory.get(A, ASKED) is None
    assert inventory.refresh(A, ASKED)


def test_a_resource_of_a_kind_outside_the_inventory_is_read_alone(world: World) -> None:
    world.add("a", tags=ours("a"))

    assert Inventory(world, "dev", (Untold,)).get(A, ASKED)


def test_a_name_with_the_same_beginning_belongs_to_another_resource(world: World, operator: Operator) -> None:
    world.add("a-more", tags=ours("a-more"))

    assert operator.inventory().refresh(A, ASKED) is None


def test_an_address_tag_takes_precedence_over_the_name(world: World, operator: Operator) -> None:
    world.add("a")
    renamed = world.add("once called a", tags=ours("a"))

    found = operator.inventory().get(A, ASKED)

    assert found
    assert found.id == renamed.id


def test_an_occupant_is_looked_up_only_for_an_absent_resource_with_known_properties(
    world: World, operator: Operator
) -> None:
    inventory = operator.inventory()

    assert inventory.get(Placed("a"), {**ASKED, "On": [UNKNOWN]}) is None
    assert "place a" not in world.calls
    assert inventory.get(Placed("a"), ASKED) is None
    assert "place a" in world.calls


# The tag index


def test_expected_tags_in_the_index_are_not_read_from_the_resource(world: World, operator: Operator) -> None:
    there = world.add("a", "untold", tags=ours("a", "untold"))
    world.index[f"arn:{there.id}"] = ours("a", "untold")

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert "tags_of" not in world.calls


def test_tags_missing_in_the_index_are_read_from_the_resource(world: World, operator: Operator) -> None:
    world.add("a", "untold", tags=ours("a", "untold"))

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert world.changes == []


STALE = [{"orderops:environment": "prod"}, {**ours("a", "untold"), "Name": "old"}, {"x": "y"}]


@pytest.mark.parametrize("stale", STALE, ids=["another owner", "another name", "no owner"])
def test_stale_tags_in_the_index_are_checked_on_the_resource(
    world: World, operator: Operator, stale: dict[str, str]
) -> None:
    there = world.add("a", "untold", tags=ours("a", "untold"))
    world.index[f"arn:{there.id}"] = stale

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert world.changes == []


def test_tags_are_read_from_the_resource_after_a_change(world: World, operator: Operator) -> None:
    there = world.add("a", "untold", tags={**ours("a", "untold"), "Name": "old"})
    world.index[f"arn:{there.id}"] = dict(there.tags)

    assert operator.up(Untold("a"))["a"].changes == {"Tags": ({"Name": "old"}, {"Name": "a"})}
    assert there.tags == ours("a", "untold")
    assert world.changes == ["tag a"]


# What is ours


def test_owned_resources_carry_the_tag_of_the_environment(world: World, operator: Operator) -> None:
    world.add("ours", tags=ours("ours"))
    world.add("nobody's")
    world.add("theirs", tags={**ours("theirs"), "orderops:environment": "prod"})
    world.add("untold", "untold", tags=ours("untold", "untold"))

    assert {owned.address for owned in operator.inventory().owned()} == {"thing/ours", "untold/untold"}


def test_a_resource_without_an_address_tag_is_still_owned_and_found(world: World, operator: Operator) -> None:
    for kind in ("thing", "placed"):
        world.add(kind, kind, tags={"orderops:environment": "dev"})
    inventory = operator.inventory()

    owned = list(inventory.owned())

    assert [resource.address for resource in owned] == ["thing/thing", "placed/placed#2"]
    assert all(inventory.refresh_owned(resource) for resource in owned)


def test_a_resource_being_deleted_is_not_owned(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 10**6

    assert list(operator.inventory().owned()) == []


def test_a_failed_resource_is_owned(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).state = State.FAILED

    assert [owned.address for owned in operator.inventory().owned()] == ["thing/a"]


def test_an_owned_resource_is_read_again_by_its_id(world: World, operator: Operator) -> None:
    gone = world.add("a", tags=ours("a"))
    inventory = operator.inventory()
    (owned,) = inventory.owned()

    del world.things[gone.id]
    world.add("a", tags=ours("a"))

    assert inventory.refresh_owned(owned) is None


def test_additional_tags_of_the_environment_are_set(world: World) -> None:
    inventory = Inventory(world, "dev", KINDS, {"cost-centre": "42", "Name": "never"})

    assert inventory.ownership(A).tags == {**ours("a"), "cost-centre": "42"}


def test_two_resources_with_one_address_are_reported_by_id(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.add("other name", tags=ours("a"))

    with pytest.raises(OrderopsError, match=r"^found 2 times: a#1, other name#2") as raised:
        operator.inventory().get(A, ASKED)

    assert "remove the tag orderops:address from the others" in raised.value.hint
