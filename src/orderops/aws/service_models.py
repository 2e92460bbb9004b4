"""AWS's service models, reduced to the operations that orderops calls: a tenth of the time to load.

botocore describes each service in a file with all its operations, up to 800 in EC2. Reading these files takes most of
the start of a command. The reduced ones are made when a model is first loaded, and kept in the user's cache directory
for each version of botocore. Whatever they lack is taken from the whole models: see `AwsSessions` in `sessions.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import botocore
import msgspec
from botocore.loaders import Loader

from orderops.aws.private_cache import PrivateCache

FORMAT = 1
"""Counted up when the same model is reduced in another way: earlier files are then not read any more."""
RECORDED_CALLS = Path(__file__).parents[1] / "iam" / "recorded_calls.json"
# botocore's name of each service; then the names by which endpoints.json, events, and the recorded calls know it.
SERVICES = {
    "acm": ("acm", "acm", "acm"),
    "apigateway": ("apigateway", "api-gateway", "apigateway"),
    "apigatewayv2": ("apigateway", "apigatewayv2", "apigateway"),
    "application-autoscaling": ("application-autoscaling", "application-auto-scaling", "application-autoscaling"),
    "cloudtrail": ("cloudtrail", "cloudtrail", "cloudtrail"),
    "cloudwatch": ("monitoring", "cloudwatch", "cloudwatch"),
    "ec2": ("ec2", "ec2", "ec2"),
    "ecr": ("api.ecr", "ecr", "ecr"),
    "ecs": ("ecs", "ecs", "ecs"),
    "elbv2": ("elasticloadbalancing", "elastic-load-balancing-v2", "elasticloadbalancing"),
    "iam": ("iam", "iam", "iam"),
    "logs": ("logs", "cloudwatch-logs", "logs"),
    "rds": ("rds", "rds", "rds"),
    "resourcegroupstaggingapi": ("tagging", "resource-groups-tagging-api", "tag"),
    "route53": ("route53", "route-53", "route53"),
    "s3": ("s3", "s3", "s3"),
    "scheduler": ("scheduler", "scheduler", "scheduler"),
    "secretsmanager": ("secretsmanager", "secrets-manager", "secretsmanager"),
    "service-quotas": ("servicequotas", "service-quotas", "servicequotas"),
    "sns": ("sns", "sns", "sns"),
    "sqs": ("sqs", "sqs", "sqs"),
    "sts": ("sts", "sts", "sts"),
    "wafv2": ("wafv2", "wafv2", "wafv2"),
}
Document = Mapping[str, Any]
NONE: Document = {"metadata": {"apiVersion": None}}


def names_of(service: str) -> frozenset[str]:
    """Every name that one of SERVICES has somewhere."""
    return frozenset({service, *SERVICES[service]})


def recorded_loader() -> RecordedLoader:
    """Return a loader for a session that only makes recorded calls of the services in SERVICES."""
    return RecordedLoader()


class RecordedLoader(Loader):  # type: ignore[misc]  # botocore is read without types
    """A loader of models that hold the recorded operations of the services in SERVICES, and whole models of others."""

    def __init__(self) -> None:
        super().__init__()
        self._reduced: dict[str, Any] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return a model as botocore's own loader does. One of an earlier API version is always whole."""
        reduce = REDUCERS.get(type_name)
        # A client asks for the pages of the API version of its model.
        latest = api_version in (None, self._reduced.get(f"{service_name}.service-2", NONE)["metadata"]["apiVersion"])
        if not latest or reduce is None or service_name not in SERVICES:
            return super().load_service_model(service_name, type_name, api_version)
        operations = self._operations.get(SERVICES[service_name][-1], frozenset())
        return self._kept(
            f"{service_name}.{type_name}",
            lambda: reduce(super(RecordedLoader, self).load_service_model(service_name, type_name), operations),
        )

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return other data and where it is from, as botocore's own loader does."""
        if name != "endpoints":
            found: tuple[Any, str] = super().load_data_with_path(name)
            return found
        path = os.path.join(self.BUILTIN_DATA_PATH, name)  # noqa: PTH118  # in the form of botocore
        whole = super().load_data_with_path
        return self._kept(name, lambda: reduced_endpoints(whole(name)[0])), path

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a document from the cache, or make it and keep it there."""
        if name not in self._reduced:
            content = self._cache_directory.read(f"{name}.json")
            if content is None:
                self._reduced[name] = make()
                self._cache_directory.write(
                    f"{name}.json", json.dumps(self._reduced[name], separators=(",", ":")).encode()
                )
            else:
                # In three fifths of the time that Python's own takes, for each client of a command.
                self._reduced[name] = msgspec.json.decode(content)
        return self._reduced[name]

    @cached_property
    def _operations(self) -> Mapping[str, frozenset[str]]:
        operations: dict[str, set[str]] = {}
        for call in json.loads(self._recorded):
            service, _, operation = call.partition(":")
            operations.setdefault(service, set()).add(operation)
        return {service: frozenset(names) for service, names in operations.items()}

    @cached_property
    def _recorded(self) -> bytes:
        return RECORDED_CALLS.read_bytes()

    @cached_property
    def _cache_directory(self) -> PrivateCache:
        # The time of the folder changes when botocore is installed again, also with a version that was patched.
        data = Path(self.BUILTIN_DATA_PATH)
        made_from = [FORMAT, SERVICES, self._recorded.decode(), str(data), data.stat().st_mtime_ns]
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
        return PrivateCache("service-models", f"{botocore.__version__}-{digest[:16]}")


def reduced_model(model: Document, operations: Collection[str]) -> Document:
    """Return a service model with these operations, the shapes that they need, all errors, and no documentation."""
    kept = {
        name: operation
        for name, operation in model["operations"].items()
        # botocore looks for the operation that finds endpoints whenever it makes a client.
        if name in operations or operation.get("endpointoperation")
    }
    shapes: Mapping[str, Document] = model["shapes"]
    needed = {name for name, shape in shapes.items() if shape.get("exception")} | set(_shapes_named_in(kept))
    unread = list(needed)
    while unread:
        named = set(_shapes_named_in(shapes[unread.pop()])) - needed
        needed |= named
        unread += named
    return {
        **{key: value for key, value in model.items() if key != "documentation"},
        "operations": _undocumented(kept),
        "shapes": _undocumented({name: shape for name, shape in shapes.items() if name in needed}),
    }


def reduced_paginators(paginators: Document, operations: Collection[str]) -> Document:
    """Return the paginators of these operations."""
    kept = {name: pages for name, pages in paginators["pagination"].items() if name in operations}
    return {**paginators, "pagination": kept}


def reduced_endpoints(endpoints: Document) -> Document:
    """Return the endpoints of the services in SERVICES, in all partitions."""
    prefixes = {names[0] for names in SERVICES.values()}
    return {
        **endpoints,
        "partitions": [
            {
                **partition,
                "services": {name: service for name, service in partition["services"].items() if name in prefixes},
            }
            for partition in endpoints["partitions"]
        ],
    }


def _shapes_named_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            # A member may have the name "shape" as well: it is a document then.
            if key == "shape" and isinstance(inner, str):
                yield inner
            else:
                yield from _shapes_named_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _shapes_named_in(inner)


def _undocumented(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _undocumented(inner)
            for key, inner in value.items()
            if key != "documentation" or not isinstance(inner, str)
        }
    return [_undocumented(inner) for inner in value] if isinstance(value, list) else value


REDUCERS: Mapping[str, Callable[[Document, Collection[str]], Document]] = {
    "service-2": reduced_model,
    "endpoint-rule-set-1": lambda rules, _: rules,
    "paginators-1": reduced_paginators,
}
