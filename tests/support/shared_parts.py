"""What botocore and moto work out anew for each client and each call, worked out once for a process.

All of it depends on AWS's models alone. A client made from shared parts takes 2 ms, and 25 ms otherwise; commands that
run in the process of a test make some twenty clients each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from copy import copy
from functools import cache
from random import Random
from typing import Any

import botocore.regions
import botocore.session
import moto.core.responses
import moto.core.serialize
import moto.core.utils
from botocore.client import ClientCreator
from botocore.hooks import EventAliaser, NodeList, _PrefixTrie
from botocore.loaders import create_loader

from orderops.aws import service_models

MODELS = create_loader()
_load_service_model = ClientCreator._load_service_model
_create_methods = ClientCreator._create_methods
_new_aliaser = EventAliaser.__init__
_EndpointProvider = botocore.regions.EndpointProvider
_names_of_pickers = {
    picker: picker.get_possible_keys
    for picker in (moto.core.serialize.AttributePicker, moto.core.serialize.XFormedAttributePicker)
}
# Older versions of xmltodict check no names.
_checked_name = cache(getattr(moto.core.serialize.xmltodict, "_validate_name", lambda *_: None))
_recorded_loader = cache(service_models.recorded_loader)
_service_models: dict[tuple[type, str, str | None], Any] = {}
_methods: dict[int, dict[str, Any]] = {}
_names_of_events: dict[str, str] = {}
_ids = Random()
_endpoint_providers: dict[tuple[int, frozenset[str]], tuple[Any, Any]] = {}


def share_parts() -> None:
    """Have it so from now on; doing this twice changes nothing."""
    botocore.session.create_loader = lambda *_: MODELS
    service_models.recorded_loader = _recorded_loader
    ClientCreator._load_service_model = _service_model
    ClientCreator._create_methods = _methods_of
    botocore.regions.EndpointProvider = _endpoint_provider
    EventAliaser.__init__ = _aliaser_with_known_names
    EventAliaser.__copy__ = _aliaser_with_its_names
    _PrefixTrie._recursive_copy = _copied_trie
    moto.core.responses.gen_amzn_requestid_long = _request_id
    moto.core.serialize.xmltodict._validate_name = _checked_name
    for picker, names in _names_of_pickers.items():
        picker.get_possible_keys = _remembering(names)
    moto.core.responses.method_names_from_class = cache(moto.core.utils.method_names_from_class)
    moto.core.responses.camelcase_to_underscores = cache(moto.core.utils.camelcase_to_underscores)


def _service_model(creator: Any, service: str, api_version: str | None = None) -> Any:
    key = (type(creator._loader), service, api_version)
    if key not in _service_models:
        _service_models[key] = _load_service_model(creator, service, api_version)
    return _service_models[key]


def _methods_of(creator: Any, service_model: Any) -> dict[str, Any]:
    if id(service_model) not in _methods:
        _methods[id(service_model)] = _create_methods(creator, service_model)
    return dict(_methods[id(service_model)])


def _aliaser_with_known_names(aliaser: EventAliaser, emitter: Any, aliases: dict[str, str] | None = None) -> None:
    """Have the names of events that were worked out for other sessions; they depend on the aliases alone."""
    _new_aliaser(aliaser, emitter, aliases)
    if aliases is None:
        aliaser._alias_name_cache = _names_of_events


def _aliaser_with_its_names(aliaser: EventAliaser) -> EventAliaser:
    """Copy handlers and aliases, as botocore does; the copy also knows the names that were worked out so far."""
    copied = EventAliaser(copy(aliaser._emitter), copy(aliaser._event_aliases))
    copied._alias_name_cache = aliaser._alias_name_cache
    return copied


def _copied_trie(trie: Any, node: dict[str, Any]) -> dict[str, Any]:
    """Copy the handlers of a client, without `copy.copy` for each of thousands of lists."""
    copied: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, NodeList):
            copied[key] = NodeList(value.first[:], value.middle[:], value.last[:])
        else:
            copied[key] = _copied_trie(trie, value) if isinstance(value, dict) else value
    return copied


def _request_id(headers: dict[str, Any]) -> str:
    """Add the id of a request as moto does, without a random choice for each of its characters.

    Not a uuid: the system's random numbers let another thread have the interpreter while all wait for this answer.
    """
    request_id = f"{_ids.getrandbits(128):032X}"
    headers["x-amzn-requestid"] = request_id
    return request_id


def _remembering(names: Callable[[Any, Any], Iterable[str]]) -> Callable[[Any, Any], Iterable[str]]:
    """Work out once under which names moto's objects of a class may have a member of a shape."""
    remembered: dict[tuple[Any, ...], tuple[tuple[str, ...], Any]] = {}

    def possible(picker: Any, context: Any) -> Iterable[str]:
        key = (tuple(picker.alias_providers), type(context.obj), id(context.shape), context.key)
        if key not in remembered:
            # the shape is kept with them, so that no other gets its id
            remembered[key] = (tuple(names(picker, context)), context.shape)
        return remembered[key][0]

    return possible


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
