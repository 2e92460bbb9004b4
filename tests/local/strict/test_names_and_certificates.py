"""ACM and Route 53: what moto accepts and AWS refuses, and when a certificate is issued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal import moto_api_backend

from orderops.local.emulator.persistence import dump, load
from support.emulated_network import Network, until
from support.strict_clients import Client, Refused

NAME = "orders.example.com"
NOTHING = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


def zone(client: Client, name: str = "example.com") -> str:
    return str(client("route53").create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"])


def change(client: Client, zone_id: str, action: str, **record: Any) -> None:
    changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    client("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=changes)


def address(value: str = "192.0.2.7", name: str = NAME) -> dict[str, Any]:
    return {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]}


def cname(name: str = NAME, value: str = "shop.example.net.") -> dict[str, Any]:
    return {"Name": name, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": value}]}


def requested(client: Client, name: str = NAME, **more: Any) -> str:
    answer = client("acm").request_certificate(DomainName=name, ValidationMethod="DNS", **more)
    return str(answer["CertificateArn"])


def described(client: Client, arn: str) -> dict[str, Any]:
    return dict(client("acm").describe_certificate(CertificateArn=arn)["Certificate"])


def proof(client: Client, arn: str) -> dict[str, Any]:
    return dict(until_shown(client, arn))


def until_shown(client: Client, arn: str) -> dict[str, Any]:
    def record() -> Any:
        return described(client, arn)["DomainValidationOptions"][0].get("ResourceRecord")

    until(record)
    return dict(record())


def test_a_certificate_is_issued_once_its_record_is_in_the_zone(strict: Client) -> None:
    arn, ours = requested(strict), zone(strict)
    assert "ResourceRecord" not in described(strict, arn)["DomainValidationOptions"][0]
    record = proof(strict, arn)
    assert described(strict, arn)["Status"] == "PENDING_VALIDATION"

    change(strict, ours, "UPSERT", **cname(record["Name"], record["Value"]))

    until(lambda: described(strict, arn)["Status"] == "ISSUED")


def test_a_token_has_letters_and_digits_only(moto: Client, strict: Client, refused: Refused) -> None:
    requested(moto, IdempotencyToken="with-hyphens")

    with refused("ValidationException"):
        requested(strict, IdempotencyToken="with-hyphens")


def test_the_token_of_a_deleted_certificate_makes_another_one(strict: Client) -> None:
    first = requested(strict, IdempotencyToken="one")
    assert requested(strict, IdempotencyToken="one") == first
    strict("acm").delete_certificate(CertificateArn=first)

    assert requested(strict, IdempotencyToken="one") != first


def test_a_certificate_has_at_most_ten_names_and_a_first_one_of_64_characters(strict: Client, refused: Refused) -> None:
    names = [f"{number}.example.com" for number in range(10)]
    requested(strict, names[0], SubjectAlternativeNames=names)

    with refused("LimitExceededException"):
        requested(strict, NAME, SubjectAlternativeNames=names)
    with refused("InvalidDomainValidationOptionsException"):
        requested(strict, f"{'a' * 60}.example.com")


def test_a_certificate_that_a_listener_uses_is_not_deleted(strict: Client, moto: Client, refused: Refused) -> None:
    network = Network(moto)
    balancer = strict("elbv2").create_load_balancer(Name="front", Subnets=network.subnets)["LoadBalancers"][0]
    arn, ours = requested(strict), zone(strict)
    record = proof(strict, arn)
    change(strict, ours, "UPSERT", **cname(record["Name"], record["Value"]))
    until(lambda: described(strict, arn)["Status"] == "ISSUED")
    listener: dict[str, Any] = {
        "LoadBalancerArn": balancer["LoadBalancerArn"],
        "Protocol": "HTTPS",
        "Port": 443,
        "Certificates": [{"CertificateArn": arn}],
        "DefaultActions": [NOTHING],
    }
    with refused("SSLPolicyNotFound"):
        strict("elbv2").create_listener(**listener, SslPolicy="ELBSecurityPolicy-TLS13-9")
    strict("elbv2").create_listener(**listener, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")

    with refused("ResourceInUseException"):
        strict("acm").delete_certificate(CertificateArn=arn)


@pytest.mark.parametrize(
    ("before", "action", "record", "words"),
    [
        ([address()], "CREATE", address(), "already exists"),
        ([], "DELETE", address(), "it was not found"),
        ([address()], "DELETE", address("192.0.2.8"), "do not match the current values"),
        ([address()], "UPSERT", cname(), "conflicts with other records"),
        ([cname()], "UPSERT", address(), "conflicts with other records"),
        ([], "CREATE", cname("example.com"), "not permitted at apex"),
        (
            [],
            "CREATE",
            {
                "Name": NAME,
                "Type": "A",
                "AliasTarget": {"HostedZoneId": "Z1", "DNSName": "a.example.net.", "EvaluateTargetHealth": True},
            },
            "does not lie within the target zone",
        ),
    ],
)
def test_a_change_that_does_not_fit_the_zone_is_refused(
    strict: Client, before: list[dict[str, Any]], action: str, record: dict[str, Any], words: str
) -> None:
    ours = zone(strict)
    for one in before:
        change(strict, ours, "CREATE", **one)

    with pytest.raises(ClientError, match=words) as caught:
        change(strict, ours, action, **record)

    assert caught.value.response["Error"]["Code"] == "InvalidChangeBatch"


def test_a_deleted_record_can_be_made_again(strict: Client) -> None:
    ours = zone(strict)
    change(strict, ours, "CREATE", **address(name="z.example.com"))
    for action in ("CREATE", "DELETE", "CREATE"):
        change(strict, ours, action, **address())


def test_a_look_up_lists_the_zones_from_the_name_on(moto: Client, strict: Client) -> None:
    for name in ("example.com", "alpha.com", "example.net"):
        zone(strict, name)

    def listed(client: Client) -> list[str]:
        found = client("route53").list_hosted_zones_by_name(DNSName="example.com")["HostedZones"]
        return [one["Name"] for one in found]

    assert listed(moto) == ["example.com."]
    assert listed(strict) == ["example.com.", "example.net."]


def test_a_wildcard_is_returned_as_an_octal_escape(strict: Client) -> None:
    ours = zone(strict)
    change(strict, ours, "CREATE", **address(name="*.example.com"))

    found = strict("route53").list_resource_record_sets(HostedZoneId=ours)["ResourceRecordSets"]

    assert r"\052.example.com." in {record["Name"] for record in found}


def test_a_certificate_is_the_same_after_a_restart(strict: Client, tmp_path: Path) -> None:
    arn = requested(strict)
    proof(strict, arn)
    before = described(strict, arn)
    (tmp_path / "state").write_bytes(dump(None))

    moto_api_backend.reset()
    load(tmp_path / "state")

    after = described(strict, arn)
    for answer in (before, after):
        answer["SubjectAlternativeNames"].sort()
    assert after == before


def test_the_days_that_an_issued_certificate_has_left_are_a_metric(strict: Client) -> None:
    def days(arn: str) -> list[float]:
        answer = strict("cloudwatch").get_metric_statistics(
            Namespace="AWS/CertificateManager",
            MetricName="DaysToExpiry",
            Dimensions=[{"Name": "CertificateArn", "Value": arn}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=86_400,
            Statistics=["Minimum"],
        )
        return [point["Minimum"] for point in answer["Datapoints"]]

    arn, ours = requested(strict), zone(strict)
    record = proof(strict, arn)
    assert days(arn) == []

    change(strict, ours, "UPSERT", **cname(record["Name"], record["Value"]))

    until(lambda: described(strict, arn)["Status"] == "ISSUED")
    left = described(strict, arn)["NotAfter"] - datetime.now(UTC)
    assert days(arn) == [left.days]
