"""VPC links: pending for a while, with interfaces in their subnets, and gone a while after their deletion."""

from __future__ import annotations

import time
from functools import partial

from orderops.local.apigateway.store import Json, link_records, link_status, new_id
from orderops.local.emulator.protocol import Request, Response
from orderops.local.strict.apigatewayv2.answers import answer, bad, given, listed, not_found, now, segments
from orderops.local.strict.interfaces import backend

MESSAGES = {
    "PENDING": "VPC link is provisioning resources",
    "AVAILABLE": "VPC link is ready to route traffic",
    "DELETING": "VPC link is being deleted",
    "INACTIVE": "VPC link is inactive, since no traffic passed it for 60 days",
}


def create_link(seconds: float, request: Request) -> Response:
    sent = given(request)
    name, subnets, groups = sent.get("name", ""), sent.get("subnetIds", []), sent.get("securityGroupIds", [])
    if not 1 <= len(name) <= 128:
        raise bad("The name of a VPC link has 1 to 128 characters")
    _check_network(request.region, subnets, groups)
    # Two links may have one name: AWS declares no conflict for this call.
    link = {
        "vpcLinkId": new_id(6),
        "name": name,
        "subnetIds": subnets,
        "securityGroupIds": groups,
        "tags": sent.get("tags", {}),
        "createdDate": now(),
        "vpcLinkVersion": "V2",
        "_ready_at": time.time() + seconds,
        "_takes": seconds,
    }
    link_records(request.region)[link["vpcLinkId"]] = link
    return answer(_described(link), 201)


def get_link(request: Request) -> Response:
    return answer(_described(_link(request)))


def get_links(request: Request) -> Response:
    return listed(request, [_described(link) for link in link_records(request.region).values()])


def update_link(request: Request) -> Response:
    """Change the name, and nothing else."""
    link, sent = _link(request), given(request)
    link["name"] = sent.get("name", link["name"])
    return answer(_described(link))


def delete_link(request: Request) -> Response:
    """Accept the deletion also while an integration uses the link, as AWS does."""
    link = _link(request)
    link.setdefault("_gone_at", time.time() + link["_takes"])
    return answer({}, 202)


create_ready_link = partial(create_link, 0.0)


def _described(link: Json) -> Json:
    status = link_status(link)
    return {**link, "vpcLinkStatus": status, "vpcLinkStatusMessage": MESSAGES[status]}


def _link(request: Request) -> Json:
    id = segments(request)[1]
    if id not in link_records(request.region):
        raise not_found("VpcLink", id)
    return link_records(request.region)[id]


def _check_network(region: str, subnets: list[str], groups: list[str]) -> None:
    ec2 = backend("ec2", region)
    known = {subnet.id: subnet.vpc_id for subnet in ec2.describe_subnets()}
    if not subnets or any(id not in known for id in subnets):
        raise bad("Subnets are required, and must exist")
    networks = {known[id] for id in subnets}
    found = [ec2.get_security_group_from_id(id) for id in groups]
    if len(networks) > 1 or any(group is None or group.vpc_id not in networks for group in found):
        raise bad("Subnets and security groups must exist in one VPC")
