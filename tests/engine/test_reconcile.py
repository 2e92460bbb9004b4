"""Reconcile: what is decided, what a plan shows, and what is done in which order."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orderops.engine.reconcile import reconcile
from orderops.engine.resource import UNKNOWN, Effect, Output, Outputs, State
from orderops.engine.step import Action, Step
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import Interrupted, NotOurs, ReplacementRequired, Unfinished
from support.fake_aws import QUICK, Operator, Placed, Thing, World, ours

A, B, C, D = (Thing(name) for name in ("a", "b", "c", "d"))
NO_PATIENCE = ReconcileLimits(
    seen_within=timedelta(seconds=60), trouble=timedelta(seconds=0.2), timeout=timedelta(seconds=0.2)
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world)


# What is decided


def test_what_is_not_there_is_created_with_tags_that_say_whose_it_is(world: World, operator: Operator) -> None:
    step = operator.up(A)["a"]

    assert step == Step("thing/a", Action.CREATE, {"Size": (None, 1), "Shape": (None, "round"), "On": (None, [])})
    assert [made.tags for made in world.called("a")] == [ours("a")]


def test_what_is_as_asked_is_left_alone(world: World, operator: Operator) -> None:
    operator.up(A)
    world.calls.clear()

    assert operator.up(A)["a"] == Step("thing/a", Action.NO_OP)
    assert world.changes == []


def test_what_differs_is_changed_and_nothing_else_is_sent(world: World, operator: Operator) -> None:
    operator.up(A)
    sent: list[Mapping[str, Any]] = []
    update = world._update

    def noted(id: str, name: str, settings: Mapping[str, Any]) -> None:
        sent.append(settings)
        update(id, name, settings)

    world.__dict__["_update"] = noted

    assert operator.up(replace(A, size=5))["a"] == Step("thing/a", Action.UPDATE, {"Size": (1, 5)})
    assert sent == [{"Size": 5}]


def test_tags_that_differ_are_one_change_and_leave_other_tags(world: World, operator: Operator) -> None:
    operator.up(A)
    world.called("a")[0].tags |= {"Name": "else", "owner": "a person"}

    step = operator.up(A)["a"]

    assert step == Step("thing/a", Action.UPDATE, {"Tags": ({"Name": "else"}, {"Name": "a"})})
    assert world.called("a")[0].tags == {**ours("a"), "owner": "a person"}


def test_the_worst_effect_of_a_change_is_the_steps(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"), Size=9)

    step = operator.up(replace(A, size=5, shape="square"), dry_run=True)["a"]

    assert step.effect is Effect.LOSES


def test_an_immutable_property_is_refused_with_both_values(world: World, operator: Operator) -> None:
    operator.up(A)

    with pytest.raises(Unfinished, match=r"Shape cannot be changed .*observed 'round', desired 'square'") as told:
        operator.up(replace(A, shape="square"))

    assert isinstance(told.value.failures["thing/a"], ReplacementRequired)
    assert "down --only thing/a" in told.value.hint
    assert world.called("a")[0].settings["Shape"] == "round"


def test_what_would_lose_data_is_refused(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"), Size=9)

    with pytest.raises(Unfinished, match="Size would lose data"):
        operator.up(A)

    assert world.changes == []


def test_a_thing_without_an_owner_is_taken_over_only_when_told(world: World, operator: Operator) -> None:
    world.add("a", tags={"owner": "a person"}, Size=1)
    bigger = replace(A, size=2)

    with pytest.raises(Unfinished, match="has no owner") as told:
        operator.up(bigger)
    assert "--adopt thing/a" in told.value.hint
    assert world.changes == []

    step = operator.up(bigger, adopt=["thing/a"])["a"]
    assert (step.action, step.changes["Size"]) == (Action.ADOPT, (1, 2))
    assert world.called("a")[0].tags == {**ours("a"), "owner": "a person"}
    assert operator.up(bigger)["a"].action is Action.NO_OP


def test_a_thing_without_an_owner_that_differs_for_good_is_not_taken_over(world: World, operator: Operator) -> None:
    world.add("a", Shape="square")

    with pytest.raises(Unfinished, match="Shape cannot be changed"):
        operator.up(A, adopt=["thing/a"])

    assert world.changes == []


@pytest.mark.parametrize("owner", ["prod thing/a", "dev thing/z"])
def test_a_thing_of_another_owner_is_refused_even_when_told_to_take_it(
    world: World, operator: Operator, owner: str
) -> None:
    environment, address = owner.split()
    world.add("a", tags={"orderops:environment": environment, "orderops:address": address})

    with pytest.raises(Unfinished, match=f"belongs to {owner}") as told:
        operator.up(A, adopt=["thing/a"])

    assert isinstance(told.value.failures["thing/a"], NotOurs)
    assert world.changes == []


def test_what_stands_in_its_place_without_our_tag_is_not_made_twice(world: World, operator: Operator) -> None:
    world.add("a", "placed")

    with pytest.raises(Unfinished, match="has no owner"):
        operator.up(Placed("a"))
    operator.up(Placed("a"), adopt=["placed/a"])

    assert len(world.called("a")) == 1


def test_what_failed_to_be_made_is_refused_with_the_way_out(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).state = State.FAILED

    with pytest.raises(Unfinished, match="it is failed") as told:
        operator.up(A)

    assert "down --only thing/a --env dev" in told.value.hint
    assert world.changes == []


# A plan


def test_a_plan_changes_nothing_and_says_what_apply_then_does(world: World, operator: Operator) -> None:
    world.add("b", tags=ours("b"))
    asked = (A, replace(B, size=2), replace(C, on=(A,)))

    planned = operator.up(*asked, dry_run=True)

    assert world.changes == []
    applied = operator.up(*asked)
    assert {name: step.action for name, step in applied.items()} == {
        name: step.action for name, step in planned.items()
    }
    assert applied["b"] == planned["b"]


def test_what_is_not_made_yet_is_known_after_apply(operator: Operator) -> None:
    planned = operator.up(A, replace(B, on=(A,)), dry_run=True)

    assert planned["b"].changes["On"] == (None, [UNKNOWN])


def test_what_is_there_is_known_in_a_plan(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))

    planned = operator.up(A, replace(B, on=(A,)), dry_run=True)

    assert planned["b"].changes["On"] == (None, [there.id])


def test_a_plan_shows_what_it_refuses_beside_all_other_steps(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"), Shape="square")
    world.add("b")
    world.add("c", tags=ours("c")).state = State.FAILED

    planned = operator.up(A, B, C, replace(D, on=(A, B, C)), dry_run=True)

    assert {name: str(step.error or "")[:24].strip() for name, step in planned.items()} == {
        "a": "Shape cannot be changed",
        "b": "b#2 exists and has no ow",
        "c": "c#3 is it is failed",
        "d": "",
    }


def test_a_plan_waits_for_nothing(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).pending = 10**6

    assert operator.up(A, dry_run=True)["a"].action is Action.NO_OP


def test_a_plan_makes_again_what_is_going_away(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 10**6

    assert operator.up(A, dry_run=True)["a"].action is Action.CREATE


# Order


def test_what_is_independent_is_made_at_the_same_time(world: World, operator: Operator) -> None:
    together = threading.Barrier(4, timeout=10)
    world.at["create"] = lambda name: together.wait()

    operator.up(A, B, C, D)

    assert together.broken is False


def test_a_thing_is_made_after_what_it_needs_is_ready(world: World, operator: Operator) -> None:
    world.manners.pending_after_create = 3
    b, c = replace(B, on=(A,)), Thing("c", on=(replace(B, on=(A,)),))

    operator.up(c, b, A)

    assert [call for call in world.changes if call.startswith("create")] == ["create a", "create b", "create c"]
    assert world.called("b")[0].settings["On"] == [world.called("a")[0].id]


def test_while_one_is_waited_for_the_others_are_made(world: World, operator: Operator) -> None:
    slow = world.add("a", tags=ours("a"))
    slow.pending = 10**6
    world.at["create"] = lambda name: setattr(slow, "pending", 0)

    operator.up(A, B)

    assert world.changes == ["create b"]


def test_a_failed_one_takes_along_only_what_needs_it_and_every_error_is_told(world: World, operator: Operator) -> None:
    world.add("a", Size=1)
    world.add("b", tags=ours("b"), Shape="square")
    needs_a, needs_that = Thing("x", on=(A,)), Thing("y", on=(Thing("x", on=(A,)),))

    with pytest.raises(Unfinished, match=r"^2 steps failed, 2 blocked") as told:
        operator.up(A, B, C, needs_a, needs_that)

    assert set(told.value.failures) == {"thing/a", "thing/b"}
    assert "--adopt thing/a" in told.value.hint
    assert "down --only thing/b" in told.value.hint
    assert world.changes == ["create c"]


def test_an_interruption_tells_the_errors_that_were_met(world: World) -> None:
    def interrupted(name: str, waits_for: str) -> None:
        if name == "thing/b" and waits_for:
            raise KeyboardInterrupt

    world.add("a")
    world.add("b", tags=ours("b")).pending = 10**6
    with pytest.raises(Interrupted) as told:
        list(reconcile([A, B], Operator(world).inventory(), on_wait=interrupted, limits=QUICK))

    assert told.value.left == ["thing/b"]
    assert "thing/a: a#1 exists and has no owner" in told.value.message


def test_what_needs_a_thing_that_nobody_made_is_refused_before_anything_is_sent(
    world: World, operator: Operator
) -> None:
    with pytest.raises(Unfinished, match="thing/b: needs thing/a, which does not exist"):
        operator.up(replace(B, on=(A,)))

    assert world.changes == []


def test_what_was_kept_in_this_run_is_not_judged_by_the_first_look(world: World, operator: Operator) -> None:
    inventory, outputs = operator.inventory(), Outputs()
    list(reconcile([A], inventory, outputs=outputs, limits=QUICK))

    again = list(reconcile([A], inventory, outputs=outputs, limits=QUICK))

    assert [step.action for step in again] == [Action.NO_OP]


def test_an_output_that_is_not_there_yet_is_known_after_apply(operator: Operator, world: World) -> None:
    outputs = Outputs()
    world.add("a", tags=ours("a"))
    list(reconcile([A], operator.inventory(), outputs=outputs, dry_run=True))

    assert Output(A, "id", "<{}>").read(outputs) == "<a#1>"
    assert Output(A, "Endpoint").read(outputs) == UNKNOWN
