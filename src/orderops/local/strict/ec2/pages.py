"""Pagination of EC2 listings, which moto returns whole."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.xml import edited, set_child

LIST_ELEMENTS = {
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
# Bounds of MaxResults, which all these operations share.
MIN_RESULTS, MAX_RESULTS = 5, 1000
TOKEN_PREFIX = "page-"


def register(emulator: Emulator, _delays: Delays) -> None:
    """Return long listings page by page."""
    for action in LIST_ELEMENTS:
        emulator.on_before("ec2", action, _check_page)
        emulator.on_after("ec2", action, _page)


def _check_page(request: Request) -> None:
    size, token = request.form.get("MaxResults"), request.form.get("NextToken")
    if size and not MIN_RESULTS <= int(size) <= MAX_RESULTS:
        raise ApiError(
            "InvalidParameterValue",
            f"Value ( {size} ) for parameter maxResults is invalid. "
            f"Expecting a value between {MIN_RESULTS} and {MAX_RESULTS}.",
        )
    if token and not token.removeprefix(TOKEN_PREFIX).isdigit():
        raise ApiError("InvalidNextToken", f"The token '{token}' is invalid")


def _page(request: Request, response: Response) -> Response | None:
    size, token = int(request.form.get("MaxResults", MAX_RESULTS)), request.form.get("NextToken", "")
    first = int(token.removeprefix(TOKEN_PREFIX) or 0)
    name = LIST_ELEMENTS[request.action]

    def trim(root: Element) -> None:
        items_element = root.find(name)
        if items_element is None:
            return
        items = list(items_element)
        for item in (*items[:first], *items[first + size :]):
            items_element.remove(item)
        if len(items) > first + size:
            set_child(root, "nextToken", f"{TOKEN_PREFIX}{first + size}")

    fits = not token and "MaxResults" not in request.form and response.body.count(b"<item>") <= MAX_RESULTS
    return None if fits else edited(response, trim)
