"""Listings in pages: who asks for so many at a time gets so many, and a token for the rest."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.xml import edited, put

LISTS = {
    "DescribeFlowLogs": "flowLogSet",
    "DescribeInternetGateways": "internetGatewaySet",
    "DescribeNatGateways": "natGatewaySet",
    "DescribeNetworkInterfaces": "networkInterfaceSet",
    "DescribeRouteTables": "routeTableSet",
    "DescribeSecurityGroupRules": "securityGroupRuleSet",
    "DescribeSecurityGroups": "securityGroupInfo",
    "DescribeSubnets": "subnetSet",
    "DescribeVpcs": "vpcSet",
}
FEWEST, MOST = 5, 1000
MARK = "page-"


def take_part(emulator: Emulator, _pace: Delays) -> None:
    """Give out long listings piece by piece."""
    for action in LISTS:
        emulator.on_before("ec2", action, _is_a_page)
        emulator.on_after("ec2", action, _page)


def _is_a_page(call: Request) -> None:
    size, token = call.form.get("MaxResults"), call.form.get("NextToken")
    if size and not FEWEST <= int(size) <= MOST:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between {FEWEST} and {MOST}.",
        )
    if token and not token.removeprefix(MARK).isdigit():
        raise ApiError("InvalidNextToken", f"The token '{token}' is invalid")


def _page(call: Request, answer: Response) -> Response | None:
    size, token = int(call.form.get("MaxResults", MOST)), call.form.get("NextToken", "")
    first = int(token.removeprefix(MARK) or 0)
    name = LISTS[call.action]

    def cut(root: Element) -> None:
        listed = root.find(name)
        if listed is None:
            return
        items = list(listed)
        for item in (*items[:first], *items[first + size :]):
            listed.remove(item)
        if len(items) > first + size:
            put(root, "nextToken", f"{MARK}{first + size}")

    few = not token and "MaxResults" not in call.form and answer.body.count(b"<item>") <= MOST
    return None if few else edited(answer, cut)
