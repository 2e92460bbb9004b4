"""Ownership tags."""

from __future__ import annotations

import pytest

from orderops.aws.ownership import Owner, Ownership, Tags, from_pairs, to_pairs

ENVIRONMENT = Ownership("dev")
RESOURCE = Ownership("dev", "sqs-queue/orderops-dev-orders", "orderops-dev-orders", {"team": "shop"})
TAGS = {
    "Name": "orderops-dev-orders",
    "orderops:environment": "dev",
    "orderops:address": "sqs-queue/orderops-dev-orders",
    "team": "shop",
}
OWNERS: dict[str, tuple[Tags, Owner]] = {
    "same environment and address": (TAGS, Owner.OWNED),
    "same environment, address lost": ({"orderops:environment": "dev"}, Owner.OWNED),
    "no tags": ({}, Owner.ADOPTABLE),
    "only tags of others": ({"Name": "orderops-dev-orders"}, Owner.ADOPTABLE),
    "another environment": ({**TAGS, "orderops:environment": "prod"}, Owner.FOREIGN),
    "another address": ({**TAGS, "orderops:address": "sqs-queue/other"}, Owner.FOREIGN),
}


@pytest.mark.parametrize(("tags", "owner"), OWNERS.values(), ids=OWNERS.keys())
def test_tags_decide_who_owns_a_resource(tags: Tags, owner: Owner) -> None:
    assert RESOURCE.owner(tags) is owner


def test_a_created_resource_is_owned() -> None:
    assert RESOURCE.tags == TAGS
    assert RESOURCE.owner(RESOURCE.tags) is Owner.OWNED
    assert from_pairs(RESOURCE.pairs) == TAGS


def test_an_extra_tag_cannot_replace_an_ownership_tag() -> None:
    ownership = Ownership("dev", "a/b", "b", {"orderops:environment": "prod", "orderops:address": "x", "Name": "y"})

    assert ownership.tags == {"orderops:environment": "dev", "orderops:address": "a/b", "Name": "b"}


def test_an_environment_is_found_by_name_prefix_and_a_resource_by_its_name() -> None:
    assert (ENVIRONMENT.prefix, RESOURCE.prefix) == ("orderops-dev-", "orderops-dev-orders")
    assert ENVIRONMENT.path() == "/orderops/dev/"
    assert ENVIRONMENT.path("orderops/{}/") == "orderops/dev/"
    assert RESOURCE.path() == "orderops-dev-orders"


def test_ec2_filters_select_the_ownership_tags() -> None:
    environment = {"Name": "tag:orderops:environment", "Values": ["dev"]}
    address = {"Name": "tag:orderops:address", "Values": ["sqs-queue/orderops-dev-orders"]}

    assert ENVIRONMENT.filters == [environment]
    assert RESOURCE.filters == [environment, address]


def test_tags_of_aws_are_left_out_and_a_missing_value_is_empty() -> None:
    pairs = [{"Key": "aws:cloudformation:stack", "Value": "x"}, {"Key": "empty"}, {"Key": "a", "Value": "b"}]

    assert from_pairs(pairs) == {"empty": "", "a": "b"}
    assert from_pairs(None) == {}


def test_pairs_are_sorted_by_key() -> None:
    assert to_pairs({"b": "2", "a": "1"}, "key", "value") == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]


def test_a_resource_without_tags_is_owned_by_its_name() -> None:
    assert ENVIRONMENT.named("autoscaling-target", "orderops-dev-x") == {
        "orderops:environment": "dev",
        "orderops:address": "autoscaling-target/orderops-dev-x",
    }
