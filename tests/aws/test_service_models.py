"""Reduced service models: what they hold equals what AWS's own models say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.hooks import EventAliaser
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.regions import EndpointResolver
from botocore.session import Session

import orderops
from orderops.aws.service_models import RecordedLoader, reduced_model
from orderops.aws.sessions import AwsSessions

# Each service by its name in boto3, and its name in the recorded calls where that is another.
SERVICES = {
    "apigateway": "apigateway",
    "apigatewayv2": "apigateway",
    "acm": "acm",
    "application-autoscaling": "application-autoscaling",
    "cloudtrail": "cloudtrail",
    "cloudwatch": "cloudwatch",
    "ec2": "ec2",
    "ecr": "ecr",
    "ecs": "ecs",
    "elbv2": "elasticloadbalancing",
    "iam": "iam",
    "logs": "logs",
    "rds": "rds",
    "resourcegroupstaggingapi": "tag",
    "route53": "route53",
    "s3": "s3",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "service-quotas": "servicequotas",
    "sns": "sns",
    "sqs": "sqs",
    "sts": "sts",
    "wafv2": "wafv2",
}
RECORDED = sorted(json.loads((Path(orderops.__file__).parent / "iam" / "recorded_calls.json").read_text()))
# What botocore's serializers, parsers and signers read of an operation and of a shape.
OF_OPERATION = (
    *(
        "name",
        "http",
        "http_checksum",
        "endpoint",
        "endpoint_discovery",
        "is_endpoint_discovery_operation",
        "deprecated",
    ),
    *("auth", "auth_type", "unsigned_payload", "static_context_parameters", "idempotent_members"),
    *("request_compression", "has_event_stream_input", "has_event_stream_output", "has_streaming_output"),
)
OF_SHAPE = ("name", "type_name", "metadata", "serialization", "event_stream_name")


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@cache
def whole(service: str, kind: str = "service-2") -> Any:
    return Loader().load_service_model(service, kind)


def recorded(service: str) -> set[str]:
    names = {call.partition(":")[2] for call in RECORDED if call.partition(":")[0] == SERVICES[service]}
    # HTTP and REST APIs are recorded under one name, and some of their operations are of one of them.
    return names & whole(service)["operations"].keys() if SERVICES[service] == "apigateway" else names


def differences(ours: Any, theirs: Any, compared: set[str], path: str) -> Iterator[str]:
    """Yield where a shape differs from another, at every depth."""
    if theirs is None or ours is None:
        if ours is not theirs:
            yield path
        return
    yield from (f"{path}: {name}" for name in OF_SHAPE if getattr(ours, name, None) != getattr(theirs, name, None))
    if theirs.name in compared:
        return
    compared.add(theirs.name)
    match theirs.type_name:
        case "structure":
            if list(ours.members) != list(theirs.members) or ours.required_members != theirs.required_members:
                yield f"{path}: members"
            for name, member in theirs.members.items():
                yield from differences(ours.members.get(name), member, compared, f"{path}.{name}")
        case "list":
            yield from differences(ours.member, theirs.member, compared, f"{path}[]")
        case "map":
            yield from differences(ours.key, theirs.key, compared, f"{path} key")
            yield from differences(ours.value, theirs.value, compared, f"{path} value")


@pytest.mark.parametrize("service", SERVICES)
def test_every_recorded_operation_has_the_shapes_of_the_whole_model(service: str) -> None:
    RecordedLoader().load_service_model(service, "service-2")
    ours = ServiceModel(RecordedLoader().load_service_model(service, "service-2"), service)
    theirs = ServiceModel(whole(service), service)
    compared: set[str] = set()

    found = []
    for name in recorded(service):
        mine, other = ours.operation_model(name), theirs.operation_model(name)
        found += [f"{name}: {part}" for part in OF_OPERATION if getattr(mine, part) != getattr(other, part)]
        found += differences(mine.input_shape, other.input_shape, compared, f"{name} input")
        found += differences(mine.output_shape, other.output_shape, compared, f"{name} output")
        assert len(mine.error_shapes) == len(other.error_shapes)
        for ours_, theirs_ in zip(mine.error_shapes, other.error_shapes, strict=True):
            found += differences(ours_, theirs_, compared, f"{name} {theirs_.name}")

    assert recorded(service)
    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_reduced_model_knows_all_errors_and_all_about_its_service(service: str) -> None:
    ours = ServiceModel(RecordedLoader().load_service_model(service, "service-2"), service)
    theirs = ServiceModel(whole(service), service)

    assert {shape.name for shape in ours.error_shapes} == {shape.name for shape in theirs.error_shapes}
    for shape in theirs.error_shapes:
        assert list(differences(ours.shape_for(shape.name), shape, set(), shape.name)) == []
    reduced = {"operations", "shapes", "documentation"}
    loaded = RecordedLoader().load_service_model(service, "service-2")
    assert {key: value for key, value in loaded.items() if key not in reduced} == {
        key: value for key, value in whole(service).items() if key not in reduced
    }
    assert ours.endpoint_discovery_operation == theirs.endpoint_discovery_operation


@pytest.mark.parametrize("service", SERVICES)
def test_rules_of_endpoints_and_pages_of_recorded_operations_are_those_of_botocore(service: str) -> None:
    for _ in ("made", "read from the cache"):
        loader = RecordedLoader()
        rules = loader.load_service_model(service, "endpoint-rule-set-1")
        loader.load_service_model(service, "service-2")
        version = whole(service)["metadata"]["apiVersion"]
        pages = loader.load_service_model(service, "paginators-1", version)["pagination"]

        assert rules == whole(service, "endpoint-rule-set-1")
        expected = whole(service, "paginators-1")["pagination"]
        assert pages == {name: expected[name] for name in recorded(service) & expected.keys()}


def test_every_recorded_call_belongs_to_a_reduced_service() -> None:
    assert {call.partition(":")[0] for call in RECORDED} == set(SERVICES.values())


def test_endpoints_are_those_of_botocore_in_every_region() -> None:
    theirs = EndpointResolver(Loader().load_data("endpoints"), uses_builtin_data=True)
    for _ in ("made", "read from the cache"):
        loader = RecordedLoader()
        document, path = loader.load_data_with_path("endpoints")
        ours = EndpointResolver(document, uses_builtin_data=loader.is_builtin_path(path))
        regions = [region for partition in document["partitions"] for region in partition["regions"]]

        assert ours.get_available_partitions() == theirs.get_available_partitions()
        assert len(regions) > 30
        for service in SERVICES:
            prefix = ServiceModel(whole(service)).endpoint_prefix
            for region in [*regions, "ap-southeast-99"]:
                assert ours.construct_endpoint(prefix, region) == theirs.construct_endpoint(prefix, region)


def test_an_earlier_api_version_is_loaded_whole() -> None:
    loader = RecordedLoader()

    assert loader.load_service_model("ec2", "service-2", "2014-09-01")["metadata"]["apiVersion"] == "2014-09-01"
    assert loader.load_service_model("ec2", "service-2")["metadata"]["apiVersion"] == "2016-11-15"


def test_a_model_is_read_from_the_cache_the_next_time(cache_home: Path) -> None:
    RecordedLoader().load_service_model("sts", "service-2")
    (kept,) = cache_home.rglob("sts.service-2.json")
    loader = RecordedLoader()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader.file_loader, "load_file", lambda _: None)
        assert "AssumeRole" not in loader.load_service_model("sts", "service-2")["operations"]

    assert kept.parent.name.startswith(f"{botocore.__version__}-")


def test_a_damaged_model_is_made_again(cache_home: Path) -> None:
    loaded = RecordedLoader().load_service_model("sts", "service-2")
    (kept,) = cache_home.rglob("sts.service-2.json")
    good = kept.read_bytes()
    kept.write_bytes(good[:-100])

    assert RecordedLoader().load_service_model("sts", "service-2") == loaded
    assert kept.read_bytes() == good


def test_another_record_of_calls_makes_other_models(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RecordedLoader().load_service_model("sts", "service-2")
    calls = cache_home / "calls.json"
    calls.write_text('{"sts:AssumeRole": []}')
    monkeypatch.setattr("orderops.aws.service_models.RECORDED_CALLS", calls)

    assert list(RecordedLoader().load_service_model("sts", "service-2")["operations"]) == ["AssumeRole"]
    assert len(list(cache_home.rglob("sts.service-2.json"))) == 2


def test_members_named_shape_or_documentation_and_what_finds_endpoints_are_kept() -> None:
    member = {"shape": "Text", "documentation": "words"}
    model = {
        "metadata": {},
        "operations": {
            "Get": {"name": "Get", "input": {"shape": "Input"}, "documentation": "words"},
            "Put": {},
            "Find": {"endpointoperation": True},
        },
        "shapes": {
            "Input": {"type": "structure", "members": {"shape": member, "documentation": member}},
            "Text": {"type": "string", "enum": ["documentation"]},
            "Unused": {"type": "string"},
            "Refused": {"type": "structure", "members": {}, "exception": True},
        },
    }

    assert reduced_model(model, {"Get"}) == {
        "metadata": {},
        "operations": {"Get": {"name": "Get", "input": {"shape": "Input"}}, "Find": {"endpointoperation": True}},
        "shapes": {
            "Input": {"type": "structure", "members": {"shape": {"shape": "Text"}, "documentation": {"shape": "Text"}}},
            "Text": {"type": "string", "enum": ["documentation"]},
            "Refused": {"type": "structure", "members": {}, "exception": True},
        },
    }


# Every kind of event that a client emits: botocore.client, .endpoint, .signers, .args and .regions.
EVENTS = (
    *("creating-client-class", "provide-client-params", "before-parameter-build", "before-endpoint-resolution"),
    *("before-call", "request-created", "choose-signer", "before-sign", "before-send", "response-received"),
    *("before-parse", "needs-retry", "after-call", "after-call-error", "getattr"),
)


# With an operation that is not recorded, a service has the client of the whole model.
@pytest.mark.parametrize(
    ("service", "operation"),
    [*((service, "") for service in SERVICES), ("s3", "copy_object"), ("sts", "assume_role_with_web_identity")],
)
def test_a_client_has_all_handlers_of_its_service_in_their_order(service: str, operation: str) -> None:
    model = ServiceModel(whole(service), service)
    theirs = builtin_handlers()
    ours = AwsSessions(Session, "ap-southeast-2").client(service, operation).meta.events
    names = model.operation_names if operation else sorted(recorded(service))
    events = [f"{kind}.{model.service_id.hyphenize()}.{name}" for kind in EVENTS for name in names]
    events += [f"{kind}.{model.service_id.hyphenize()}" for kind in EVENTS]

    for event in events:
        expected = handlers(theirs, event)
        assert [handler for handler in handlers(ours, event) if handler in expected] == expected, event


@cache
def builtin_handlers() -> Any:
    return Session().get_component("event_emitter")


def handlers(emitter: Any, event: str) -> list[Any]:
    """The handlers of an event, in their order."""
    if isinstance(emitter, EventAliaser):
        return handlers(emitter._emitter, emitter._alias_event_name(event))
    return list(emitter._handlers.prefix_search(event))
