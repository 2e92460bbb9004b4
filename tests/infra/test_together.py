"""Every key of an environment file: all that it changes belongs together, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from orderops.engine.resource import Outputs, Resource
from orderops.engine.step import Action, Step
from orderops.engine.together import held_back
from orderops.errors import OrderopsError
from orderops.frozen import replace
from orderops.infra.stack import stack
from support.environment_cases import declare

ACCOUNT = "123456789012"
FILE = """
[network]
cidr = "10.7.0.0/16"
[balancer]
port = 80
[database]
port = 5432
engine_version = "16"
[services.shop]
port = 8080
min_tasks = 1
max_tasks = 3
"""
EDITS = {
    "services.shop.port": ("port = 8080", "port = 9090"),
    "balancer.port": ("port = 80\n", "port = 8081\n"),
    "database.port": ("port = 5432", "port = 5555"),
    "database.engine_version": ('engine_version = "16"', 'engine_version = "17"'),
    "network.cidr": ('cidr = "10.7.0.0/16"', 'cidr = "10.8.0.0/16"'),
    "services.shop.secrets": ("[services.shop]\n", '[services.shop]\nsecrets = ["API_KEY"]\n'),
    "another service": ("max_tasks = 3\n", 'max_tasks = 3\n[services.billing]\npaths = ["/billing/*"]\npriority = 1\n'),
}


@pytest.mark.parametrize("key", EDITS)
def test_whatever_one_key_changes_is_held_back_if_one_of_it_is_refused(tmp_path: Path, key: str) -> None:
    resources, changed = turned_by(tmp_path, *EDITS[key])
    assert len(changed) > 1

    for refused in changed:
        steps = [
            Step(address, Action.UPDATE, {"Port": (1, 2)}, error=OrderopsError("no") if address == refused else None)
            for address in changed
        ]
        assert set(held_back(steps, resources)) == changed - {refused}


def turned_by(folder: Path, line: str, edited: str) -> tuple[list[Resource], set[str]]:
    """All resources after an edit of the file, and the addresses of those that it adds or changes."""
    before, after = (everything(folder, text) for text in (FILE, FILE.replace(line, edited, 1)))
    assert FILE.replace(line, edited, 1) != FILE
    outputs = Outputs("ap-southeast-2", ACCOUNT)
    old = {address: resource.desired(outputs) for address, resource in before.items()}
    changed = {address for address, resource in after.items() if old.get(address) != resource.desired(outputs)}
    # Alarms only watch: the system serves with and without them.
    return list(after.values()), {address for address in changed if not address.startswith("cloudwatch-alarm/")}


def everything(folder: Path, text: str) -> Mapping[str, Resource]:
    declared = stack(declare(folder, text), ACCOUNT)
    images = dict.fromkeys(declared.services, "image:1")
    return {resource.address: resource for resource in [*declared.infra, *declared.release(images)]}


def test_two_unrelated_keys_do_not_hold_each_other_back(tmp_path: Path) -> None:
    log_days = everything(tmp_path, FILE.replace("[services.shop]\n", "[services.shop]\nlog_days = 30\n"))
    steps = [
        Step("logs-group//orderops/dev/shop", Action.UPDATE, {"retentionInDays": (7, 30)}),
        Step("rds-instance/orderops-dev-database", Action.UPDATE, {"Port": (1, 2)}, error=OrderopsError("no")),
    ]

    assert held_back(steps, log_days.values()) == {}
    assert replace(steps[0], held_by="x").refused
