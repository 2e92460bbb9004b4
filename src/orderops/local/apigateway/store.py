"""HTTP APIs, VPC links and domain names of the emulated account, as plain dictionaries in the form of the API's JSON.

Kept on moto's backend, so that the state file contains them. Keys that begin with `_` are the emulator's own.
"""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

Json = dict[str, Any]
ATTRIBUTE = "orderops_http_apis"
PARTS = ("authorizers", "integrations", "routes", "stages")
LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class HttpApi:
    """An API with its parts by id; its stages by name."""

    region: str
    record: Json

    @property
    def id(self) -> str:
        return str(self.record["api"]["apiId"])

    @property
    def authorizers(self) -> dict[str, Json]:
        return self._part("authorizers")

    @property
    def integrations(self) -> dict[str, Json]:
        return self._part("integrations")

    @property
    def routes(self) -> dict[str, Json]:
        return self._part("routes")

    @property
    def stages(self) -> dict[str, Json]:
        return self._part("stages")

    def _part(self, name: str) -> dict[str, Json]:
        found: dict[str, Json] = self.record[name]
        return found


def api_records(region: str) -> dict[str, Json]:
    """Return the records of a region by API id."""
    found: dict[str, Json] = _state(region)["apis"]
    return found


def link_records(region: str) -> dict[str, Json]:
    """Return the VPC links of a region by id, without those whose deletion is over."""
    links: dict[str, Json] = _state(region)["links"]
    for gone in [id for id, link in links.items() if link.get("_gone_at", float("inf")) <= time.time()]:
        del links[gone]
    return links


def link_status(link: Json) -> str:
    """Return the state of a VPC link now."""
    if "_gone_at" in link:
        return "DELETING"
    if link["_ready_at"] > time.time():
        return "PENDING"
    return str(link.get("_status", "AVAILABLE"))


def domain_records(region: str) -> dict[str, Json]:
    """Return the domain names of a region: `domain` is one as described, `mappings` has its mappings by id."""
    # A state file of an earlier version has none.
    found: dict[str, Json] = _state(region).setdefault("domains", {})
    return found


def domain_status(record: Json) -> str:
    """Return the state of a domain name now."""
    return "UPDATING" if record["_ready_at"] > time.time() else "AVAILABLE"


def mapped(region: str, api: str, stage: str = "") -> list[str]:
    """Return the domain names that lead to an API, or to a stage of it."""
    return [
        name
        for name, record in domain_records(region).items()
        for mapping in record["mappings"].values()
        if mapping["apiId"] == api and stage in ("", mapping["stage"])
    ]


def every_domain() -> Iterator[tuple[str, Json]]:
    """Yield region and record of the domain names of every region."""
    for _, region, backend in get_backend("apigatewayv2").iter_backends():
        for record in getattr(backend, ATTRIBUTE, {}).get("domains", {}).values():
            yield region, record


def every_api() -> Iterator[HttpApi]:
    """Yield the APIs of every region."""
    for _, region, backend in get_backend("apigatewayv2").iter_backends():
        for record in getattr(backend, ATTRIBUTE, {}).get("apis", {}).values():
            yield HttpApi(region, record)


def new_id(length: int = 10) -> str:
    """Return an id in the form of API Gateway's."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def _state(region: str) -> Json:
    backend = get_backend("apigatewayv2")[DEFAULT_ACCOUNT_ID][region]
    state: Json = backend.__dict__.setdefault(ATTRIBUTE, {"apis": {}, "links": {}})
    return state
