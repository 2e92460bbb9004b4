"""A read replica leaves the pointer secret before it goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orderops.aws.client import Aws
from orderops.engine.resource import Observed
from orderops.resources.secretsmanager_readers import leave
from support.faults import Faults
from support.tag_keys import ENVIRONMENT

NAME = "orderops/dev/database"
ONE, TWO = ({"host": f"replica-{number}.example", "port": 5432} for number in (1, 2))


def replica(address: dict[str, Any], environment: str = "dev") -> Observed:
    properties = {"EndpointAddress": address["host"], "EndpointPort": address["port"]}
    return Observed("replica", properties, {ENVIRONMENT: environment})


def written(aws: Aws, text: str) -> None:
    aws.secretsmanager.create_secret(Name=NAME, SecretString=text)


def test_a_replica_is_taken_out_and_everything_else_stays(aws: Aws) -> None:
    written(aws, json.dumps({"host": "primary.example", "port": 5432, "replicas": [ONE, TWO], "own": "kept"}))

    leave(aws, replica(ONE))

    value = json.loads(aws.secretsmanager.get_secret_value(SecretId=NAME)["SecretString"])
    assert value == {"host": "primary.example", "port": 5432, "replicas": [TWO], "own": "kept"}


@pytest.mark.parametrize(
    "text",
    ['{"host": "primary.example"}', json.dumps({"replicas": [TWO]}), '{"replicas": "none"}', "no JSON", "[1]"],
)
def test_a_secret_that_does_not_name_it_is_not_written(aws: Aws, the_faults: Faults, text: str) -> None:
    written(aws, text)

    leave(aws, replica(ONE))

    assert "secretsmanager.PutSecretValue" not in the_faults.calls


def test_a_missing_secret_and_that_of_another_environment_are_no_obstacle(aws: Aws) -> None:
    leave(aws, replica(ONE))
    written(aws, json.dumps({"replicas": [ONE]}))

    leave(aws, replica(ONE, environment="prod"))

    assert json.loads(aws.secretsmanager.get_secret_value(SecretId=NAME)["SecretString"]) == {"replicas": [ONE]}
