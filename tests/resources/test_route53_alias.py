"""Alias records: they lead to the load balancer of an environment, and belong to it for that alone."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.aws.ownership import Ownership
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.ec2_internet_gateway import Ec2InternetGateway
from orderops.resources.route53_alias import Route53Alias
from orderops.resources.route53_zones import change_records, record_of, zone_id
from support.contract import Up, keeps_its_promises
from support.declared_name import DOMAIN, MAPPING
from support.declared_service import BALANCER as PRIVATE
from support.declared_service import LISTENER, RULE, VPC
from support.strict_account import strict_account, strict_aws

NAME = "orders.example.com"
BALANCER = replace(PRIVATE, gateway=Ec2InternetGateway("orderops-dev-internet", VPC))
SERVED = replace(RULE, listener=replace(LISTENER, load_balancer=BALANCER))
CERTIFICATE = AcmCertificate(NAME, (NAME,), "example.com")
ALIAS = Route53Alias(NAME, BALANCER, CERTIFICATE, (SERVED,), "example.com")
TO_API = Route53Alias(NAME, DOMAIN, DOMAIN.certificate, (MAPPING,), "example.com")


@pytest.fixture
def aws(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with strict_account() as account:
        aws = strict_aws(account, monkeypatch)
        aws.route53.create_hosted_zone(Name="example.com", CallerReference="ours")
        yield aws


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(ALIAS, aws, up)


def test_it_leads_to_the_load_balancer_as_long_as_that_has_healthy_targets(aws: Aws, up: Up) -> None:
    up(ALIAS)

    (balancer,) = aws.elbv2.describe_load_balancers()["LoadBalancers"]
    record = record_of(aws, zone_id(aws, "example.com"), NAME, "A")
    assert record
    assert record["AliasTarget"] == {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": f"{balancer['DNSName']}.",
        "EvaluateTargetHealth": True,
    }


def test_a_record_for_the_same_load_balancer_made_in_the_console_is_ours(aws: Aws, up: Up) -> None:
    """The console writes `dualstack.` in front of the name."""
    up(ALIAS)
    zone = zone_id(aws, "example.com")
    record = record_of(aws, zone, NAME, "A") or {}
    target = record["AliasTarget"]
    target |= {"DNSName": f"dualstack.{target['DNSName']}", "EvaluateTargetHealth": False}
    change_records(aws, zone, ("UPSERT", {**record, "AliasTarget": target}))

    assert up(ALIAS)[ALIAS.address].changes == {"EvaluateTargetHealth": (False, True)}
    assert up(ALIAS)[ALIAS.address].action is Action.NO_OP


@pytest.mark.parametrize("kind, value", [("A", "192.0.2.7"), ("CNAME", "shop.example.net")])
def test_a_name_that_leads_elsewhere_is_refused(aws: Aws, up: Up, kind: str, value: str) -> None:
    zone = zone_id(aws, "example.com")
    record = {"Name": NAME, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    change_records(aws, zone, ("CREATE", record))

    with pytest.raises(Unfinished, match=f"{NAME} leads to {value} already"):
        up(ALIAS)

    found = record_of(aws, zone, NAME, kind)
    assert found
    assert found["ResourceRecords"] == [{"Value": value}]


def test_the_alias_of_another_environment_is_not_listed(aws: Aws, up: Up) -> None:
    up(ALIAS)

    assert [observed.name for observed in Route53Alias.listing(aws, Ownership("dev"))] == [NAME]
    assert list(Route53Alias.listing(aws, Ownership("dev-balancer", ALIAS.address, NAME))) == []
    assert list(Route53Alias.listing(aws, Ownership("staging", ALIAS.address, NAME))) == []


def test_the_contract_is_fulfilled_by_an_alias_of_an_api_too(aws: Aws, up: Up) -> None:
    keeps_its_promises(TO_API, aws, up)


def test_a_name_goes_over_to_an_api_and_back_in_one_change_each(aws: Aws, up: Up) -> None:
    up(ALIAS)

    assert up(TO_API)[ALIAS.address].action is Action.UPDATE

    [configuration] = aws.apigatewayv2.get_domain_name(DomainName=NAME)["DomainNameConfigurations"]
    record = record_of(aws, zone_id(aws, "example.com"), NAME, "A") or {}
    assert record["AliasTarget"] == {
        "HostedZoneId": configuration["HostedZoneId"],
        "DNSName": f"{configuration['ApiGatewayDomainName']}.",
        "EvaluateTargetHealth": False,
    }
    assert [observed.name for observed in Route53Alias.listing(aws, Ownership("dev"))] == [NAME]
    assert list(Route53Alias.listing(aws, Ownership("staging", ALIAS.address, NAME))) == []
    assert up(ALIAS)[ALIAS.address].action is Action.UPDATE
    assert up(ALIAS)[ALIAS.address].action is Action.NO_OP


def test_a_name_that_leads_to_an_api_of_someone_else_is_refused(aws: Aws, up: Up) -> None:
    up(TO_API)
    aws.apigatewayv2.untag_resource(
        ResourceArn=f"arn:aws:apigateway:ap-southeast-2::/domainnames/{NAME}", TagKeys=["orderops:environment"]
    )

    with pytest.raises(Unfinished, match=f"{NAME} leads to d-.* already"):
        up(ALIAS)
