"""API keys of a usage plan. Operators make and revoke them by command; no file declares them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags
from orderops.errors import AwsError
from orderops.frozen import Frozen
from orderops.resources.apigateway_usage_plan import ApigatewayUsagePlan, keys_of

KIND = "apigateway-api-key"


class ApiKey(Frozen):
    """A key, without its value."""

    name: str
    id: str
    created: datetime
    enabled: bool
    in_plan: bool
    """Whether it belongs to the usage plan, and so opens anything."""
    tags: Tags

    @property
    def state(self) -> str:
        """In words: `active`, `disabled`, or `unfinished` if it belongs to no plan."""
        return "unfinished" if not self.in_plan else "active" if self.enabled else "disabled"

    def to_dict(self) -> dict[str, object]:
        """As JSON, with stable keys."""
        return {"name": self.name, "id": self.id, "created": self.created.isoformat(), "state": self.state}


def plan_of(aws: Aws, environment: str) -> str | None:
    """The id of the environment's usage plan; None while there is none."""
    return next((found.id for found in ApigatewayUsagePlan.listing(aws, Ownership(environment))), None)


def api_keys(aws: Aws, environment: str, plan: str | None) -> list[ApiKey]:
    """The keys of an environment by name."""
    ids = {key["id"] for key in _in_plan(aws, plan)} if plan else set()
    found = [
        ApiKey(
            key["name"],
            key["id"],
            key["createdDate"],
            bool(key.get("enabled")),
            key["id"] in ids,
            key.get("tags", {}),
        )
        for key in keys_of(aws, environment)
    ]
    return sorted(found, key=lambda key: key.name)


def create_key(aws: Aws, environment: str, name: str, plan: str) -> tuple[str, str]:
    """Make a key that belongs to a plan; return its id and its value, which nothing keeps.

    Until the second call, the key opens nothing: `api_keys` shows it as unfinished. An answer to that call that is lost
    is no reason to lose the value.
    """
    tags = Ownership(environment, f"{KIND}/{name}", name).tags
    made = aws.once.apigateway.create_api_key(name=name, enabled=True, tags=tags)
    try:
        aws.once.apigateway.create_usage_plan_key(usagePlanId=plan, keyId=made["id"], keyType="API_KEY")
    except AwsError:
        if made["id"] not in (key["id"] for key in _in_plan(aws, plan)):
            raise
    return str(made["id"]), str(made["value"])


def delete_key(aws: Aws, key: ApiKey) -> None:
    """Delete a key. Harmless to repeat."""
    if_found(aws.apigateway.delete_api_key, "NotFoundException", apiKey=key.id)


def _in_plan(aws: Aws, plan: str) -> Iterator[dict[str, Any]]:
    yield from every(aws.apigateway.get_usage_plan_keys, "items", usagePlanId=plan)
