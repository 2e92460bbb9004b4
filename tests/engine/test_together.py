"""Changes that belong together: if one is refused, none is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Properties
from orderops.engine.step import Action
from orderops.engine.terms import Terms
from orderops.engine.together import held_back, refusals, with_held
from orderops.errors import Unfinished
from orderops.frozen import replace
from support.fake_aws import QUICK, Operator, Thing, World

BASE = Thing("base")
DOOR = Thing("door", on=(BASE,))
ROUTE = Thing("route", on=(BASE,))
TASKS = Thing("tasks", on=(DOOR, ROUTE))
APART = Thing("apart")
ALL = (BASE, DOOR, ROUTE, TASKS, APART)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def operator(world: World) -> Operator:
    made = Operator(world)
    made.up(*ALL)
    world.calls.clear()
    return made


def edited(**edits: Mapping[str, Any]) -> tuple[Thing, ...]:
    """The declared things with other settings, by name."""
    base = replace(BASE, **edits.get("base", {}))
    door = replace(DOOR, on=(base,), **edits.get("door", {}))
    route = replace(ROUTE, on=(base,), **edits.get("route", {}))
    tasks = replace(TASKS, on=(door, route), **edits.get("tasks", {}))
    return base, door, route, tasks, replace(APART, **edits.get("apart", {}))


REFUSED = {"shape": "square"}  # a shape cannot be changed
BIGGER = {"size": 2}


@pytest.mark.parametrize(
    ("edits", "held"),
    [
        ({"route": REFUSED, "tasks": BIGGER}, {"tasks"}),
        ({"route": REFUSED, "door": BIGGER, "tasks": BIGGER}, {"door", "tasks"}),
        ({"tasks": REFUSED, "door": BIGGER, "base": BIGGER}, {"door", "base"}),
        ({"base": REFUSED, "tasks": BIGGER}, {"tasks"}),
        ({"route": REFUSED, "door": BIGGER}, set()),
        ({"route": REFUSED, "apart": BIGGER}, set()),
        ({"apart": REFUSED, "door": BIGGER, "tasks": BIGGER}, set()),
        ({"door": BIGGER, "tasks": BIGGER}, set()),
    ],
    ids=lambda value: " ".join(sorted(value)) or "nothing",
)
def test_a_refused_change_holds_back_the_changes_that_need_it_or_that_it_needs(
    operator: Operator, edits: Mapping[str, Mapping[str, Any]], held: set[str]
) -> None:
    resources = edited(**edits)
    steps = operator.up(*resources, dry_run=True).values()

    assert set(held_back(steps, resources)) == {f"thing/{name}" for name in held}


def test_a_held_change_names_the_refused_resource(operator: Operator) -> None:
    resources = edited(route=REFUSED, tasks=BIGGER)
    steps = operator.up(*resources, dry_run=True).values()

    marked = {step.address: step for step in with_held(steps, held_back(steps, resources))}

    assert marked["thing/tasks"].held_by == "thing/route"
    assert marked["thing/tasks"].refused
    assert marked["thing/route"].refused
    assert not marked["thing/door"].refused


def test_changed_tags_hold_nothing_together(world: World, operator: Operator) -> None:
    for record in world.things.values():
        record.tags["Name"] = "changed by hand"
    resources = edited(route=REFUSED)
    steps = operator.up(*resources, dry_run=True).values()

    assert held_back(steps, resources) == {}


def test_an_apply_changes_nothing_of_a_group_with_a_refusal(world: World, operator: Operator) -> None:
    resources = edited(route=REFUSED, door=BIGGER, tasks=BIGGER, apart=BIGGER)
    steps = list(operator.up(*resources, dry_run=True).values())
    terms = Terms(refused=refusals(with_held(steps, held_back(steps, resources))))
    world.calls.clear()

    with pytest.raises(Unfinished) as stopped:
        list(reconcile(resources, operator.inventory(), terms=terms, limits=QUICK))

    assert world.changes == ["update apart"]
    assert set(stopped.value.failures) == {"thing/route", "thing/tasks", "thing/door"}
    assert "thing/door: not changed: it belongs together with thing/route, which is refused" in stopped.value.message


class Door(Thing):
    """Lets in what is listed under On, and those that were let in before while it is widened."""

    permits: ClassVar[bool] = True

    def widened(self, observed: Properties, desired: Properties) -> Properties:
        return {**desired, "Size": max(observed["Size"], desired["Size"])}


def test_a_widened_resource_keeps_what_it_allowed_and_is_narrowed_afterwards(world: World, operator: Operator) -> None:
    world.called("door")[0].settings["Size"] = 5
    door = Door("door", size=3, on=(BASE,))

    terms = Terms(widen={"thing/door"})
    wide = {step.address: step for step in reconcile([BASE, door], operator.inventory(), terms=terms, limits=QUICK)}

    assert wide["thing/door"].action is Action.NO_OP


def test_what_a_run_creates_is_never_widened(world: World, operator: Operator) -> None:
    world.manners.made_instead = {"Size": 7}  # as AWS lets everything out of a new security group
    door = Door("new", size=9)

    list(reconcile([door], operator.inventory(), terms=Terms(widen={"thing/new"}), limits=QUICK))

    assert world.called("new")[0].settings["Size"] == 9
