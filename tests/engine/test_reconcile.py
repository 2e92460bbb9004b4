"""Reconcile: decisions, plans, and the order of changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from orderops.engine.reconcile import reconcile
from orderops.engine.resource import UNKNOWN, Effect, Output, Outputs, State
from orderops.engine.step import Action, Step
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import Interrupted, NotOurs, ReplacementRequired, Unfinished
from orderops.frozen import replace
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


def test_an_absent_resource_is_created_with_ownership_tags(world: World, operator: Operator) -> None:
    step = operator.up(A)["a"]

    assert step == Step("thing/a", Action.CREATE, {"Size": (None, 1), "Shape": (None, "round"), "On": (None, [])})
    assert [made.tags for made in world.called("a")] == [ours("a")]


def test_a_resource_as_desired_is_not_changed(world: World, operator: Operator) -> None:
    operator.up(A)
    world.calls.clear()

    assert operator.up(A)["a"] == Step("thing/a", Action.NO_OP)
    assert world.changes == []


def test_an_update_sends_only_the_properties_that_differ(world: World, operator: Operator) -> None:
    operator.up(A)
    sent: list[Mapping[str, Any]] = []
    update = world._update

    def noted(id: str, name: str, settings: Mapping[str, Any]) -> None:
        sent.append(settings)
        update(id, name, settings)

    world.__dict__["_update"] = noted

    assert operator.up(replace(A, size=5))["a"] == Step("thing/a", Action.UPDATE, {"Size": (1, 5)})
    assert sent == [{"Size": 5}]


def test_different_tags_are_one_change_and_other_tags_are_kept(world: World, operator: Operator) -> None:
    operator.up(A)
    world.called("a")[0].tags |= {"Name": "else", "owner": "a person"}

    step = operator.up(A)["a"]

    assert step == Step("thing/a", Action.UPDATE, {"Tags": ({"Name": "else"}, {"Name": "a"})})
    assert world.called("a")[0].tags == {**ours("a"), "owner": "a person"}


def test_a_step_has_the_worst_effect_of_its_changes(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"), Size=9)

    step = operator.up(replace(A, size=5, shape="square"), dry_run=True)["a"]

    assert step.effect is Effect.LOSES


def test_changing_an_immutable_property_is_an_error_with_both_values(world: World, operator: Operator) -> None:
    operator.up(A)

    with pytest.raises(Unfinished, match=r"Shape cannot be changed .*observed 'round', desired 'square'") as raised:
        operator.up(replace(A, shape="square"))

    assert isinstance(raised.value.failures["thing/a"], ReplacementRequired)
    assert "down --only thing/a" in raised.value.hint
    assert world.called("a")[0].settings["Shape"] == "round"


def test_a_change_that_would_lose_data_is_an_error(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"), Size=9)

    with pytest.raises(Unfinished, match="Size would lose data"):
        operator.up(A)

    assert world.changes == []


def test_a_resource_without_an_owner_is_adopted_only_on_request(world: World, operator: Operator) -> None:
    world.add("a", tags={"owner": "a person"}, Size=1)
    bigger = replace(A, size=2)

    with pytest.raises(Unfinished, match="has no owner") as raised:
        operator.up(bigger)
    assert "--adopt thing/a" in raised.value.hint
    assert world.changes == []

    step = operator.up(bigger, adopt=["thing/a"])["a"]
    assert (step.action, step.changes["Size"]) == (Action.ADOPT, (1, 2))
    assert world.called("a")[0].tags == {**ours("a"), "owner": "a person"}
    assert operator.up(bigger)["a"].action is Action.NO_OP


def test_a_resource_with_an_immutable_difference_is_not_adopted(world: World, operator: Operator) -> None:
    world.add("a", Shape="square")

    with pytest.raises(Unfinished, match="Shape cannot be changed"):
        operator.up(A, adopt=["thing/a"])

    assert world.changes == []


@pytest.mark.parametrize("owner", ["prod thing/a", "dev thing/z"])
def test_a_resource_of_another_owner_is_never_adopted(world: World, operator: Operator, owner: str) -> None:
    environment, address = owner.split()
    world.add("a", tags={"orderops:environment": environment, "orderops:address": address})

    with pytest.raises(Unfinished, match=f"belongs to {owner}") as raised:
        operator.up(A, adopt=["thing/a"])

    assert isinstance(raised.value.failures["thing/a"], NotOurs)
    assert world.changes == []


def test_an_occupant_without_ownership_tags_is_not_created_again(world: World, operator: Operator) -> None:
    world.add("a", "placed")

    with pytest.raises(Unfinished, match="has no owner"):
        operator.up(Placed("a"))
    operator.up(Placed("a"), adopt=["placed/a"])

    assert len(world.called("a")) == 1


def test_a_failed_resource_is_an_error_with_the_command_that_removes_it(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).state = State.FAILED

    with pytest.raises(Unfinished, match="it is failed") as raised:
        operator.up(A)

    assert "down --only thing/a --env dev" in raised.value.hint
    assert world.changes == []


# A plan


def test_a_plan_changes_nothing_and_equals_the_steps_of_apply(world: World, operator: Operator) -> None:
    world.add("b", tags=ours("b"))
    declared = (A, replace(B, size=2), replace(C, on=(A,)))

    planned = operator.up(*declared, dry_run=True)

    assert world.changes == []
    applied = operator.up(*declared)
    assert {name: step.action for name, step in applied.items()} == {
        name: step.action for name, step in planned.items()
    }
    assert applied["b"] == planned["b"]


def test_outputs_of_absent_resources_are_known_after_apply(operator: Operator) -> None:
    planned = operator.up(A, replace(B, on=(A,)), dry_run=True)

    assert planned["b"].changes["On"] == (None, [UNKNOWN])


def test_outputs_of_existing_resources_are_known_in_a_plan(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))

    planned = operator.up(A, replace(B, on=(A,)), dry_run=True)

    assert planned["b"].changes["On"] == (None, [there.id])


def test_a_plan_shows_refused_steps_together_with_the_others(world: World, operator: Operator) -> None:
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


def test_a_plan_does_not_wait_for_pending_resources(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).pending = 10**6

    assert operator.up(A, dry_run=True)["a"].action is Action.NO_OP


def test_a_plan_creates_again_a_resource_that_is_being_deleted(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 10**6

    assert operator.up(A, dry_run=True)["a"].action is Action.CREATE


# Order


def test_independent_resources_are_created_concurrently(world: World, operator: Operator) -> None:
    together = threading.Barrier(4, timeout=10)
    world.at["create"] = lambda name: together.wait()

    operator.up(A, B, C, D)

    assert together.broken is False


def test_a_resource_is_created_after_its_needs_are_ready(world: World, operator: Operator) -> None:
    world.manners.pending_after_create = 3
    b, c = replace(B, on=(A,)), Thing("c", on=(replace(B, on=(A,)),))

    operator.up(c, b, A)

    assert [call for call in world.changes if call.startswith("create")] == ["create a", "create b", "create c"]
    assert world.called("b")[0].settings["On"] == [world.called("a")[0].id]


def test_other_resources_are_created_while_one_is_pending(world: World, operator: Operator) -> None:
    slow = world.add("a", tags=ours("a"))
    slow.pending = 10**6
    world.at["create"] = lambda name: setattr(slow, "pending", 0)

    operator.up(A, B)

    assert world.changes == ["create b"]


def test_a_failure_blocks_only_its_users_and_every_error_is_reported(world: World, operator: Operator) -> None:
    world.add("a", Size=1)
    world.add("b", tags=ours("b"), Shape="square")
    needs_a, needs_that = Thing("x", on=(A,)), Thing("y", on=(Thing("x", on=(A,)),))

    with pytest.raises(Unfinished, match=r"^2 steps failed, 2 blocked") as raised:
        operator.up(A, B, C, needs_a, needs_that)

    assert set(raised.value.failures) == {"thing/a", "thing/b"}
    assert "--adopt thing/a" in raised.value.hint
    assert "down --only thing/b" in raised.value.hint
    assert world.changes == ["create c"]


def test_an_interruption_reports_the_errors_so_far(world: World) -> None:
    def interrupted(name: str, waits_for: str) -> None:
        if name == "thing/b" and waits_for:
            raise KeyboardInterrupt

    world.add("a")
    world.add("b", tags=ours("b")).pending = 10**6
    with pytest.raises(Interrupted) as raised:
        list(reconcile([A, B], Operator(world).inventory(), on_wait=interrupted, limits=QUICK))

    assert raised.value.left == ["thing/b"]
    assert "thing/a: a#1 exists and has no owner" in raised.value.message


def test_a_missing_need_is_an_error_before_any_change(world: World, operator: Operator) -> None:
    with pytest.raises(Unfinished, match="thing/b: needs thing/a, which does not exist"):
        operator.up(replace(B, on=(A,)))

    assert world.changes == []


def test_a_resource_created_in_this_run_is_not_judged_by_the_shared_listing(world: World, operator: Operator) -> None:
    inventory, outputs = operator.inventory(), Outputs()
    list(reconcile([A], inventory, outputs=outputs, limits=QUICK))

    again = list(reconcile([A], inventory, outputs=outputs, limits=QUICK))

    assert [step.action for step in again] == [Action.NO_OP]


def test_an_output_property_that_is_not_set_yet_is_known_after_apply(operator: Operator, world: World) -> None:
    outputs = Outputs()
    world.add("a", tags=ours("a"))
    list(reconcile([A], operator.inventory(), outputs=outputs, dry_run=True))

    assert Output(A, "id", "<{}>").read(outputs) == "<a#1>"
    assert Output(A, "Endpoint").read(outputs) == UNKNOWN
