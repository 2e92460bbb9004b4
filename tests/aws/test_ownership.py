"""Whose a thing is."""

from __future__ import annotations

import pytest

from orderops.aws.ownership import Owner, Ownership, Tags, from_pairs, to_pairs

WHOLE = Ownership("dev")
ONE = Ownership("dev", "sqs-queue/orderops-dev-orders", "orderops-dev-orders", {"team": "shop"})
TAGS = {
    "Name": "orderops-dev-orders",
    "orderops:environment": "dev",
    "orderops:address": "sqs-queue/orderops-dev-orders",
    "team": "shop",
}
STANDINGS: dict[str, tuple[Tags, Owner]] = {
    "our environment and address": (TAGS, Owner.OWNED),
    "our environment, the address lost": ({"orderops:environment": "dev"}, Owner.OWNED),
    "no tags": ({}, Owner.ADOPTABLE),
    "other people's tags": ({"Name": "orderops-dev-orders"}, Owner.ADOPTABLE),
    "another environment": ({**TAGS, "orderops:environment": "prod"}, Owner.FOREIGN),
    "another address": ({**TAGS, "orderops:address": "sqs-queue/other"}, Owner.FOREIGN),
}


@pytest.mark.parametrize(("tags", "standing"), STANDINGS.values(), ids=STANDINGS.keys())
def test_tags_say_whose_a_thing_is(tags: Tags, standing: Owner) -> None:
    assert ONE.owner(tags) is standing


def test_what_we_make_is_ours() -> None:
    assert ONE.tags == TAGS
    assert ONE.owner(ONE.tags) is Owner.OWNED
    assert from_pairs(ONE.pairs) == TAGS


def test_no_extra_tag_can_hide_whose_it_is() -> None:
    owner = Ownership("dev", "a/b", "b", {"orderops:environment": "prod", "orderops:address": "x", "Name": "y"})

    assert owner.tags == {"orderops:environment": "dev", "orderops:address": "a/b", "Name": "b"}


def test_the_whole_environment_is_sought_by_how_names_begin_and_one_by_its_name() -> None:
    assert (WHOLE.prefix, ONE.prefix) == ("orderops-dev-", "orderops-dev-orders")
    assert WHOLE.path() == "/orderops/dev/"
    assert WHOLE.path("orderops/{}/") == "orderops/dev/"
    assert ONE.path() == "orderops-dev-orders"


def test_ec2_is_asked_for_our_tags() -> None:
    environment = {"Name": "tag:orderops:environment", "Values": ["dev"]}

    assert WHOLE.filters == [environment]
    assert ONE.filters == [environment, {"Name": "tag:orderops:address", "Values": [ONE.address]}]


def test_aws_own_tags_and_missing_values_are_no_trouble() -> None:
    told = [{"Key": "aws:cloudformation:stack", "Value": "x"}, {"Key": "empty"}, {"Key": "a", "Value": "b"}]

    assert from_pairs(told) == {"empty": "", "a": "b"}
    assert from_pairs(None) == {}


def test_pairs_come_in_an_order_that_never_changes() -> None:
    assert to_pairs({"b": "2", "a": "1"}, "key", "value") == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]


def test_what_keeps_no_tags_is_ours_by_its_name() -> None:
    assert WHOLE.named("autoscaling-target", "orderops-dev-x") == {
        "orderops:environment": "dev",
        "orderops:address": "autoscaling-target/orderops-dev-x",
    }
