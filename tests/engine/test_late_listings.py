"""Kinds whose listing lags: each resource is asked for by its name before it counts as absent, or as existing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Observed
from orderops.engine.step import Action
from orderops.errors import AwsError, Meaning
from support.fake_aws import QUICK, Untold, World, ours

SETTINGS = {"Size": 1, "Shape": "round", "On": []}


class Late(Untold):
    """The listing of an environment is as old as the test says, and has no tags."""

    kind: ClassVar[str] = "late"
    lists_late: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"Gone"})
    listed: ClassVar[list[Observed]] = []

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        yield from super().listing(aws, owner) if owner.name else iter(cls.listed)

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        if observed.id.startswith("gone"):
            raise AwsError("fake.detail", "Gone", "it does not exist", Meaning.NO)
        return observed


@pytest.fixture
def world() -> Iterator[World]:
    yield World()
    Late.listed.clear()


def inventory(world: World) -> Inventory:
    return Inventory(world, "dev", (Late,))


def test_a_resource_that_is_not_listed_yet_is_found_by_its_name(world: World) -> None:
    world.add("a", "late", tags=ours("a", "late"))

    found = inventory(world).get(Late("a"), SETTINGS)

    assert found is not None
    assert found.name == "a"
    assert inventory(world).get(Late("b"), SETTINGS) is None


def test_a_listed_resource_is_not_asked_for_by_its_name(world: World) -> None:
    world.add("a", "late", tags=ours("a", "late"))
    Late.listed.append(Observed("a#1", SETTINGS, ours("a", "late"), "a"))

    assert inventory(world).get(Late("a"), SETTINGS) is not None
    assert [call for call in world.calls if call.startswith("list")] == []


def test_a_declared_resource_that_is_not_listed_yet_is_deleted_with_its_environment(world: World) -> None:
    world.add("a", "late", tags=ours("a", "late"))
    world.add("foreign", "late", tags={**ours("foreign", "late"), "orderops:environment": "prod"})
    declared = [Late("a"), Late("foreign"), Late("absent")]

    assert list(inventory(world).owned()) == []
    assert [owned.address for owned in inventory(world).existing(declared)] == ["late/a"]


def test_a_deleted_resource_that_is_still_listed_is_not_deleted_again(world: World) -> None:
    Late.listed.append(Observed("gone#1", SETTINGS, ours("gone", "late"), "gone"))

    assert [owned.address for owned in inventory(world).owned()] == ["late/gone"]
    assert list(inventory(world).existing([Late("gone")])) == []


def test_a_listed_resource_whose_tags_say_that_it_is_gone_has_no_owner(world: World) -> None:
    Late.listed.append(Observed("gone#1", SETTINGS, None, "gone"))
    world.meets("tags_of", "Gone")

    assert list(inventory(world).owned()) == []
    assert "tags_of" in world.calls


def test_another_failure_to_read_tags_is_an_error(world: World) -> None:
    Late.listed.append(Observed("a#1", SETTINGS, None, "a"))
    world.meets("tags_of", "AccessDenied")

    with pytest.raises(AwsError, match="AccessDenied"):
        list(inventory(world).owned())


def test_a_resource_that_is_listed_and_gone_is_created(world: World) -> None:
    Late.listed.append(Observed("gone#0", SETTINGS, ours("a", "late"), "a"))

    (step,) = reconcile([Late("a")], inventory(world), limits=QUICK)

    assert step.action is Action.CREATE
    assert len(world.called("a")) == 1
