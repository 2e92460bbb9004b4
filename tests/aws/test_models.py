"""The installed botocore knows every operation and parameter that the program names.

With the lowest versions (benchmarks/lowest_versions.py) this finds a lower bound of boto3 that is too low.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

import orderops
from support.syntax_trees import nodes

SOURCE = Path(orderops.__file__).parent
# How the record of calls names a service, where boto3 names it otherwise.
NAMES = {
    "apigateway": "apigatewayv2",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tag": "resourcegroupstaggingapi",
    "tagging": "resourcegroupstaggingapi",
}
NOT_PARAMETERS = {"every", "if_found"}


@cache
def operations(service: str) -> dict[str, Any]:
    """The operations of a service by their name in boto3."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


def named_parameters() -> Iterator[tuple[str, str, str]]:
    """Service, operation and parameter of each call in the source that names its parameters."""
    services = set(botocore.session.get_session().get_available_services())
    for file in SOURCE.rglob("*.py"):
        if file.relative_to(SOURCE).parts[0] in ("local", "service"):
            continue
        for node in nodes(file):
            if isinstance(node, ast.Call):
                yield from _of_call(node, services)


def _of_call(node: ast.Call, services: set[str]) -> Iterator[tuple[str, str, str]]:
    helper = isinstance(node.func, ast.Name) and node.func.id in NOT_PARAMETERS
    function = node.args[0] if helper and node.args else node.func
    match function:
        case ast.Attribute(value=ast.Attribute(attr=service), attr=operation) if service.replace("_", "-") in services:
            for keyword in node.keywords:
                if keyword.arg:
                    yield service.replace("_", "-"), operation, keyword.arg


def test_every_named_parameter_exists_in_the_model_of_its_operation() -> None:
    found = set(named_parameters())

    unknown = {
        f"{service}.{operation}({parameter}=)"
        for service, operation, parameter in found
        if operation not in operations(service) or parameter not in operations(service)[operation].input_shape.members
    }

    assert len(found) > 200
    assert unknown == set()


def test_every_recorded_call_exists() -> None:
    calls = json.loads((SOURCE / "iam" / "recorded_calls.json").read_text())

    unknown = []
    for call in calls:
        service, _, operation = call.partition(":")
        also = operations("apigateway") if service == "apigateway" else {}
        if xform_name(operation) not in {**operations(NAMES.get(service, service)), **also}:
            unknown.append(call)

    assert unknown == []


@pytest.mark.parametrize(
    "parameter",
    ["BackupRetentionPeriod", "ManageMasterUserPassword", "PreferredBackupWindow", "VpcSecurityGroupIds"],
)
def test_a_restore_can_set_what_it_would_lose(parameter: str) -> None:
    # Sent from a mapping, so no call names them. BackupRetentionPeriod came after botocore 1.42.40, by 1.42.70.
    assert parameter in operations("rds")["restore_db_instance_to_point_in_time"].input_shape.members
