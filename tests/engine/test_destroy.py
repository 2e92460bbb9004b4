"""Destroy: users first; resources that hold data are kept together with everything that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from orderops.aws.client import Aws
from orderops.engine.destroy import destroy, holding, needed_kinds, undeclared, with_what_they_need
from orderops.engine.inventory import Inventory, Key
from orderops.engine.resource import Observed, Resource, State
from orderops.engine.step import Action, Step
from orderops.errors import AwsError, Meaning, Unfinished
from orderops.frozen import replace
from support.fake_aws import QUICK, Operator, Placed, Thing, World, ours


class Base(Thing):
    """A resource that others need."""

    kind: ClassVar[str] = "base"


class User(Thing):
    """Needs a base and another resource of its kind."""

    bases: tuple[Base | None, ...] = ()
    other: User | None = None

    kind: ClassVar[str] = "user"
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"InUse"})


class Hasty(User):
    """Can be deleted while it is being created."""

    kind: ClassVar[str] = "hasty"
    removable: ClassVar[frozenset[State]] = frozenset({State.READY, State.PENDING})


KINDS: tuple[type[Resource], ...] = (Base, User, Hasty, Thing)


@pytest.fixture
def world() -> World:
    return World()


def down(world: World, *, kept: Mapping[Key, str] | None = None, dry_run: bool = False) -> dict[str, Step]:
    inventory = Inventory(world, "dev", KINDS)
    steps = destroy(inventory.owned(), inventory, kept=kept, dry_run=dry_run, limits=QUICK)
    return {f"{step.address} {step.note}".strip(): step for step in steps}


def test_users_are_deleted_before_the_resources_that_they_need(world: World) -> None:
    world.add("b", "base", tags=ours("b", "base"))
    world.add("u", "user", tags=ours("u", "user"))
    world.manners.going_after_delete = 3

    down(world)

    gone = [call for call in world.calls if call.startswith("delete")]
    assert gone == ["delete u", "delete b"]
    assert not world.called("u") + world.called("b")


def test_needed_kinds_are_found_in_the_fields_of_their_users() -> None:
    assert needed_kinds(User) >= {Base, User}
    assert Base not in needed_kinds(Base)


def test_a_dry_run_of_destroy_changes_nothing(world: World) -> None:
    world.add("u", "user", tags=ours("u", "user"))

    steps = down(world, dry_run=True)

    assert [step.action for step in steps.values()] == [Action.DELETE]
    assert world.changes == []


def test_a_kept_resource_is_not_deleted_and_reports_the_reason(world: World) -> None:
    world.add("b", "base", tags=ours("b", "base"))
    world.add("u", "user", tags=ours("u", "user"))

    steps = down(world, kept={("base/b", "b#1"): "holds 20 GB"})

    assert steps["base/b holds 20 GB"].action is Action.KEEP
    assert world.changes == ["delete u"]


def test_a_kept_resource_keeps_everything_that_it_needs() -> None:
    below = Base("below")
    base = replace(Base("base"), on=(below,))
    user = User("user", bases=(base,))
    declared = {resource.address: resource for resource in (below, base, user)}

    kept = with_what_they_need(["user/user", "thing/undeclared"], declared, lambda address: f"{address} holds 1 GB")

    assert kept == {
        "user/user": "user/user holds 1 GB",
        "base/base": "user/user needs it",
        "base/below": "base/base needs it",
        "thing/undeclared": "thing/undeclared holds 1 GB",
    }


def test_a_kept_undeclared_resource_keeps_every_kind_that_it_may_need(world: World) -> None:
    for name, kind in {"u": "user", "b": "base", "t": "thing"}.items():
        world.add(name, kind, tags=ours(name, kind))
    found = list(Inventory(world, "dev", KINDS).owned())

    kept = with_what_they_need(["user/u"], {}, lambda address: "holds 1 GB", found)

    assert kept == {"user/u": "holds 1 GB", "base/b": "user/u may need it"}


def test_resources_that_hold_data_are_listed_with_that_data(world: World) -> None:
    world.add("full", tags=ours("full"), Size=20)
    world.add("empty", tags=ours("empty"), Size=1)
    inventory = Inventory(world, "dev", KINDS)

    assert holding(inventory.owned(), inventory) == {("thing/full", "full#1"): "20 GB"}


def test_owned_resources_without_a_declaration_are_undeclared(world: World) -> None:
    world.add("old", tags=ours("old"))
    world.add("new", tags=ours("new"))
    world.add("theirs")

    assert [owned.address for owned in undeclared(Operator(world).inventory().owned(), {"thing/new"})] == ["thing/old"]


def test_deleting_a_resource_in_use_is_retried(world: World) -> None:
    world.add("u", "user", tags=ours("u", "user"))
    for _ in range(3):
        world.meets("delete", "InUse")

    down(world)

    assert world.changes == ["delete u"] * 4


def test_a_resource_is_read_again_after_the_answer_to_its_delete_was_lost(world: World) -> None:
    world.add("u", "user", tags=ours("u", "user"))
    world.manners.going_after_delete = 2
    world.meets("delete", "InternalFailure", meaning=Meaning.LOST, took=True)

    down(world)

    assert world.changes == ["delete u"]


def test_a_refused_delete_keeps_the_resources_it_needs_and_deletes_the_rest(world: World) -> None:
    world.add("b", "base", tags=ours("b", "base"))
    world.add("u", "user", tags=ours("u", "user"))
    world.add("apart", tags=ours("apart"))
    world.meets("delete", "AccessDenied")
    inventory = Inventory(world, "dev", (Base, User))
    with pytest.raises(Unfinished, match=r"^1 step failed, 1 blocked\nuser/u: "):
        list(destroy(inventory.owned(), inventory, limits=QUICK))

    assert world.called("b")


def test_destroy_waits_for_a_resource_that_is_being_created(world: World) -> None:
    world.add("u", "user", tags=ours("u", "user")).pending = 3

    down(world)

    looks = [call for call in world.calls if call in ("list u", "delete u")]
    assert looks[:3] == ["list u"] * 3
    assert "delete u" in looks


def test_a_pending_resource_that_is_removable_is_deleted_at_once(world: World) -> None:
    world.add("h", "hasty", tags=ours("h", "hasty")).pending = 10**6

    down(world)

    assert world.changes == ["delete h"]


def test_a_failed_resource_is_deleted(world: World) -> None:
    world.add("u", "user", tags=ours("u", "user")).state = State.FAILED

    down(world)

    assert not world.called("u")


def test_an_owned_resource_without_an_address_tag_is_deleted(world: World) -> None:
    world.add("p", "placed", tags={"orderops:environment": "dev"})
    inventory = Inventory(world, "dev", (Placed,))

    steps = list(destroy(inventory.owned(), inventory, limits=QUICK))

    assert [step.note for step in steps] == ["p#1"]
    assert not world.called("p")


def test_two_resources_with_the_same_address_are_both_deleted(world: World) -> None:
    for _ in range(2):
        world.add("u", "user", tags=ours("u", "user"))

    assert set(down(world)) == {"user/u u#1", "user/u u#2"}
    assert not world.called("u")


def test_resources_of_another_owner_are_never_deleted(world: World) -> None:
    world.add("theirs", "user", tags={**ours("theirs", "user"), "orderops:environment": "prod"})
    world.add("nobody's", "user")

    assert down(world) == {}
    assert world.changes == []


def test_deleting_a_resource_that_is_already_gone_succeeds(world: World) -> None:
    there = world.add("u", "user", tags=ours("u", "user"))
    inventory = Inventory(world, "dev", KINDS)
    found = list(inventory.owned())
    del world.things[there.id]

    assert [step.action for step in destroy(found, inventory, limits=QUICK)] == [Action.DELETE]
    assert world.changes == []


@pytest.mark.parametrize(("code", "held"), [("Gone", "data that cannot be read now (see_in: Gone)"), ("Denied", None)])
def test_a_resource_deleted_by_another_client_meanwhile_counts_as_holding_data(
    world: World, code: str, held: str | None
) -> None:
    class Vanishing(Thing):
        """Deleted by another client at this moment."""

        retryable_errors: ClassVar[frozenset[str]] = frozenset({"Gone"})

        @classmethod
        def holds(cls, aws: Aws, observed: Observed) -> str:
            raise AwsError("see_in", code, "", Meaning.NO)

    world.add("vanishing", tags=ours("vanishing"), Size=1)
    inventory = Inventory(world, "dev", (Vanishing,))
    if held is None:
        with pytest.raises(AwsError):
            holding(inventory.owned(), inventory)
    else:
        assert holding(inventory.owned(), inventory) == {("thing/vanishing", "vanishing#1"): held}
