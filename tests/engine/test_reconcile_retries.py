"""Reconcile under trouble: slow resources, lagging reads, lost answers, throttling, reverted changes, interruptions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orderops.engine.reconcile import reconcile
from orderops.engine.step import Action
from orderops.engine.task import RecentWrites
from orderops.engine.waiting import ReconcileLimits
from orderops.errors import Meaning, Unfinished
from orderops.frozen import replace
from support.fake_aws import QUICK, Edition, Ended, Operator, Thing, World, ours
from support.faults import PowerCut

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


def test_reconcile_waits_until_a_new_resource_is_listed(world: World, operator: Operator) -> None:
    world.manners.unseen_after_create = 5

    assert operator.up(A)["a"].action is Action.CREATE
    assert world.changes == ["create a"]


def test_reconcile_waits_until_a_new_resource_is_ready(world: World, operator: Operator) -> None:
    world.manners.pending_after_create = 5

    operator.up(A)

    assert world.changes == ["create a"]
    assert world.called("a")[0].pending == 0


def test_settings_that_create_cannot_take_are_set_after_the_next_read(world: World, operator: Operator) -> None:
    world.manners.made_instead = {"Size": 1}
    world.manners.pending_after_create = 2

    assert operator.up(replace(A, size=4))["a"].action is Action.CREATE
    assert world.changes == ["create a", "update a"]
    assert world.called("a")[0].settings["Size"] == 4


def test_a_resource_that_disappears_before_its_update_is_reported_as_created(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))
    world.meets("update", "Busy")
    world.at["update"] = lambda name: world.things.pop(there.id, None)

    step = operator.up(replace(A, size=4))["a"]

    assert step.action is Action.CREATE
    assert world.called("a")[0].settings["Size"] == 4


def test_a_resource_replaced_by_an_update_is_reported_as_updated(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))
    world.at["update"] = lambda name: setattr(there, "going", 1)

    step = operator.up(replace(A, size=4))["a"]

    assert step.changes == {"Size": (1, 4)}
    assert world.called("a")[0].settings["Size"] == 4


def test_a_resource_being_deleted_is_created_again_once_it_is_gone(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 4

    assert operator.up(A)["a"].action is Action.CREATE
    assert len(world.called("a")) == 1


def test_a_create_with_a_lost_answer_makes_only_one_resource(world: World, operator: Operator) -> None:
    world.meets("create", "InternalFailure", meaning=Meaning.LOST, took=True)
    world.manners.unseen_after_create = 3

    operator.up(A)

    assert world.changes == ["create a"]


def test_a_lost_create_is_sent_again_only_once_reads_must_show_it(world: World, operator: Operator) -> None:
    world.meets("create", "InternalFailure", meaning=Meaning.LOST)

    operator.up(A)

    assert world.changes == ["create a", "create a"]
    looks = [call for call in world.calls if call in ("list a", "create a")]
    assert looks.index("create a") + 1 < len(looks) - 1 - looks[::-1].index("create a"), "it looked in between"


def test_a_create_that_is_always_lost_ends_with_its_error(world: World) -> None:
    for _ in range(50):
        world.meets("create", "InternalFailure", meaning=Meaning.LOST)

    with pytest.raises(Unfinished, match=r"the effect of a call whose answer was lost \(InternalFailure\)"):
        Operator(world, NO_PATIENCE).up(A)

    assert world.changes == ["create a"]


def test_a_resource_is_read_again_after_the_answer_to_its_update_was_lost(world: World, operator: Operator) -> None:
    operator.up(A)
    world.meets("update", "InternalFailure", meaning=Meaning.LOST, took=True)

    assert operator.up(replace(A, size=3))["a"].changes == {"Size": (1, 3)}
    assert world.changes == ["create a", "update a"]


@pytest.mark.parametrize("operation", ["list", "create"])
def test_throttled_calls_are_retried(world: World, operator: Operator, operation: str) -> None:
    for _ in range(3):
        world.meets(operation, "Throttling", meaning=Meaning.LATER)

    assert operator.up(A)["a"].action is Action.CREATE
    assert len(world.called("a")) == 1


def test_retryable_errors_of_a_kind_are_retried(world: World, operator: Operator) -> None:
    world.meets("create", "Busy")
    world.meets("create", "NotYet", text="The Role is not known here")

    operator.up(A)

    assert world.changes == ["create a"] * 3


@pytest.mark.parametrize(("code", "text"), [("AccessDenied", ""), ("NotYet", "something else"), ("Busyness", "")])
def test_other_errors_fail_at_once(world: World, operator: Operator, code: str, text: str) -> None:
    world.meets("create", code, text=text)

    with pytest.raises(Unfinished, match=f"fake.create: {code}"):
        operator.up(A)

    assert world.changes == ["create a"]


def test_a_retryable_error_that_lasts_too_long_is_raised(world: World) -> None:
    for _ in range(200):
        world.meets("create", "Busy", text="always")

    with pytest.raises(Unfinished, match=r"thing/a: fake\.create: Busy: always"):
        Operator(world, NO_PATIENCE).up(A)


def test_a_timeout_names_the_state_that_was_waited_for(world: World) -> None:
    world.manners.pending_after_create = 10**6

    with pytest.raises(Unfinished, match="still waiting for: it is pending, after") as raised:
        Operator(world, NO_PATIENCE).up(A)

    assert "continues from here" in raised.value.hint


def test_a_change_that_never_takes_effect_ends_with_its_name(world: World) -> None:
    world.add("a", tags=ours("a"))
    world.__dict__["_update"] = lambda **_: None

    with pytest.raises(Unfinished, match="still waiting for: update of Size sent"):
        Operator(world, NO_PATIENCE).up(replace(A, size=2))


def test_a_reverted_change_is_reported_with_its_reason_and_not_repeated(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.manners.rolls_back, world.manners.pending_after_update = True, 3

    with pytest.raises(Unfinished, match="Size was accepted and reverted by AWS: exited with 1"):
        operator.up(replace(A, size=2))

    assert world.changes == ["update a"]


def test_a_partly_reverted_change_is_not_repeated(world: World, operator: Operator) -> None:
    there = world.add("a", tags={**ours("a"), "Name": "else"})
    world.manners.rolls_back, world.manners.pending_after_update = True, 3

    with pytest.raises(Unfinished, match="Size was accepted"):
        operator.up(replace(A, size=2))

    assert there.tags == ours("a")
    assert world.changes == ["tag a", "update a"]


def test_a_reverted_change_without_a_readable_reason_is_reported(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.manners.rolls_back, world.manners.pending_after_update = True, 3
    world.meets("why", "AccessDenied")

    with pytest.raises(Unfinished, match=r"reverted by AWS: \(the reason is unknown: fake.why: AccessDenied\)"):
        operator.up(replace(A, size=2))


def test_a_create_with_a_failed_result_fails_at_once(world: World, operator: Operator) -> None:
    world.manners.pending_after_create = 2
    world.manners.made_instead = {"Ending": "ill"}

    with pytest.raises(Unfinished, match="Ending ended ill: exited with 1"):
        operator.up(Ended("a"))

    assert world.changes == ["create a"]


def test_a_change_that_failed_in_an_earlier_run_is_sent_once_more(world: World, operator: Operator) -> None:
    world.add("a", "ended", tags=ours("a", "ended"), Ending="ill")
    world.manners.pending_after_update = 2

    assert operator.up(Ended("a"))["a"].changes == {"Ending": ("ill", "well")}


def test_two_resources_with_one_address_are_an_error(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.add("a", tags=ours("a"))

    with pytest.raises(Unfinished, match="found 2 times: a#1, a#2"):
        operator.up(A)

    assert world.changes == []


def test_a_duplicate_that_is_being_deleted_is_ignored(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a")).going = 10**6
    world.add("a", tags=ours("a"))

    assert operator.up(A)["a"].action is Action.NO_OP


def test_the_wait_callback_gets_the_reason_of_each_wait(world: World) -> None:
    waits: list[str] = []
    world.manners.pending_after_create = 1
    inventory = Operator(world).inventory()

    list(reconcile([A], inventory, on_wait=lambda name, why: waits.append(f"{name} {why}".strip()), limits=QUICK))

    assert waits == ["thing/a", "thing/a create sent", "thing/a it is pending", "thing/a"]


@pytest.mark.parametrize("after", range(6))
def test_a_run_interrupted_at_any_call_is_completed_by_the_next(world: World, operator: Operator, after: int) -> None:
    calls = iter(range(10**6))

    def cut(name: str) -> None:
        if next(calls) >= after:
            raise PowerCut

    world.at.update(dict.fromkeys(("create", "update", "tag", "list"), cut))
    with pytest.raises(PowerCut):
        operator.up(replace(B, on=(A,)), A)
    world.at.clear()

    operator.up(replace(B, on=(A,)), A)

    assert {step.action for step in operator.up(replace(B, on=(A,)), A).values()} == {Action.NO_OP}
    assert (len(world.called("a")), len(world.called("b"))) == (1, 1)


def test_a_reverted_change_with_a_known_reason_has_its_hint(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.manners.rolls_back, world.manners.pending_after_update = True, 2
    world.why = "CannotPullContainerError: registry/order-processor:7: not found"

    with pytest.raises(Unfinished) as stopped:
        operator.up(replace(A, size=4))

    assert "the image is not in its repository" in stopped.value.message
    assert "CannotPullContainerError: registry/order-processor:7: not found" in stopped.value.message
    assert "orderops service build --env dev" in stopped.value.hint


def test_a_replacing_update_is_sent_once_even_if_reads_lag(world: World, operator: Operator) -> None:
    world.add("e", "edition", tags=ours("e", "edition"))
    world.manners.stale_after_update = 5

    operator.up(Edition("e", size=4))

    assert world.changes == ["update e"]


def test_a_repeatable_update_is_sent_again_until_reads_show_it(world: World, operator: Operator) -> None:
    world.add("a", tags=ours("a"))
    world.manners.stale_after_update = 2

    operator.up(replace(A, size=4))

    assert set(world.changes) == {"update a"}


def test_a_run_that_sent_a_change_waits_until_the_resource_has_settled(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))
    world.manners.unsettled_after_update = 5

    operator.up(replace(A, size=4))

    assert there.unsettled == 0
    assert world.changes == ["update a"]


def test_a_run_that_sent_nothing_does_not_wait_for_a_settling_resource(world: World, operator: Operator) -> None:
    there = world.add("a", tags=ours("a"))
    there.unsettled = 1_000_000

    assert operator.up(A)["a"].action is Action.NO_OP


def test_a_create_of_the_last_run_is_not_repeated_before_reads_must_show_it(world: World, operator: Operator) -> None:
    made = world.add("a", tags=ours("a"))
    made.unseen = 3
    operator.recent_writes = RecentWrites(unconfirmed={"thing/a": 60.0})

    operator.up(A, B)

    assert world.changes == ["create b"]


def test_an_unconfirmed_create_of_the_last_run_is_sent_once_reads_must_show_it(
    world: World, operator: Operator
) -> None:
    operator.recent_writes = RecentWrites(unconfirmed={"thing/a": 0.2})

    operator.up(A)

    assert world.changes == ["create a"]


def test_recent_creates_are_listed_at_the_end_of_a_run(world: World, operator: Operator) -> None:
    world.manners.unseen_after_create = 1_000_000
    operator.limits = NO_PATIENCE
    world.add("b", tags=ours("b"))

    with pytest.raises(Unfinished):
        operator.up(A, B)

    assert operator.recent_writes.within(timedelta(minutes=1)) == ["thing/a"]
    assert operator.recent_writes.within(timedelta(0)) == []


def test_a_refused_create_is_not_listed_as_recent(world: World, operator: Operator) -> None:
    world.meets("create", "AccessDenied")

    with pytest.raises(Unfinished):
        operator.up(A)

    assert operator.recent_writes.created == {}
