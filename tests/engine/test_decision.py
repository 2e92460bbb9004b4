"""The decision: which step follows from what is observed and what is desired, and what it is refused for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from orderops.aws.ownership import Ownership
from orderops.engine.decision import decide
from orderops.engine.resource import Effect, Observed, PendingChange, Resource, State
from orderops.engine.step import Action, Step
from orderops.errors import NotOurs, OrderopsError, ReplacementRequired
from orderops.frozen import replace
from support.fake_aws import Thing, ours

OWNER = Ownership("dev", "thing/a", "a")
SETTINGS = {"Size": 1, "Shape": "round"}
FOUND = Observed("a#1", SETTINGS, ours("a"), "a")
A = Thing("a")


class Effective(Thing):
    """Changes of its properties have effects; while `Slow` changes, AWS holds everything back."""

    effects: ClassVar[Mapping[str, Effect]] = {"Class": Effect.INTERRUPTS, "Image": Effect.RESTARTS}

    def leaves_pending(self, changes: Mapping[str, tuple[Any, Any]]) -> bool:
        return "Slow" in changes


def refused(step: Step) -> tuple[str, str]:
    assert step.error
    return step.error.message, step.error.hint


@pytest.mark.parametrize("found", [None, replace(FOUND, state=State.GOING)], ids=["absent", "being deleted"])
def test_what_does_not_exist_is_created_with_what_is_wanted(found: Observed | None) -> None:
    step = decide(A, found, {**SETTINGS, "Policy": None}, OWNER)

    assert step == Step("thing/a", Action.CREATE, {"Size": (None, 1), "Shape": (None, "round")})


def test_what_is_as_desired_is_left_alone() -> None:
    # Properties that the environment does not set are not compared.
    found = replace(FOUND, properties={**SETTINGS, "Policy": "by hand"})

    assert decide(A, found, SETTINGS, OWNER) == Step("thing/a", Action.NO_OP)


def test_what_differs_is_updated() -> None:
    step = decide(A, FOUND, {**SETTINGS, "Size": 2, "Policy": "p"}, OWNER)

    assert step == Step("thing/a", Action.UPDATE, {"Size": (1, 2), "Policy": (None, "p")})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (replace(FOUND, state=State.FAILED, status="incompatible-network"), "a#1 is incompatible-network"),
        (replace(FOUND, state=State.FAILED), "a#1 is failed"),
        (replace(FOUND, state=State.FAILED, id=""), "a is failed"),
    ],
)
def test_what_aws_reports_as_failed_is_not_changed(found: Observed, message: str) -> None:
    step = decide(A, found, {**SETTINGS, "Size": 2}, OWNER)

    assert (step.action, step.changes) == (Action.UPDATE, {})
    assert refused(step) == (
        message,
        "fix the cause, then re-run this command; or, only if it holds no data, delete it to have it created again: "
        "orderops down --only thing/a --env dev",
    )


# owners


def test_what_has_no_owner_is_taken_over_only_if_it_is_named() -> None:
    found = replace(FOUND, tags={"team": "orders"})
    tags = {"Tags": (dict.fromkeys(ours("a")), ours("a"))}

    assert refused(decide(A, found, SETTINGS, OWNER)) == (
        "a#1 exists and has no owner",
        "review it, then take it over: --adopt thing/a",
    )
    assert isinstance(decide(A, found, SETTINGS, OWNER).error, NotOurs)
    assert decide(A, found, SETTINGS, OWNER, adopt=True) == Step("thing/a", Action.ADOPT, tags)
    assert decide(A, replace(found, tags=None), SETTINGS, OWNER, adopt=True) == Step("thing/a", Action.ADOPT, tags)


def test_what_aws_makes_by_itself_is_taken_over_without_being_named() -> None:
    class Made(Thing):
        made_by_aws: ClassVar[bool] = True

    assert decide(Made("a"), replace(FOUND, tags={}), SETTINGS, OWNER).error is None


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        ({"orderops:environment": "prod", "orderops:address": "thing/a"}, "prod thing/a"),
        ({"orderops:environment": "prod"}, "prod"),
        ({"orderops:environment": "dev", "orderops:address": "thing/b"}, "dev thing/b"),
    ],
)
def test_what_belongs_to_another_owner_is_refused_even_if_it_is_named(tags: dict[str, str], owner: str) -> None:
    step = decide(A, replace(FOUND, tags=tags), SETTINGS, OWNER, adopt=True)

    assert refused(step) == (
        f"a#1 belongs to {owner}",
        "two resources share a name or a place: change one of them",
    )


def test_missing_and_changed_tags_are_set_and_others_stay() -> None:
    tags = {**ours("a"), "Name": "renamed", "team": "orders"}

    step = decide(A, replace(FOUND, tags=tags), SETTINGS, OWNER)

    assert step == Step("thing/a", Action.UPDATE, {"Tags": ({"Name": "renamed"}, {"Name": "a"})})


def test_a_kind_without_tags_is_ours_by_its_name_and_gets_none() -> None:
    class Untagged(Thing):
        untagged: ClassVar[bool] = True

    assert decide(Untagged("a"), replace(FOUND, tags=None), SETTINGS, OWNER) == Step("thing/a", Action.NO_OP)


# refused changes


def test_an_immutable_property_is_refused_with_the_way_back_and_the_way_on() -> None:
    step = decide(A, FOUND, {**SETTINGS, "Shape": "square"}, OWNER)

    assert isinstance(step.error, ReplacementRequired)
    assert refused(step) == (
        "Shape cannot be changed on an existing resource (observed 'round', desired 'square')",
        "set it back to 'round', or: orderops down --only thing/a --env dev",
    )
    assert (step.effect, step.changes) == (Effect.REPLACES, {"Shape": ("round", "square")})


def test_a_change_that_would_lose_data_is_refused() -> None:
    step = decide(A, replace(FOUND, properties={**SETTINGS, "Size": 5}), SETTINGS, OWNER)

    assert refused(step)[0] == "Size would lose data (observed 5, desired 1)"
    assert step.effect is Effect.LOSES


def test_a_kind_can_say_what_to_do_instead_of_a_change() -> None:
    class Hinted(Thing):
        replacement_hint: ClassVar[str] = "copy it first, then {remove}"

    step = decide(Hinted("a"), FOUND, {**SETTINGS, "Shape": "square"}, OWNER)

    assert refused(step)[1] == "copy it first, then orderops down --only thing/a --env dev"


def test_a_kind_can_refuse_a_change_in_its_own_words() -> None:
    class Refusing(Thing):
        def refusal(self, observed: Observed, key: str, desired: Any, environment: str) -> OrderopsError | None:
            words = f"{key} of {observed.id} in {environment}: {desired}"
            return OrderopsError(words, "wait") if key == "Size" else None

    step = decide(Refusing("a"), FOUND, {"Shape": "round", "Size": 2}, OWNER)

    assert refused(step) == ("Size of a#1 in dev: 2", "wait")


def test_changed_tags_do_not_hide_a_refused_property() -> None:
    step = decide(A, replace(FOUND, tags={**ours("a"), "Name": "b"}), {**SETTINGS, "Shape": "square"}, OWNER)

    assert refused(step)[0].startswith("Shape cannot be changed")


# effects


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        ({"Other": 1}, Effect.SAFE),
        ({"Image": 1, "Other": 1}, Effect.RESTARTS),
        ({"Class": 1, "Image": 1}, Effect.INTERRUPTS),
        ({"Image": 1, "Class": 1, "Other": 1}, Effect.INTERRUPTS),
    ],
)
def test_a_step_has_the_worst_effect_of_its_changes(changes: dict[str, Any], effect: Effect) -> None:
    step = decide(Effective("a"), replace(FOUND, tags={**ours("a"), "Name": "b"}), {**SETTINGS, **changes}, OWNER)

    assert step.effect is effect


def pending(key: str, effect: Effect = Effect.SAFE, *, sent_along: bool = True) -> PendingChange:
    return PendingChange(key, f"{key} 1 -> 2", effect, "the maintenance window", "aws …", sent_along)


CLASS, REBOOT = pending("Class", Effect.INTERRUPTS), pending("Reboot", Effect.INTERRUPTS, sent_along=False)


@pytest.mark.parametrize(
    ("desired", "carried", "left", "effect"),
    [
        ({}, (), (CLASS, REBOOT), Effect.SAFE),
        ({"Other": 1}, (CLASS,), (REBOOT,), Effect.INTERRUPTS),
        ({"Class": 3}, (), (REBOOT,), Effect.INTERRUPTS),
        ({"Other": 1, "Slow": 1}, (), (CLASS, REBOOT), Effect.SAFE),
        ({"Class": 3, "Slow": 1}, (), (REBOOT,), Effect.INTERRUPTS),
    ],
    ids=["nothing sent", "sent along", "replaced", "all held back", "replaced and held back"],
)
def test_a_change_carries_out_what_aws_holds_back_unless_it_replaces_that(
    desired: dict[str, Any],
    carried: tuple[PendingChange, ...],
    left: tuple[PendingChange, ...],
    effect: Effect,
) -> None:
    found = replace(FOUND, pending=(CLASS, REBOOT))

    step = decide(Effective("a"), found, {**SETTINGS, **desired}, OWNER)

    assert (step.carried, step.pending, step.effect) == (carried, left, effect)


def test_changed_tags_carry_out_nothing_that_aws_holds_back() -> None:
    found = replace(FOUND, pending=(CLASS,), tags={**ours("a"), "Name": "b"})

    step = decide(Effective("a"), found, SETTINGS, OWNER)

    assert (step.carried, step.pending) == ((), (CLASS,))


def test_a_refused_change_leaves_everything_pending() -> None:
    step = decide(Effective("a"), replace(FOUND, pending=(CLASS, REBOOT)), {**SETTINGS, "Shape": "square"}, OWNER)

    assert (step.carried, step.pending) == ((), (CLASS, REBOOT))


def test_resources_of_a_kind_have_its_name_in_their_address() -> None:
    kinds: list[Resource] = [A, Effective("b")]

    assert [resource.address for resource in kinds] == ["thing/a", "thing/b"]
