"""Usage plan of a REST API: which keys may use its stage, how often at once, and how many times in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Ownership, Tags
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import Frozen
from orderops.resources.apigateway_rest_api import STAGE, ApigatewayRestApi
from orderops.resources.apigateway_stage import ApigatewayStage
from orderops.resources.apigatewayv2_api import FEATURE, RETRYABLE, arn_of
from orderops.resources.apigatewayv2_stage import RouteLimit
from orderops.text.lists import counted


class KeyQuota(Frozen):
    """At most `requests` of each key in a `period`: day, week or month."""

    requests: int
    period: str


class ApigatewayUsagePlan(Resource):
    """Found by its tags, as names are not unique.

    The keys of the environment belong to it. It is deleted with them, and only by its name while there are any.
    """

    api: ApigatewayRestApi
    stage: ApigatewayStage
    limit: RouteLimit | None = None
    quota: KeyQuota | None = None

    kind: ClassVar[str] = "apigateway-usage-plan"
    feature: ClassVar[Feature | None] = FEATURE
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9._-]+", "letters, digits and ._-")
    retryable_errors: ClassVar[frozenset[str]] = RETRYABLE

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.apigateway.get_usage_plans, "items"):
            if owner.has(raw.get("tags", {})):
                yield _observed(aws, raw)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.apigateway.tag_resource(resourceArn=observed.arn, tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        limit, quota = self.limit, self.quota
        return {
            "Name": self.name,
            "ApiStages": [f"{outputs[self.api].id}:{STAGE}"],
            "Throttle": {"rateLimit": float(limit.rate), "burstLimit": limit.burst} if limit else None,
            "Quota": {"limit": quota.requests, "period": quota.period.upper()} if quota else None,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        limits = {key.lower(): desired[key] for key in ("Throttle", "Quota") if desired[key]}
        stages = [dict(zip(("apiId", "stage"), stage.split(":"), strict=True)) for stage in desired["ApiStages"]]
        aws.apigateway.create_usage_plan(name=self.name, apiStages=stages, tags=owner.tags, **limits)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        patches = list(_patches(observed.properties, changed))
        aws.apigateway.update_usage_plan(usagePlanId=observed.id, patchOperations=patches)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        environment = (observed.tags or {}).get(ENVIRONMENT, "")
        # Without a plan they open nothing, and no command would show them.
        for key in keys_of(aws, environment):
            if_found(aws.apigateway.delete_api_key, "NotFoundException", apiKey=key["id"])
        # AWS deletes no plan that a stage belongs to.
        stages = [{"op": "remove", "path": "/apiStages", "value": one} for one in observed.properties["ApiStages"]]
        if stages:
            aws.apigateway.update_usage_plan(usagePlanId=observed.id, patchOperations=stages)
        aws.apigateway.delete_usage_plan(usagePlanId=observed.id)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        number = sum(1 for _ in keys_of(aws, (observed.tags or {}).get(ENVIRONMENT, "")))
        return counted(number, "API key") if number else ""


def keys_of(aws: Aws, environment: str) -> Iterator[dict[str, Any]]:
    """The API keys of an environment by their tag, in a plan or not; without their values."""
    for key in every(aws.apigateway.get_api_keys, "items", includeValues=False):
        if environment and key.get("tags", {}).get(ENVIRONMENT) == environment:
            yield key


def _observed(aws: Aws, raw: Mapping[str, Any]) -> Observed:
    tags, id = raw.get("tags", {}), raw["id"]
    throttle, quota = raw.get("throttle"), raw.get("quota")
    properties = {
        "Name": raw["name"],
        "ApiStages": sorted(f"{one['apiId']}:{one['stage']}" for one in raw.get("apiStages", ())),
        "Throttle": {key: throttle.get(key) for key in ("rateLimit", "burstLimit")} if throttle else None,
        "Quota": {key: quota.get(key) for key in ("limit", "period")} if quota else None,
    }
    name = tags.get(ADDRESS, "").partition("/")[2] or raw["name"]
    return Observed(id, properties, tags=tags, name=name, arn=arn_of(aws, f"usageplans/{id}"))


def _patches(observed: Properties, changed: Properties) -> Iterator[dict[str, str]]:
    if "Name" in changed:
        yield {"op": "replace", "path": "/name", "value": changed["Name"]}
    if "ApiStages" in changed:
        wanted, there = set(changed["ApiStages"]), set(observed["ApiStages"])
        yield from ({"op": "add", "path": "/apiStages", "value": stage} for stage in sorted(wanted - there))
        yield from ({"op": "remove", "path": "/apiStages", "value": stage} for stage in sorted(there - wanted))
    for key in ("Throttle", "Quota"):
        if key not in changed:
            continue
        if changed[key] is None:
            yield {"op": "remove", "path": f"/{key.lower()}"}
        else:
            op = "replace" if observed[key] else "add"
            for name, value in changed[key].items():
                yield {"op": op, "path": f"/{key.lower()}/{name}", "value": str(value)}
