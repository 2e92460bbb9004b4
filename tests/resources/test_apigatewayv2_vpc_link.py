"""VPC links."""

from __future__ import annotations

import json

import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.resource import State
from orderops.engine.step import Action
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.resources.apigatewayv2_vpc_link import Apigatewayv2VpcLink
from support.contract import Up, keeps_its_promises
from support.declared_api import LINK
from support.fake_answers import AnsweredSession
from support.faults import Fault


@pytest.fixture
def aws(strict_aws: Aws) -> Aws:
    return strict_aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(LINK, aws, up)


def test_a_name_changed_by_hand_is_set_back(aws: Aws, up: Up) -> None:
    up(LINK)
    [link] = aws.apigatewayv2.get_vpc_links()["Items"]
    aws.apigatewayv2.update_vpc_link(VpcLinkId=link["VpcLinkId"], Name="other")

    assert up(LINK)[LINK.address].changes == {"Name": ("other", LINK.name)}
    assert up(LINK)[LINK.address].action is Action.NO_OP


def test_other_subnets_need_a_new_link(aws: Aws, up: Up) -> None:
    up(LINK)

    step = up(replace(LINK, subnets=LINK.subnets[:1]), dry_run=True)[LINK.address]

    assert isinstance(step.error, OrderopsError)
    assert "SubnetIds cannot be changed" in step.error.message


def test_a_link_whose_answer_was_lost_is_found_by_its_tags_and_not_made_again(
    aws: Aws, up: Up, lose_answer: Fault
) -> None:
    up(LINK.security_groups[0], *LINK.subnets)

    with lose_answer("apigatewayv2", "CreateVpcLink"):
        up(LINK)

    assert len(aws.apigatewayv2.get_vpc_links()["Items"]) == 1


def test_every_page_of_links_is_read() -> None:
    pages = [
        (200, json.dumps({"items": [_raw("one")], "nextToken": "more"})),
        (200, json.dumps({"items": [_raw("two")]})),
    ]

    found = list(Apigatewayv2VpcLink.listing(AnsweredSession(*pages).aws, Ownership("dev")))

    assert [link.id for link in found] == ["one", "two"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", State.PENDING),
        ("AVAILABLE", State.READY),
        ("INACTIVE", State.READY),
        ("FAILED", State.FAILED),
        ("DELETING", State.GOING),
    ],
)
def test_each_status_of_aws_is_known(status: str, state: State) -> None:
    page = json.dumps({"items": [{**_raw("one"), "vpcLinkStatus": status, "vpcLinkStatusMessage": "why"}]})

    [found] = Apigatewayv2VpcLink.listing(AnsweredSession((200, page)).aws, Ownership("dev"))

    assert (found.state, found.status) == (state, f"{status.lower()}: why")


def _raw(id: str) -> dict[str, object]:
    return {"vpcLinkId": id, "name": "x", "tags": {"orderops:environment": "dev"}}
