"""What a run waits for and reports while it changes resources, and what it reads again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy
from orderops.engine.inventory import Inventory, Owned
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed, Outputs, Resource
from orderops.engine.step import Action, Step
from orderops.engine.task import RecentWrites
from orderops.engine.together import held_back, refusals, with_held
from orderops.errors import Meaning, Unfinished
from orderops.frozen import replace
from support.fake_aws import QUICK, Edition, Operator, Placed, Thing, World, ours

A = Thing("a")


class Held(Thing):
    """AWS holds changes of its size back."""

    kind: ClassVar[str] = "held"

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return set(changes) == {"Size"}


class Late(Thing):
    kind: ClassVar[str] = "late"
    lists_late: ClassVar[bool] = True


KINDS: tuple[type[Resource], ...] = (Thing, Held, Late, Placed, Edition)


@pytest.fixture
def world() -> World:
    return World()


def waits(world: World, *resources: Resource, **options: Any) -> list[str]:
    """Reconcile, and return what was waited for."""
    seen: list[str] = []
    inventory = Inventory(world, "dev", KINDS)
    terms = {"limits": QUICK, **options}
    list(reconcile(resources, inventory, on_wait=lambda _, reason: seen.append(reason), **terms))
    return [reason for reason in dict.fromkeys(seen) if reason]


def failure(world: World, *resources: Resource) -> tuple[str, str]:
    with pytest.raises(Unfinished) as stopped:
        waits(world, *resources)
    [error] = stopped.value.failures.values()
    return error.message, error.hint


def test_a_wait_for_a_create_says_that_it_was_sent(world: World) -> None:
    world.manners.unseen_after_create = 2

    assert waits(world, A) == ["create sent"]


def test_a_wait_for_an_update_names_what_was_sent(world: World) -> None:
    world.add("a", tags={**ours("a"), "Name": "b"}, Policy=1)
    world.manners.stale_after_update = 2

    assert waits(world, replace(A, size=2))[0] == "update of Size, Tags sent"


def test_a_wait_for_a_replacement_says_that_it_was_sent(world: World) -> None:
    world.add("a", "edition", tags=ours("a", "edition"))
    world.manners.stale_after_update = 2

    assert waits(world, Edition("a", size=2)) == ["replacement sent"]


def test_a_wait_for_creates_of_an_interrupted_run_says_so(world: World) -> None:
    writes = RecentWrites(unconfirmed={"thing/a": 0.2})

    assert waits(world, A, recent_writes=writes) == [
        "AWS's reads to show what the last run may have created",
        "create sent",
    ]


def test_a_wait_for_a_lost_answer_names_its_error(world: World) -> None:
    world.meets("create", "InternalFailure", meaning=Meaning.LOST, took=True)
    world.manners.unseen_after_create = 1

    assert waits(world, A) == ["the effect of a call whose answer was lost (InternalFailure)"]


def test_a_change_that_aws_holds_back_is_not_waited_for(world: World) -> None:
    for name, kind in (("a", "held"), ("b", "held")):
        world.add(name, kind, tags=ours(name, kind), Policy=0)
    world.manners.unsettled_after_update = 3

    assert waits(world, Held("a", size=2)) == ["update of Size sent"]
    world.called("b")[0].tags["Name"] = "c"
    assert waits(world, Held("b", size=2)) == ["update of Size, Tags sent"], "tags do not count"
    b = world.called("b")[0]
    b.settings |= {"Size": 1, "On": ["x"]}
    assert waits(world, Held("b", size=2)) == ["update of Size, On sent", "the rest of it"]


def test_every_missing_need_is_named(world: World) -> None:
    b = Thing("b", on=(Thing("y"), Thing("x")))

    assert failure(world, b) == (
        "needs thing/x, thing/y, which does not exist",
        "orderops up creates everything that is declared",
    )


def test_a_need_of_no_declared_resource_is_not_named(world: World) -> None:
    class Unclear(Thing):
        def desired(self, outputs: Outputs) -> dict[str, Any]:
            return {"Size": "(known after apply)"}

    assert failure(world, Unclear("b"))[0] == "needs a resource that does not exist yet, which does not exist"


def test_a_change_that_aws_reverts_ends_with_its_reason_and_the_next_step(world: World) -> None:
    world.add("a", tags=ours("a"))
    world.manners.rolls_back, world.manners.pending_after_update = True, 1

    assert failure(world, replace(A, size=2)) == (
        "Size was accepted and reverted by AWS: exited with 1",
        "fix the cause, then re-run this command",
    )


def test_a_held_change_has_the_hint_of_the_refused_one(world: World) -> None:
    world.add("a", tags=ours("a"))
    world.add("b", tags=ours("b"), On=["a#1"])
    a = replace(A, shape="square")
    b = Thing("b", size=2, on=(a,))
    steps = list(Operator(world).up(a, b, dry_run=True).values())

    errors = refusals(with_held(steps, held_back(steps, [a, b])))

    assert errors["thing/b"].message == "not changed: it belongs together with thing/a, which is refused"
    assert errors["thing/b"].hint == errors["thing/a"].hint != ""


# reads


def test_only_kinds_that_list_late_are_read_by_their_names(world: World) -> None:
    world.add("a", tags=ours("a"))
    world.add("l", "late", tags=ours("l", "late"))
    inventory = Inventory(world, "dev", (Thing, Late))
    list(inventory.owned())
    world.calls.clear()

    existing = list(inventory.existing([A, Thing("new"), Late("l"), Late("unlisted")]))

    assert [owned.address for owned in existing] == ["thing/a", "late/l"]
    assert world.calls == ["list l", "list unlisted"]


def test_what_is_found_by_its_name_is_as_complete_as_what_is_listed(world: World) -> None:
    inventory = Inventory(world, "dev", (Late,))
    assert list(inventory.owned()) == []
    world.add("l", "late", tags={**ours("l", "late"), "team": "orders"})
    world.add("lx", "late", tags={"orderops:environment": "prod"})
    world.add("m", "late", tags={"orderops:environment": "dev"})

    found = list(inventory.existing([Late("l"), Late("m")]))

    assert [(owned.kind, owned.address, owned.observed.id) for owned in found] == [
        (Late, "late/l", "l#1"),
        (Late, "late/m", "m#3"),
    ]
    assert found[0].observed.tags == {**ours("l", "late"), "team": "orders"}


class Detailed(Thing):
    """Its listing lacks a property, which is read from the resource."""

    kind: ClassVar[str] = "detailed"
    lists_late: ClassVar[bool] = True

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        known = dict(aws.fake.tags_of(id=observed.id))
        return replace(observed, properties={**observed.properties, "Team": known["team"]})


def test_what_a_listing_lacks_is_read_from_the_resource_in_every_read(world: World) -> None:
    inventory = Inventory(world, "dev", (Detailed,))
    detailed, desired = Detailed("d"), {"Size": 1}
    assert inventory.get(detailed, desired) is None
    world.add("d", "detailed", tags={**ours("d", "detailed"), "team": "orders"})

    found = [inventory.get(detailed, desired), inventory.refresh(detailed, desired)]
    found.append(Inventory(world, "dev", (Detailed,)).get(detailed, desired))

    assert [observed and observed.properties["Team"] for observed in found] == ["orders"] * 3


def test_a_resource_that_is_found_by_its_tags_is_read_again_by_them(world: World) -> None:
    world.add("p", "placed", tags=ours("p", "placed"))
    inventory = Inventory(world, "dev", (Placed,))
    [owned] = inventory.owned()

    again = inventory.refresh_owned(owned)

    assert again and again.id == "p#1"
    assert inventory.refresh_owned(Owned(Placed, replace(owned.observed, id="gone"), owned.address)) is None


def test_a_delete_that_is_refused_for_too_long_ends_with_the_error_of_aws(world: World) -> None:
    world.add("a", tags=ours("a"))
    for _ in range(500):
        world.meets("delete", "Busy")
    inventory = Inventory(world, "dev", (Thing,))

    with pytest.raises(Unfinished) as stopped:
        list(destroy(inventory.owned(), inventory, limits=replace(QUICK, timeout=timedelta(seconds=0.05))))

    assert [error.message for error in stopped.value.failures.values()] == ["fake.delete: Busy"]


def test_a_step_is_refused_by_its_error_or_by_the_step_that_it_belongs_to() -> None:
    step = Step("thing/a", Action.UPDATE)

    assert not step.refused
    assert replace(step, held_by="thing/b").refused
