"""Resource Groups Tagging API: adds what moto leaves out, such as listeners, firewalls and HTTP APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.apigateway.store import api_records, domain_records, link_records
from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

Tags = dict[str, str]


def register(emulator: Emulator, delays: Delays) -> None:
    """Answer for every kind of resource that AWS indexes and orderops creates."""
    emulator.on_after("tagging", "GetResources", _add_missing)


def _add_missing(request: Request, response: Response) -> Response | None:
    """Append the missing resources to moto's last page."""
    document, parameters = json.loads(response.body), request.json
    # Not the last page yet.
    if document.get("PaginationToken"):
        return None
    known = {mapping["ResourceARN"] for mapping in document["ResourceTagMappingList"]}
    for kind, arn, tags in _missing_from_moto(request.region):
        if arn not in known and _matches(parameters, kind, arn, tags):
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            document["ResourceTagMappingList"].append({"ResourceARN": arn, "Tags": pairs})
    return Response(response.status, json.dumps(document).encode(), response.headers)


def _missing_from_moto(region: str) -> Iterator[tuple[str, str, Tags]]:
    ecr, rds, elb = (get_backend(name)[DEFAULT_ACCOUNT_ID][region] for name in ("ecr", "rds", "elbv2"))
    for repository in ecr.repositories.values():
        yield "ecr:repository", repository.arn, ecr.tagger.get_tag_dict_for_resource(repository.arn)
    for kind, groups in {"rds:subgrp": rds.subnet_groups, "rds:pg": rds.db_parameter_groups}.items():
        for group in groups.values():
            yield kind, group.arn, {tag["Key"]: tag["Value"] for tag in group.get_tags()}
    wafv2 = get_backend("wafv2")[DEFAULT_ACCOUNT_ID][region]
    for kind, ones in {"wafv2:regional/webacl": wafv2.wacls, "wafv2:regional/ipset": wafv2.ip_sets}.items():
        for one in ones.values():
            yield kind, one.arn, wafv2.tagging_service.get_tag_dict_for_resource(one.arn)
    yield from _of_api_gateway(region)
    for balancer in elb.load_balancers.values():
        for listener in balancer.listeners.values():
            for arn in (listener.arn, *(rule.arn for rule in listener.rules.values())):
                kind = f"elasticloadbalancing:{arn.rpartition(':')[2].partition('/')[0]}"
                yield kind, arn, elb.tagging_service.get_tag_dict_for_resource(arn)


def _of_api_gateway(region: str) -> Iterator[tuple[str, str, Tags]]:
    api_arn = f"arn:{get_partition(region)}:apigateway:{region}:"
    for id, record in api_records(region).items():
        yield "apigateway:apis", f"{api_arn}:/apis/{id}", record["api"]["tags"]
        for name, stage in record["stages"].items():
            yield "apigateway:apis", f"{api_arn}:/apis/{id}/stages/{name}", stage["tags"]
    for name, domain in domain_records(region).items():
        yield "apigateway:domainnames", f"{api_arn}:/domainnames/{name}", domain["domain"]["tags"]
    for id, link in link_records(region).items():
        yield "apigateway:vpclinks", f"{api_arn}:/vpclinks/{id}", link["tags"]


def _matches(parameters: dict[str, Any], kind: str, arn: str, tags: Tags) -> bool:
    types, arns = parameters.get("ResourceTypeFilters"), parameters.get("ResourceARNList")
    if not tags or (types and kind not in types and kind.partition(":")[0] not in types) or (arns and arn not in arns):
        return False
    return all(
        tag_filter["Key"] in tags and (not tag_filter.get("Values") or tags[tag_filter["Key"]] in tag_filter["Values"])
        for tag_filter in parameters.get("TagFilters") or ()
    )
