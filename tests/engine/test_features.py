"""Notes of features: which kinds of resources are looked for in an environment."""

from __future__ import annotations

import pytest

from orderops.engine.features import Feature, FeatureNotes, notes

FIREWALL = Feature("wafv2", ":wafv2:")
DETECTORS = Feature("anomaly-detection")
ACL = "arn:aws:wafv2:ap-southeast-2:123456789012:regional/webacl/orderops-dev-firewall/1"
QUEUE = "arn:aws:sqs:ap-southeast-2:123456789012:orderops-dev-queue"


def noted(*networks: dict[str, str], declared: tuple[str, ...] = (), indexed: tuple[str, ...] = ()) -> FeatureNotes:
    return FeatureNotes(lambda: networks, lambda: declared, lambda: indexed)


def test_complete_notes_name_what_there_may_be() -> None:
    dev = noted(notes(["wafv2"], complete=True))

    assert dev.may_have(FIREWALL)
    assert not dev.may_have(DETECTORS)


@pytest.mark.parametrize(
    "networks",
    [(), ({},), (notes(["acm"], complete=False),), (notes([], complete=True), {})],
    ids=["no network", "not noted", "in part", "a second network"],
)
def test_without_complete_notes_there_may_be_everything(networks: tuple[dict[str, str], ...]) -> None:
    assert noted(*networks).may_have(FIREWALL)
    assert noted(*networks).may_have(DETECTORS)


def test_there_may_be_what_is_declared_and_what_the_index_has_whatever_is_noted() -> None:
    network = notes([], complete=True)

    assert noted(network, declared=("wafv2",)).may_have(FIREWALL)
    assert noted(network, indexed=(QUEUE, ACL)).may_have(FIREWALL)
    assert not noted(network, indexed=(QUEUE,)).may_have(FIREWALL)
    assert not noted(network, indexed=(QUEUE, ACL)).may_have(DETECTORS), "its resources have no ARN"


def test_a_note_is_a_tag_of_its_own_so_that_none_is_lost_when_another_one_is_set() -> None:
    assert notes(["wafv2", "acm"], complete=False) == {
        "orderops:features:acm": "noted",
        "orderops:features:wafv2": "noted",
    }
    assert notes([], complete=True) == {"orderops:features": "complete"}
