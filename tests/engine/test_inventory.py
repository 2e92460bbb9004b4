"""One look at an environment: each kind once, whose a thing is, and what the tag index may be believed."""

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


def test_each_kind_is_listed_once_however_many_resources_ask(world: World, operator: Operator) -> None:
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


def test_kinds_are_listed_beside_one_another(world: World) -> None:
    together = threading.Barrier(len(KINDS), timeout=10)
    world.at["list"] = lambda name: together.wait()

    inventory = Inventory(world, "dev", KINDS)

    assert list(inventory.owned()) == []
    assert not together.broken


def test_a_listing_that_failed_is_made_anew(world: World) -> None:
    for _ in range(2):  # the survey's own, begun at once, and the first that is asked for
        world.meets("list", "Throttling", meaning=Meaning.LATER)
    world.add("a", tags=ours("a"))
    inventory = Inventory(world, "dev", (Thing,))

    for _ in range(2):
        with suppress(AwsError):
            inventory.get(A, ASKED)

    assert inventory.get(A, ASKED)


def test_what_is_made_once_is_made_by_one_of_many() -> None:
    numbers = count(1)
    once = Once(lambda: next(numbers))
    askers = [threading.Thread(target=once) for _ in range(8)]

    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert once() == 1
    assert next(numbers) == 2


def test_looking_again_sees_what_the_listing_did_not(world: World, operator: Operator) -> None:
    inventory = operator.inventory()
    assert inventory.get(A, ASKED) is None

    world.add("a", tags=ours("a"))

    assert inventory.get(A, ASKED) is None
    assert inventory.refresh(A, ASKED)


def test_a_kind_that_the_survey_does_not_list_is_looked_for_all_the_same(world: World) -> None:
    world.add("a", tags=ours("a"))

    assert Inventory(world, "dev", (Untold,)).get(A, ASKED)


def test_a_name_that_only_begins_alike_is_another(world: World, operator: Operator) -> None:
    world.add("a-more", tags=ours("a-more"))

    assert operator.inventory().refresh(A, ASKED) is None


def test_our_tag_says_more_than_the_name(world: World, operator: Operator) -> None:
    world.add("a")
    renamed = world.add("once called a", tags=ours("a"))

    found = operator.inventory().get(A, ASKED)

    assert found
    assert found.id == renamed.id


def test_a_place_is_asked_for_only_when_nothing_was_found_and_all_is_known(world: World, operator: Operator) -> None:
    inventory = operator.inventory()

    assert inventory.get(Placed("a"), {**ASKED, "On": [UNKNOWN]}) is None
    assert "place a" not in world.calls
    assert inventory.get(Placed("a"), ASKED) is None
    assert "place a" in world.calls


# The tag index


def test_the_index_is_believed_when_it_says_what_we_ask(world: World, operator: Operator) -> None:
    there = world.add("a", "untold", tags=ours("a", "untold"))
    world.index[f"arn:{there.id}"] = ours("a", "untold")

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert "tags_of" not in world.calls


def test_an_index_that_says_nothing_proves_nothing(world: World, operator: Operator) -> None:
    world.add("a", "untold", tags=ours("a", "untold"))

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert world.changes == []


STALE = [{"orderops:environment": "prod"}, {**ours("a", "untold"), "Name": "old"}, {"x": "y"}]


@pytest.mark.parametrize("stale", STALE, ids=["another owner", "another name", "no owner"])
def test_an_index_that_lags_behind_is_confirmed_with_the_thing(
    world: World, operator: Operator, stale: dict[str, str]
) -> None:
    there = world.add("a", "untold", tags=ours("a", "untold"))
    world.index[f"arn:{there.id}"] = stale

    assert operator.up(Untold("a"))["a"].action is Action.NO_OP
    assert world.changes == []


def test_after_a_change_the_thing_is_asked_and_not_the_index(world: World, operator: Operator) -> None:
    there = world.add("a", "untold", tags={**ours("a", "untold"), "Name": "old"})
    world.index[f"arn:{there.id}"] = dict(there.tags)

    assert operator.up(Untold("a"))["a"].changes == {"Tags": ({"Name": "old"}, {"Name": "a"})}
    assert there.tags == ours("a", "untold")
    assert world.changes == ["tag a"]


# What is ours


def test_ours_is_what_carries_our_tag(world: World, operator: Operator) -> None:
    world.add("ours", tags=ours("ours"))
    world.add("nobody's")
    world.add("theirs", tags={**ours("theirs"), "orderops:environment": "prod"})
    world.add("untold", "untold", tags=ours("untold", "untold"))

    assert {owned.address for owned in operator.inventory().owned()} == {"thing/ours", "untold/untold"}


def test_what_lost_its_address_is_still_ours_and_found_again(world: World, operator: Operator) -> None:
    for kind in ("thing", "placed"):
        world.add(kind, kind, tags={"orderops:environment": "dev"})
    inventory = operator.inventory()

    owned = list(inventory.owned())

    assert [each.address for each in owned] == ["thing/thing", "placed/placed#2"]
    assert all(inventory.refresh_owned(each) for each in owned)


def test_what_is_going_away_is_not_counted(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 10**6

    assert list(operator.inventory().owned()) == []


def test_what_failed_is_counted(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).state = State.FAILED

    assert [owned.address for owned in operator.inventory().owned()] == ["thing/a"]


def test_a_thing_found_before_is_looked_at_by_its_id(world: World, operator: Operator) -> None:
    gone = world.add("a", tags=ours("a"))
    inventory = operator.inventory()
    (owned,) = inventory.owned()

    del world.things[gone.id]
    world.add("a", tags=ours("a"))

    assert inventory.refresh_owned(owned) is None


def test_tags_for_the_whole_environment_are_set_too(world: World) -> None:
    inventory = Inventory(world, "dev", KINDS, {"cost-centre": "42", "Name": "never"})

    assert inventory.ownership(A).tags == {**ours("a"), "cost-centre": "42"}


def test_two_with_our_address_are_named(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.add("other name", tags=ours("a"))

    with pytest.raises(OrderopsError, match=r"^found 2 times: a#1, other name#2") as told:
        operator.inventory().get(A, ASKED)

    assert "remove the tag orderops:address from the others" in told.value.hint
