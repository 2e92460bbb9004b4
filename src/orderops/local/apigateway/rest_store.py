"""REST APIs, usage plans and keys of the emulated account, as dictionaries in the form of the API's JSON.

Kept on moto's backend, so that the state file contains them. Keys that begin with `_` are the emulator's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.apigateway.store import Json

ATTRIBUTE = "orderops_rest_apis"


@dataclass(frozen=True)
class RestApi:
    """An API with its resources by path, its validators and models by name, its deployments and stages."""

    region: str
    record: Json

    @property
    def id(self) -> str:
        return str(self.record["api"]["id"])

    @property
    def resources(self) -> dict[str, Json]:
        return self._part("resources")

    @property
    def deployments(self) -> dict[str, Json]:
        return self._part("deployments")

    @property
    def stages(self) -> dict[str, Json]:
        return self._part("stages")

    def _part(self, name: str) -> dict[str, Json]:
        found: dict[str, Json] = self.record[name]
        return found


def rest_records(region: str) -> dict[str, Json]:
    """Return the records of a region's APIs by id."""
    return _part(region, "apis")


def usage_plans(region: str) -> dict[str, Json]:
    """Return the usage plans of a region by id; `_keys` has the ids of the keys of each."""
    return _part(region, "plans")


def api_keys(region: str) -> dict[str, Json]:
    """Return the API keys of a region by id, with their values."""
    return _part(region, "keys")


def account_settings(region: str) -> Json:
    """Return what is set for all APIs of the account in a region."""
    return _part(region, "account")


def every_rest_api() -> Iterator[RestApi]:
    """Yield the APIs of every region."""
    for _, region, backend in get_backend("apigateway").iter_backends():
        for record in getattr(backend, ATTRIBUTE, {}).get("apis", {}).values():
            yield RestApi(region, record)


def _part(region: str, name: str) -> dict[str, Json]:
    backend = get_backend("apigateway")[DEFAULT_ACCOUNT_ID][region]
    state = backend.__dict__.setdefault(ATTRIBUTE, {"apis": {}, "plans": {}, "keys": {}, "account": {}})
    found: dict[str, Json] = state[name]
    return found
