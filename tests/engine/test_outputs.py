"""What resources offer to others: before they exist, and what is not known yet."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Output, Outputs, PendingChange, unknown_in
from orderops.engine.twins import identities
from orderops.frozen import Frozen
from support.fake_aws import Operator, Thing, World, ours

UNKNOWN = "(known after apply)"
A = Thing("a", size=7)


class Named(Thing):
    """AWS builds its ARN from its name."""

    arn_form: ClassVar[str] = "arn:{partition}:sqs:{region}:{account}:{name}/{resource.size}"


def test_a_resource_that_exists_offers_what_was_observed() -> None:
    outputs = Outputs()
    outputs[A] = Observed("a#1", {"Size": 7})

    assert (outputs[A].id, A in outputs, Thing("b") in outputs) == ("a#1", True, False)


def test_a_resource_that_does_not_exist_offers_only_its_name_and_the_arn_that_follows_from_it() -> None:
    named = Named("a", size=7)

    assert (Outputs()[A].id, Outputs()[A].arn, Outputs()[A].name) == (UNKNOWN, UNKNOWN, "a")
    assert Outputs()[A].properties["Anything"] == UNKNOWN
    assert Outputs("cn-north-1", "123")[named].arn == "arn:aws-cn:sqs:cn-north-1:123:a/7"
    assert Outputs("cn-north-1", "123")[A].arn == UNKNOWN
    assert Outputs("cn-north-1", "")[named].arn == UNKNOWN


def test_an_output_is_an_id_an_arn_or_a_property_in_its_form() -> None:
    outputs = Outputs()
    outputs[A] = Observed("a#1", {"Size": 7, "Policy": None}, arn="arn:a")

    assert Output(A, "id").read(outputs) == "a#1"
    assert Output(A, "arn", "{}/*").read(outputs) == "arn:a/*"
    assert Output(A, "Size").read(outputs) == "7"
    assert Output(A, "Policy").read(outputs) == UNKNOWN
    assert Output(A, "Missing", "<{}>").read(outputs) == f"<{UNKNOWN}>"


def test_what_aws_holds_back_is_offered_by_address() -> None:
    outputs = Outputs()
    held = PendingChange("Class", "Class 1 -> 2", Effect.INTERRUPTS, "the maintenance window", "aws rds …")
    outputs[A], outputs[Thing("b")] = Observed("a#1", pending=(held,)), Observed("b#1")

    assert outputs.pending == {"thing/a": (held,)}
    assert held.to_dict() == {
        "what": "Class 1 -> 2",
        "class": "interrupts",
        "until": "the maintenance window",
        "command": "aws rds …",
    }


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        (UNKNOWN, True),
        (f"arn:{UNKNOWN}/*", True),
        ({"a": [1, (UNKNOWN,)]}, True),
        ({UNKNOWN: 1}, False),
        (["a", 1, None], False),
        ({}, False),
    ],
)
def test_a_value_is_unknown_if_any_part_of_it_is(value: Any, unknown: bool) -> None:
    assert unknown_in(value) is unknown


def test_effects_are_ranked_by_their_harm() -> None:
    ranked = [Effect.SAFE, Effect.RESTARTS, Effect.INTERRUPTS, Effect.REPLACES, Effect.LOSES]

    assert sorted(Effect, key=lambda effect: effect.weight) == ranked


class Rule(Frozen):
    """A value of a resource that holds others."""

    targets: tuple[Thing, ...] = ()
    by_name: Any = None


class Holder(Thing):
    rule: Rule | None = None
    kind_of: type[Rule] = Rule


def test_resources_anywhere_in_the_fields_of_a_resource_are_needed() -> None:
    b, c, d = Thing("b"), Thing("c"), Thing("d")
    holder = Holder("a", on=(b,), rule=Rule((c,), {"x": [d]}))

    assert [need.name for need in holder.needs()] == ["b", "c", "d"]


def test_a_name_rule_counts_the_excess_and_checks_the_whole_name() -> None:
    rule = NameRule(3, "[a-z]+", "letters")

    assert (rule.excess("abcde"), rule.excess("abc"), rule.excess("")) == (2, 0, 0)
    assert [rule.allows(name) for name in ("abc", "ab1", "1ab", "")] == [True, False, False, False]


def test_owned_resources_are_meant_by_name_id_or_kind_and_name() -> None:
    world = World()
    world.add("queue", tags=ours("queue"))
    [owned] = Operator(world).inventory().owned()

    assert identities([owned]) == ["queue"]
    assert all(owned.is_named_by([name, "x"]) for name in ("queue", "queue#1", "thing/queue"))
    assert not owned.is_named_by(["thing", "queu", "base/queue"])
    assert not owned.is_named_by([])
