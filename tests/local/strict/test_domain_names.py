"""Domain names of API Gateway and their mappings: what AWS refuses, where moto accepts or fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orderops.local.strict.delays import Delays
from support.laptop import until
from support.strict_account import strict_account
from support.strict_clients import Client, Refused

NAME = "orders.example.com"


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Client]:
    """An emulator that issues certificates soon, for tests that look at names and not at certificates."""
    with strict_account(Delays(certificate=0.05, domain=0.5)) as client:
        yield client


def issued(strict: Client, name: str = NAME) -> str:
    acm, route53 = strict("acm"), strict("route53")
    arn = str(acm.request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"])
    domain = name.removeprefix("*.").partition(".")[2] if name[0] != "*" else name[2:]
    zone = route53.create_hosted_zone(Name=domain, CallerReference=name)["HostedZone"]["Id"]

    def record() -> Any:
        options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
        return options[0].get("ResourceRecord")

    proof = until(record, what="the record is shown")
    values = {"Name": proof["Name"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": proof["Value"]}]}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": values}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)

    def status() -> bool:
        return bool(acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED")

    until(status, what="the certificate is issued")
    return arn


def configuration(arn: str, **more: Any) -> list[dict[str, Any]]:
    return [{"CertificateArn": arn, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2", **more}]


@pytest.fixture
def certificate(strict: Client) -> str:
    return issued(strict)


@pytest.fixture
def name(strict: Client, certificate: str) -> str:
    strict("apigatewayv2").create_domain_name(DomainName=NAME, DomainNameConfigurations=configuration(certificate))
    until(lambda: status_of(strict) == "AVAILABLE", what="the name is available")
    return NAME


@pytest.fixture
def api(strict: Client) -> str:
    gateway = strict("apigatewayv2")
    id = str(gateway.create_api(Name="orders", ProtocolType="HTTP")["ApiId"])
    gateway.create_stage(ApiId=id, StageName="$default", AutoDeploy=True)
    return id


def status_of(strict: Client) -> str:
    found = strict("apigatewayv2").get_domain_name(DomainName=NAME)
    return str(found["DomainNameConfigurations"][0]["DomainNameStatus"])


def test_a_name_is_updating_for_a_while_and_has_what_an_alias_needs(strict: Client, certificate: str) -> None:
    gateway = strict("apigatewayv2")

    made = gateway.create_domain_name(DomainName=NAME, DomainNameConfigurations=configuration(certificate))

    [shown] = made["DomainNameConfigurations"]
    assert shown["DomainNameStatus"] == "UPDATING"
    assert shown["ApiGatewayDomainName"].endswith(".execute-api.ap-southeast-2.amazonaws.com")
    assert shown["HostedZoneId"]
    until(lambda: status_of(strict) == "AVAILABLE", what="the name is available")


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        (NAME, {"EndpointType": "EDGE"}, "Only REGIONAL"),
        (NAME, {"SecurityPolicy": "TLS_1_0"}, "Only TLS_1_2"),
        ("shop.example.com", {}, "not covered"),
        (NAME, {"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1"}, "must be in ap-southeast-2"),
        (NAME, {"CertificateArn": "arn:aws:acm:ap-southeast-2:123456789012:certificate/1"}, "does not exist"),
        ("under_score.example.com", {}, "is not valid"),
    ],
    ids=["edge", "TLS 1.0", "another name", "another region", "unknown", "not a name"],
)
def test_a_name_without_what_aws_asks_for_is_refused(
    strict: Client, certificate: str, name: str, more: dict[str, str], why: str
) -> None:
    wanted = configuration(certificate, **more)

    with pytest.raises(ClientError, match=rf"BadRequestException.*{why}"):
        strict("apigatewayv2").create_domain_name(DomainName=name, DomainNameConfigurations=wanted)


def test_a_certificate_that_is_not_issued_is_refused(strict: Client, refused: Refused) -> None:
    arn = strict("acm").request_certificate(DomainName=NAME, ValidationMethod="DNS")["CertificateArn"]

    with refused("BadRequestException"):
        strict("apigatewayv2").create_domain_name(DomainName=NAME, DomainNameConfigurations=configuration(arn))


def test_a_wildcard_covers_one_label(strict: Client, refused: Refused) -> None:
    wildcard = configuration(issued(strict, "*.example.com"))
    gateway = strict("apigatewayv2")

    gateway.create_domain_name(DomainName=NAME, DomainNameConfigurations=wildcard)

    with refused("BadRequestException"):
        gateway.create_domain_name(DomainName="a.b.example.com", DomainNameConfigurations=wildcard)


def test_a_name_is_there_once(strict: Client, name: str, certificate: str, refused: Refused) -> None:
    with refused("ConflictException"):
        strict("apigatewayv2").create_domain_name(DomainName=name, DomainNameConfigurations=configuration(certificate))


def test_a_mapping_leads_to_a_stage_that_exists_and_a_name_has_one_for_all_paths(
    strict: Client, name: str, api: str, refused: Refused
) -> None:
    gateway = strict("apigatewayv2")

    with refused("BadRequestException"):
        gateway.create_api_mapping(DomainName=name, ApiId=api, Stage="live")
    with refused("BadRequestException"):
        gateway.create_api_mapping(DomainName=name, ApiId="none", Stage="$default")
    gateway.create_api_mapping(DomainName=name, ApiId=api, Stage="$default")

    with refused("ConflictException"):
        gateway.create_api_mapping(DomainName=name, ApiId=api, Stage="$default")


def test_a_stage_and_an_api_that_a_name_leads_to_stay(strict: Client, name: str, api: str, refused: Refused) -> None:
    gateway = strict("apigatewayv2")
    mapping = gateway.create_api_mapping(DomainName=name, ApiId=api, Stage="$default")["ApiMappingId"]

    with refused("BadRequestException"):
        gateway.delete_stage(ApiId=api, StageName="$default")
    with refused("BadRequestException"):
        gateway.delete_api(ApiId=api)

    gateway.delete_api_mapping(DomainName=name, ApiMappingId=mapping)
    gateway.delete_api(ApiId=api)


def test_a_certificate_is_in_use_until_the_name_is_deleted(
    strict: Client, name: str, certificate: str, refused: Refused
) -> None:
    with refused("ResourceInUseException"):
        strict("acm").delete_certificate(CertificateArn=certificate)

    strict("apigatewayv2").delete_domain_name(DomainName=name)

    strict("acm").delete_certificate(CertificateArn=certificate)


def test_an_alias_leads_to_the_name_by_its_own_zone_alone(strict: Client, name: str, refused: Refused) -> None:
    [shown] = strict("apigatewayv2").get_domain_name(DomainName=name)["DomainNameConfigurations"]
    route53 = strict("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    target = {"DNSName": shown["ApiGatewayDomainName"], "EvaluateTargetHealth": False}

    def batch(hosted_zone: str) -> dict[str, Any]:
        alias = {"Name": name, "Type": "A", "AliasTarget": {**target, "HostedZoneId": hosted_zone}}
        return {"Changes": [{"Action": "CREATE", "ResourceRecordSet": alias}]}

    with refused("InvalidChangeBatch"):
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch("Z1OTHER"))
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch(shown["HostedZoneId"]))
