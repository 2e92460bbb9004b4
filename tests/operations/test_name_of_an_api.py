"""The way of a name from the load balancer to an API and back: it never leads to where no tasks are."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.engine.step import Action
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from orderops.infra.workspace import Workspace
from support.dev_accounts import IMAGES
from support.edge_environments import workspace_of
from support.faulty_proxy import Proxy
from support.proxy_clients import add_zone, client

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

NAME = "orders.example.com"
DOMAIN = f'\n[domain]\nname = "{NAME}"\nzone = "example.com"\n'
BOTH = '\n[api]\ntype = "http"\nbalancer = "both"\n'
ALIAS = f"route53-alias/{NAME}"
SERVICE = "ecs-service/orderops-dev-order-processor"


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Proxy:
    """The environment dev, running without a name, in an account with the hosted zone example.com."""
    proxy.bring_back(dev_released)
    add_zone(proxy)
    return proxy


def led_to(proxy: Proxy) -> str:
    """What the record of the name leads to."""
    route53 = client(proxy, "route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    found = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return next((str(one["AliasTarget"]["DNSName"]) for one in found if "AliasTarget" in one), "")


def brought_up(workspace: Workspace) -> list[str]:
    """Everything that one `up --prune` changes, in order."""
    run = Apply(workspace, IMAGES, make_plan(workspace, images=IMAGES, prune=True))
    steps = [*run.infra(), *run.release(), *run.names(), *run.prune(), *run.narrow()]
    return [step.address for step in steps if step.action is not Action.NO_OP]


def test_a_name_is_led_to_an_api_after_the_release_and_back_before_the_api_is_deleted(
    dev: Proxy, tmp_path: Path
) -> None:
    named = workspace_of(dev.url, tmp_path / "named", DOMAIN)
    brought_up(named)
    assert ".elb." in led_to(dev)

    forth = brought_up(workspace_of(dev.url, tmp_path / "both", DOMAIN + BOTH))

    assert ".execute-api." in led_to(dev)
    for before in (f"apigatewayv2-mapping/{NAME}", "apigatewayv2-stage/orderops-dev-api:default", SERVICE):
        assert forth.index(before) < forth.index(ALIAS), before

    back = brought_up(workspace_of(dev.url, tmp_path / "named", DOMAIN))

    assert ".elb." in led_to(dev)
    gone = [f"apigatewayv2-mapping/{NAME}", f"apigatewayv2-domain-name/{NAME}", "apigatewayv2-api/orderops-dev-api"]
    assert back.index(ALIAS) < min(map(back.index, gone))
    assert back.index(gone[0]) < back.index(gone[1])
    assert not make_plan(named, images=IMAGES, prune=True).differs


def test_the_infrastructure_alone_does_not_lead_a_name_to_an_api_without_tasks(dev: Proxy, tmp_path: Path) -> None:
    brought_up(workspace_of(dev.url, tmp_path / "named", DOMAIN))
    both = workspace_of(dev.url, tmp_path / "both", DOMAIN + BOTH)

    plan = make_plan(both)
    assert ALIAS not in [step.address for step in plan.steps]
    run = Apply(both, plan=plan)
    done = [step.address for step in [*run.infra(), *run.names(), *run.narrow()] if step.action is not Action.NO_OP]

    assert f"apigatewayv2-mapping/{NAME}" in done
    assert ".elb." in led_to(dev)
    assert ALIAS in brought_up(both)
    assert ".execute-api." in led_to(dev)
