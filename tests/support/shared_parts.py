"""What botocore and moto work out anew for each client and each call, worked out once for a process.

All of it depends on AWS's models alone. A client made from shared parts takes 2 ms, and 25 ms otherwise; commands that
run in the process of a test make some twenty clients each.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

import botocore.regions
import botocore.session
import moto.core.responses
from botocore.client import ClientCreator
from botocore.loaders import create_loader

MODELS = create_loader()
_load_service_model = ClientCreator._load_service_model
_create_methods = ClientCreator._create_methods
_EndpointProvider = botocore.regions.EndpointProvider
_service_models: dict[tuple[str, str | None], Any] = {}
_methods: dict[int, dict[str, Any]] = {}
_endpoint_providers: dict[tuple[int, frozenset[str]], tuple[Any, Any]] = {}


def share_parts() -> None:
    """Have it so from now on; doing this twice changes nothing."""
    botocore.session.create_loader = lambda *_: MODELS
    ClientCreator._load_service_model = _service_model
    ClientCreator._create_methods = _methods_of
    botocore.regions.EndpointProvider = _endpoint_provider
    moto.core.responses.method_names_from_class = cache(moto.core.utils.method_names_from_class)


def _service_model(creator: Any, service: str, api_version: str | None = None) -> Any:
    key = (service, api_version)
    if key not in _service_models:
        _service_models[key] = _load_service_model(creator, service, api_version)
    return _service_models[key]


def _methods_of(creator: Any, service_model: Any) -> dict[str, Any]:
    if id(service_model) not in _methods:
        _methods[id(service_model)] = _create_methods(creator, service_model)
    return dict(_methods[id(service_model)])


def _endpoint_provider(
    ruleset_data: dict[str, Any], partition_data: dict[str, Any], excluded_params: Collection[str] | None = None
) -> Any:
    key = (id(ruleset_data), frozenset(excluded_params or ()))
    if key not in _endpoint_providers:
        # Older versions of botocore exclude no parameters.
        more = () if excluded_params is None else (excluded_params,)
        # the rules are kept with it, so that no others get their id
        _endpoint_providers[key] = (_EndpointProvider(ruleset_data, partition_data, *more), ruleset_data)
    return _endpoint_providers[key][0]
