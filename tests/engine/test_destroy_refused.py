"""What is kept and refused when resources are deleted: data, users, blockers of other owners, and changed owners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.destroy import destroy, in_use, keep_with_needs, needed_kinds, undeclared, with_what_they_need
from orderops.engine.inventory import Inventory, Owned, environments_in_account
from orderops.engine.resource import Observed, Resource, State
from orderops.engine.step import Action
from orderops.errors import AwsError, Meaning, NotOurs, OrderopsError, Unfinished
from orderops.frozen import replace
from support.fake_aws import QUICK, Thing, Untold, World, ours


class Ground(Thing):
    kind: ClassVar[str] = "ground"


class Wall(Thing):
    """Needs a ground, and AWS deletes it only without users. Others may block it."""

    ground: Ground | None = None
    options: Mapping[str, list[Ground]] | None = None

    kind: ClassVar[str] = "wall"
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"InUse"})

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        if (observed.tags or {}).get("unreadable"):
            raise AwsError("fake.blockers", "Denied", "", Meaning.NO)
        return f"eni-1 of {(observed.tags or {})['orderops:address']}" if observed.properties["Size"] == 13 else ""


class Roof(Thing):
    """Needs walls, and so the ground."""

    walls: tuple[Wall, ...] = ()

    kind: ClassVar[str] = "roof"


KINDS: tuple[type[Resource], ...] = (Ground, Wall, Roof, Thing)
GROUND = Ground("g")
WALL = Wall("w", ground=GROUND)
ROOF = Roof("r", walls=(WALL,))
DECLARED: dict[str, Resource] = {resource.address: resource for resource in (GROUND, WALL, ROOF)}


@pytest.fixture
def world() -> World:
    world = World()
    for name, kind in {"g": "ground", "w": "wall", "r": "roof"}.items():
        world.add(name, kind, tags=ours(name, kind))
    return world


def found(world: World) -> list[Owned]:
    return list(Inventory(world, "dev", KINDS).owned())


def down(world: World, *kinds: type[Resource], **options: Any) -> list[str]:
    """Delete what exists of these kinds; the steps as action, address and note."""
    inventory = Inventory(world, "dev", kinds or KINDS)
    steps = destroy(inventory.owned(), inventory, **{"limits": QUICK, **options})
    return [f"{step.action} {step.address} {step.note}" for step in steps]


def refused(world: World, *kinds: type[Resource]) -> tuple[str, str]:
    with pytest.raises(Unfinished) as stopped:
        down(world, *kinds)
    [error] = stopped.value.failures.values()
    return error.message, error.hint


# kept


def test_users_go_before_what_they_need_and_what_they_need_through_others(world: World) -> None:
    assert down(world) == ["delete roof/r r#3", "delete wall/w w#2", "delete ground/g g#1"]


def test_what_holds_data_is_kept_with_everything_that_it_needs(world: World) -> None:
    holders = {("wall/w", "w#2"): "20 GB"}

    kept = keep_with_needs(holders, DECLARED, found(world))

    assert kept == {("wall/w", "w#2"): "holds 20 GB", ("ground/g", "g#1"): "wall/w needs it"}
    assert down(world, kept=kept) == [
        "keep wall/w holds 20 GB",
        "keep ground/g wall/w needs it",
        "delete roof/r r#3",
    ]


def test_an_undeclared_holder_keeps_every_kind_that_it_may_need_also_through_others(world: World) -> None:
    assert with_what_they_need(["roof/r"], {}, lambda address: f"why {address}", found(world)) == {
        "roof/r": "why roof/r",
        "wall/w": "roof/r may need it",
        "ground/g": "roof/r may need it",
    }
    assert with_what_they_need(["wall/w"], {}, lambda address: "data", found(world)) == {
        "wall/w": "data",
        "ground/g": "wall/w may need it",
    }


def test_a_reason_of_its_own_is_kept_over_that_of_a_user(world: World) -> None:
    needed = with_what_they_need(["ground/g", "roof/r"], DECLARED, lambda address: f"why {address}", found(world))

    assert needed == {"ground/g": "why ground/g", "roof/r": "why roof/r", "wall/w": "roof/r needs it"}


def test_a_twin_without_data_is_not_kept_with_the_one_that_holds_data(world: World) -> None:
    world.add("copy", "wall", tags=ours("w", "wall"))

    kept = keep_with_needs({("wall/w", "w#2"): "20 GB"}, DECLARED, found(world))

    assert ("wall/w", "copy#4") not in kept


def test_the_kinds_in_any_field_are_needed() -> None:
    assert needed_kinds(Wall) == {Ground, Resource}
    assert needed_kinds(Roof) == {Wall, Resource}
    assert needed_kinds(Thing) == {Resource}


def test_what_aws_deletes_only_unused_names_its_declared_users(world: World) -> None:
    everything = found(world)

    assert in_use(["wall/w"], everything, DECLARED) == {"wall/w": ["roof/r"]}
    assert in_use(["wall/w", "roof/r"], everything, DECLARED) == {}, "the user goes as well"
    assert in_use(["ground/g"], everything, DECLARED) == {}, "AWS does not refuse that"
    assert in_use(["wall/gone"], everything, DECLARED) == {}
    assert in_use(["wall/w"], everything, {"wall/w": WALL}) == {}, "no file says that the roof needs it"
    assert in_use(["wall/w"], [owned for owned in everything if owned.kind is not Roof], DECLARED) == {}
    both = {**DECLARED, "roof/q": Roof("q", walls=(WALL,))}
    world.add("q", "roof", tags=ours("q", "roof"))
    assert in_use(["wall/w"], found(world), both) == {"wall/w": ["roof/q", "roof/r"]}


def test_a_resource_with_a_role_is_not_undeclared(world: World) -> None:
    world.add("restored", tags={**ours("restored"), "orderops:role": "restored"})

    assert [owned.address for owned in undeclared(found(world), {"ground/g"})] == ["wall/w", "roof/r"]


# refused


def test_what_others_block_is_refused_with_who_blocks_it(world: World) -> None:
    world.called("w")[0].settings["Size"] = 13
    world.meets("delete", "InUse")

    assert refused(world, Wall) == (
        "cannot be deleted while it is used by eni-1 of wall/w",
        "it does not belong to this environment: have its owner remove it, then re-run this command",
    )


def test_an_error_that_is_no_refusal_is_waited_for_without_asking_who_blocks(world: World) -> None:
    world.called("w")[0].settings["Size"] = 13
    world.meets("delete", "Throttling", meaning=Meaning.LATER)

    assert down(world, Wall) == ["delete wall/w w#2"]


def test_a_blocker_that_cannot_be_read_is_waited_for(world: World) -> None:
    record = world.called("w")[0]
    record.settings["Size"], record.tags["unreadable"] = 13, "yes"
    world.meets("delete", "InUse")

    assert down(world, Wall) == ["delete wall/w w#2"]


def test_a_listing_that_fails_once_does_not_stop_a_deletion(world: World) -> None:
    inventory = Inventory(world, "dev", (Wall,))
    everything = list(inventory.owned())
    world.meets("list", "Throttling", meaning=Meaning.LATER)

    assert [step.action for step in destroy(everything, inventory, limits=QUICK)] == [Action.DELETE]


def test_a_deletion_that_does_not_end_says_what_aws_reports(world: World) -> None:
    world.manners.going_after_delete = 10**6
    quick = replace(QUICK, timeout=timedelta(seconds=0.05))

    with pytest.raises(Unfinished, match=r"wall/w: still waiting for: it is going, after 0 s"):
        down(world, Wall, limits=quick)


def test_the_wait_of_a_deletion_is_reported_by_address(world: World) -> None:
    waits: list[tuple[str, str]] = []
    world.manners.going_after_delete = 1

    down(world, Wall, on_wait=lambda *wait: waits.append(wait))

    assert waits[0] == waits[-1] == ("wall/w", "")
    assert ("wall/w", "it is ready") in waits and ("wall/w", "it is going") in waits


def test_every_delete_that_fails_is_named_by_its_address(world: World) -> None:
    world.meets("delete", "AccessDenied")

    with pytest.raises(Unfinished) as stopped:
        down(world, Wall)

    assert set(stopped.value.failures) == {"wall/w"}


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        ({"orderops:environment": "prod"}, "belongs to prod"),
        ({}, "no longer has an owner"),
    ],
)
def test_what_the_index_still_shows_as_ours_is_not_deleted(tags: dict[str, str], owner: str) -> None:
    world = World()
    record = world.add("a", "untold", tags=tags)
    world.index[f"arn:{record.id}"] = ours("a", "untold")

    assert refused(world, Untold) == (f"a#1 {owner}; it was not deleted", "check its tags, then re-run this command")
    assert world.changes == []


def test_the_owner_is_read_from_tags_of_a_listing_that_has_them(world: World) -> None:
    inventory = Inventory(world, "dev", (Thing,))
    a = Observed("a#1", tags=ours("a"))
    owned = Owned(Thing, a, "thing/a")

    inventory.check_owned(owned, a)
    with pytest.raises(NotOurs):
        inventory.check_owned(owned, replace(a, tags={}))


# the tag index


class Indexed(World):
    """A tag index that filters as the Resource Groups Tagging API does."""

    def _get_resources(self, **request: Any) -> Any:
        assert 1 <= request["ResourcesPerPage"] <= 100, "the API's limits"
        wanted = {part["Key"]: part.get("Values") for part in request["TagFilters"]}
        services = request.get("ResourceTypeFilters")
        mappings = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for arn, tags in self.index.items()
            if all(key in tags and (values is None or tags[key] in values) for key, values in wanted.items())
            and (services is None or arn.split(":")[2] in services)
        ]
        return {"ResourceTagMappingList": mappings}


@pytest.fixture
def indexed() -> Indexed:
    world = Indexed()
    region = "ap-southeast-2:1"
    for environment in ("dev", "prod"):
        tags = {"orderops:environment": environment, "orderops:address": f"ec2-vpc/{environment}"}
        world.index[f"arn:aws:ec2:{region}:vpc/{environment}"] = tags
    world.index[f"arn:aws:rds:{region}:db:test"] = {"orderops:environment": "test"}
    world.index[f"arn:aws:sqs:{region}:old"] = {"orderops:environment": "old", "orderops:address": "sqs-queue/old"}
    world.index[f"arn:aws:sqs:{region}:dev"] = {"orderops:environment": "dev", "orderops:address": "sqs-queue/dev"}
    world.index[f"arn:aws:sqs:{region}:other"] = {"team": "orders"}
    return world


def test_an_environment_exists_if_its_network_or_its_database_does(indexed: Indexed) -> None:
    assert environments_in_account(indexed) == {
        "dev": {"ec2-vpc/dev", "sqs-queue/dev"},
        "prod": {"ec2-vpc/prod"},
        "test": {"arn:aws:rds:ap-southeast-2:1:db:test"},
    }
    assert list(environments_in_account(indexed)) == ["dev", "prod", "test"]


@pytest.mark.parametrize("service", ["cloudwatch", "ecr", "elasticloadbalancing", "logs", "rds", "sns", "sqs"])
def test_the_index_answers_for_services_whose_listings_have_no_tags(service: str) -> None:
    arn = f"arn:aws:{service}:ap-southeast-2:1:a"

    class There(Untold):
        @classmethod
        def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
            yield Observed("a", {}, None, "a", arn, State.READY)

    world = Indexed()
    world.index[arn] = ours("a", "untold")
    world.index[arn.replace("1:a", "1:b")] = {**ours("a", "untold"), "orderops:environment": "prod"}

    [owned] = Inventory(world, "dev", (There,)).owned()

    assert (owned.address, owned.key) == ("untold/a", ("untold/a", "a"))
    assert owned.observed.tags == ours("a", "untold")
    assert not any(call.startswith("tags_of") for call in world.calls)


def test_twins_of_one_address_are_an_error_unless_they_are_going(world: World) -> None:
    inventory = Inventory(world, "dev", KINDS)
    assert inventory.get(WALL, {"Size": 1}) is not None
    going = world.add("w", "wall", tags=ours("w", "wall"))
    going.going = 10**6

    present = Inventory(world, "dev", KINDS).get(WALL, {"Size": 1})
    assert present and present.id == "w#2"
    going.going = None
    with pytest.raises(OrderopsError, match=r"^found 2 times: w#2, w#4$"):
        Inventory(world, "dev", KINDS).get(WALL, {"Size": 1})
