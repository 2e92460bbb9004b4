"""The tag index: moto leaves out repositories, and of RDS all but instances and snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

Tags = dict[str, str]


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Answer for all kinds that AWS answers for, as far as orderops makes them."""
    emulator.on_after("tagging", "GetResources", _with_the_rest)


def _with_the_rest(call: Request, answer: Response) -> Response | None:
    """Behind moto's last page comes what it does not know of."""
    told, asked = json.loads(answer.body), call.json
    if told.get("PaginationToken"):
        return None
    known = {one["ResourceARN"] for one in told["ResourceTagMappingList"]}
    for kind, arn, tags in _left_out(call.region):
        if arn not in known and _wanted(asked, kind, arn, tags):
            pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
            told["ResourceTagMappingList"].append({"ResourceARN": arn, "Tags": pairs})
    return Response(answer.status, json.dumps(told).encode(), answer.headers)


def _left_out(region: str) -> Iterator[tuple[str, str, Tags]]:
    ecr, rds = (get_backend(name)[DEFAULT_ACCOUNT_ID][region] for name in ("ecr", "rds"))
    for repository in ecr.repositories.values():
        yield "ecr:repository", repository.arn, ecr.tagger.get_tag_dict_for_resource(repository.arn)
    for kind, groups in {"rds:subgrp": rds.subnet_groups, "rds:pg": rds.db_parameter_groups}.items():
        for group in groups.values():
            yield kind, group.arn, {tag["Key"]: tag["Value"] for tag in group.get_tags()}


def _wanted(asked: dict[str, Any], kind: str, arn: str, tags: Tags) -> bool:
    types, arns = asked.get("ResourceTypeFilters"), asked.get("ResourceARNList")
    if not tags or (types and kind not in types and kind.partition(":")[0] not in types) or (arns and arn not in arns):
        return False
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"])
        for one in asked.get("TagFilters") or ()
    )
