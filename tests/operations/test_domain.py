"""The name of an environment: added to a running one, changed and taken away, without a moment in which HTTP fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderops.errors import OrderopsError
from orderops.infra.apply import Apply
from orderops.infra.plan import make_plan
from support.command_line import Orderops
from support.dev_accounts import IMAGES
from support.edge_environments import applied, workspace_of
from support.faulty_proxy import Proxy
from support.proxy_clients import add_zone, client

pytest_plugins = ["support.dev_accounts"]

# End to end.
pytestmark = pytest.mark.slow

NAME = "orders.example.com"
DOMAIN = f'\n[domain]\nname = "{NAME}"\nzone = "example.com"\n'
ADDED = [
    f"acm-certificate/{NAME}",
    "elbv2-listener/orderops-dev-balancer:443",
    "elbv2-rule/orderops-dev-order-processor:443",
    f"route53-alias/{NAME}",
]
ALARMS = [
    "cloudwatch-alarm/orderops-dev-certificate-expires",
    "cloudwatch-alarm/orderops-dev-certificate-not-renewed",
]
NOTED = "ec2-vpc/orderops-dev-vpc"
"""Its tags say which features the environment has, before the first part of one is made."""
REDIRECTED = ["elbv2-listener/orderops-dev-balancer:80", "elbv2-rule/orderops-dev-order-processor:80"]


@pytest.fixture
def dev(proxy: Proxy, dev_released: bytes) -> Proxy:
    """The environment dev, running without a name, in an account with the hosted zone example.com."""
    proxy.bring_back(dev_released)
    add_zone(proxy)
    return proxy


def records(proxy: Proxy) -> set[tuple[str, str]]:
    route53 = client(proxy, "route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    found = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    return {(record["Name"], record["Type"]) for record in found if record["Type"] not in ("NS", "SOA")}


def test_a_name_is_added_before_http_is_redirected_and_taken_away_the_other_way_round(
    dev: Proxy, tmp_path: Path
) -> None:
    named = workspace_of(dev.url, tmp_path / "named", DOMAIN)

    done = applied(named)

    assert sorted(done) == sorted([*ADDED, *ALARMS, *REDIRECTED, NOTED, "ec2-security-group/orderops-dev-balancer"])
    assert done.index(NOTED) < done.index(ADDED[0])
    assert [address for address in done if address in ADDED] == ADDED
    assert max(map(done.index, ADDED)) < min(map(done.index, REDIRECTED))
    assert not make_plan(named, images=IMAGES).differs
    assert {kind for _, kind in records(dev)} == {"A", "CNAME"}

    without = workspace_of(dev.url, tmp_path / "without")
    assert sorted(applied(without)) == sorted(REDIRECTED)
    pruned = [step.address for step in Apply(without, IMAGES).prune()]
    assert [address for address in pruned if address not in ALARMS] == [ADDED[3], ADDED[2], ADDED[1], ADDED[0]]
    assert set(pruned) == {*ADDED, *ALARMS}
    assert applied(without) == ["ec2-security-group/orderops-dev-balancer"]
    assert not make_plan(without, images=IMAGES).differs
    assert records(dev) == set()


def test_a_zone_that_the_account_does_not_have_is_refused_by_the_plan(
    proxy: Proxy, dev_released: bytes, tmp_path: Path
) -> None:
    proxy.bring_back(dev_released)
    named = workspace_of(proxy.url, tmp_path, DOMAIN)

    with pytest.raises(OrderopsError, match=r"this account has no public hosted zone example\.com"):
        make_plan(named, images=IMAGES)


def test_further_names_are_another_certificate_and_the_first_one_stays_until_it_is_pruned(
    dev: Proxy, tmp_path: Path
) -> None:
    applied(workspace_of(dev.url, tmp_path, DOMAIN))
    more = workspace_of(dev.url, tmp_path, f'{DOMAIN}names = ["shop.example.com"]\nhsts_seconds = 3600\n')

    done = applied(more)

    # The listener changes over after the new certificate is issued.
    listener = "elbv2-listener/orderops-dev-balancer:443"
    assert done[0].startswith(f"acm-certificate/{NAME}+")
    served = [address for address in done[1:] if address not in ALARMS]
    assert served == [listener, "route53-alias/shop.example.com", "elbv2-rule/orderops-dev-names:80"]
    # They watch the new one.
    assert set(done) >= set(ALARMS)
    (undeclared,) = make_plan(more, images=IMAGES).undeclared
    assert undeclared.address == f"acm-certificate/{NAME}"

    assert [step.address for step in Apply(more, IMAGES).prune()] == [f"acm-certificate/{NAME}"]
    # ACM asks for the same record for both certificates, and the renewal of the one that stays needs it.
    assert len([kind for _, kind in records(dev) if kind == "CNAME"]) == 2
    assert not make_plan(more, images=IMAGES).differs


def test_a_record_of_another_host_is_not_overwritten(dev: Proxy, tmp_path: Path) -> None:
    route53 = client(dev, "route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    record = {"Name": NAME, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.7"}]}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch=changes)

    plan = make_plan(workspace_of(dev.url, tmp_path, DOMAIN), images=IMAGES)

    (step,) = [step for step in plan.steps if step.error]
    assert step.error
    assert step.address == f"route53-alias/{NAME}"
    assert f"{NAME} leads to 192.0.2.7 already" in str(step.error)
    assert step.error.hint.startswith("make that record an alias of orderops-dev-balancer-1.")


def test_down_deletes_the_records_and_the_certificate_along(
    dev: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    applied(workspace_of(dev.url, tmp_path, DOMAIN))
    orderops = Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))

    done = orderops("down", "--yes", "--confirm", "orderops-dev-database")

    assert done.code == 0, done.err
    assert records(dev) == set()
    assert client(dev, "acm").list_certificates()["CertificateSummaryList"] == []
    assert client(dev, "elbv2").describe_load_balancers()["LoadBalancers"] == []


def test_status_shows_the_days_that_the_certificate_has_left(
    dev: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    applied(workspace_of(dev.url, tmp_path, DOMAIN))
    orderops = Orderops(capsys, "--env", "dev", "--environments", str(tmp_path))

    found = orderops("status", "--json").json

    (certificate,) = [part for part in found["components"] if part["name"] == "certificate"]
    assert certificate["state"] == "ok"
    assert certificate["detail"].endswith(" days left")
    assert found["urls"]["url"] == f"https://{NAME}"
