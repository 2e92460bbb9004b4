"""Certificates, web ACLs, records and keys: what stands in front of a balancer and beside it."""

from __future__ import annotations

from typing import Any

from local.strict.test_elbv2 import create, listen, state
from support.emulated_network import Network, until
from support.strict_clients import Client, Refused

DOMAIN = "orders.example.org"
VISIBLE = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "orders"}


def describe(client: Client, arn: str) -> dict[str, Any]:
    return dict(client("acm").describe_certificate(CertificateArn=arn)["Certificate"])


def record(client: Client, arn: str) -> dict[str, str]:
    """The record that a certificate wants, empty while it does not say."""
    return dict(describe(client, arn)["DomainValidationOptions"][0].get("ResourceRecord", {}))


def change(client: Client, zone: str, action: str, **asked: Any) -> dict[str, Any]:
    whole = {"Type": "CNAME", "TTL": 60, **asked}
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": whole}]}
    answer = client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    return dict(answer["ChangeInfo"])


def zone_of(client: Client, reference: str = "once") -> str:
    return str(client("route53").create_hosted_zone(Name="example.org", CallerReference=reference)["HostedZone"]["Id"])


def acl(client: Client, name: str = "orders") -> dict[str, str]:
    made = client("wafv2").create_web_acl(
        Name=name, Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=VISIBLE
    )
    return dict(made["Summary"])


def delete_acl(client: Client, summary: dict[str, str]) -> None:
    named = {key: summary[key] for key in ("Name", "Id", "LockToken")}
    client("wafv2").delete_web_acl(**named, Scope="REGIONAL")


def test_a_certificate_is_issued_when_its_record_is_there(moto: Client, strict: Client) -> None:
    plain = moto("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]
    assert record(moto, plain)

    arn = strict("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"]

    assert record(strict, arn) == {}
    wanted = until(lambda: record(strict, arn))
    assert describe(strict, arn)["Status"] == "PENDING_VALIDATION"
    assert "IssuedAt" not in describe(strict, arn)
    values = [{"Value": wanted["Value"]}]
    change(strict, zone_of(strict), "UPSERT", Name=wanted["Name"], ResourceRecords=values)
    assert describe(strict, arn)["Status"] == "ISSUED"


def test_a_certificate_in_use_stays(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    zone = zone_of(moto)
    arns = [moto("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"] for _ in range(2)]
    wanted = record(moto, arns[0])
    change(moto, zone, "UPSERT", Name=wanted["Name"], ResourceRecords=[{"Value": wanted["Value"]}])
    balancer = create(strict, network)
    listeners = [
        listen(strict, balancer, Port=port, Protocol="HTTPS", Certificates=[{"CertificateArn": arn}])
        for port, arn in zip((443, 444), arns, strict=True)
    ]
    moto("acm").delete_certificate(CertificateArn=arns[0])

    with refused("ResourceInUseException"):
        strict("acm").delete_certificate(CertificateArn=arns[1])
    assert describe(strict, arns[1])["InUseBy"] == [balancer["LoadBalancerArn"]]
    strict("elbv2").delete_listener(ListenerArn=listeners[1])
    strict("acm").delete_certificate(CertificateArn=arns[1])


def test_a_change_of_records_is_pending_for_a_while(moto: Client, strict: Client, refused: Refused) -> None:
    zone, address = zone_of(moto), {"Name": DOMAIN, "ResourceRecords": [{"Value": "a.example.org"}]}
    assert change(moto, zone, "UPSERT", **address)["Status"] == "INSYNC"

    made = change(strict, zone, "UPSERT", **address)

    def status() -> str:
        return str(strict("route53").get_change(Id=made["Id"])["ChangeInfo"]["Status"])

    assert made["Status"] == "PENDING"
    assert status() == "PENDING"
    until(lambda: status() == "INSYNC")
    with refused("NoSuchChange"):
        strict("route53").get_change(Id="C000000000")


def test_a_record_is_deleted_as_it_stands_and_created_once(moto: Client, strict: Client, refused: Refused) -> None:
    zone = zone_of(moto)
    right, wrong = ({"Name": DOMAIN, "ResourceRecords": [{"Value": value}]} for value in ("a.org", "b.org"))
    change(moto, zone, "UPSERT", **right)
    for _ in range(2):
        change(moto, zone, "DELETE", **right)
    change(moto, zone, "UPSERT", **right)

    with refused("InvalidChangeBatch"):
        change(strict, zone, "CREATE", **right)
    with refused("InvalidChangeBatch"):
        change(strict, zone, "DELETE", **wrong)
    change(strict, zone, "DELETE", **right)
    with refused("InvalidChangeBatch"):
        change(strict, zone, "DELETE", **right)


def test_a_zone_is_made_once_for_a_reference(moto: Client, strict: Client, refused: Refused) -> None:
    assert zone_of(moto) != zone_of(moto)

    with refused("HostedZoneAlreadyExists"):
        zone_of(strict)
    zone_of(strict, "twice")


def test_a_web_acl_in_front_of_something_stays(moto: Client, strict: Client, refused: Refused) -> None:
    network = Network(moto)
    first, second = acl(moto, "first"), acl(moto, "second")
    balancer = create(strict, network)
    arn = balancer["LoadBalancerArn"]
    moto("wafv2").associate_web_acl(WebACLArn=first["ARN"], ResourceArn=arn)
    delete_acl(moto, first)

    with refused("WAFUnavailableEntityException"):
        strict("wafv2").associate_web_acl(WebACLArn=second["ARN"], ResourceArn=arn)
    until(lambda: state(strict, balancer) == "active")
    strict("wafv2").associate_web_acl(WebACLArn=second["ARN"], ResourceArn=arn)
    with refused("WAFAssociatedItemException"):
        delete_acl(strict, second)
    strict("elbv2").delete_load_balancer(LoadBalancerArn=arn)
    delete_acl(strict, second)


def test_a_web_acl_has_a_name_of_its_own_and_logs_to_what_is_named_for_it(
    moto: Client, strict: Client, refused: Refused
) -> None:
    made = acl(moto)
    with refused("WafV2DuplicateItem"):
        acl(moto)
    with refused("WAFDuplicateItemException"):
        acl(strict)
    logs = "arn:aws:logs:ap-southeast-2:123456789012:log-group:"
    for name in ("/orderops/waf", "aws-waf-logs-orders"):
        configuration = {"ResourceArn": made["ARN"], "LogDestinationConfigs": [logs + name]}
        moto("wafv2").put_logging_configuration(LoggingConfiguration=configuration)

    with refused("WAFInvalidParameterException"):
        configuration["LogDestinationConfigs"] = [logs + "/orderops/waf"]
        strict("wafv2").put_logging_configuration(LoggingConfiguration=configuration)


def test_a_key_that_is_disabled_or_about_to_go_is_of_no_use(moto: Client, strict: Client, refused: Refused) -> None:
    key = moto("kms").create_key()["KeyMetadata"]["KeyId"]
    moto("kms").create_alias(AliasName="alias/orders", TargetKeyId=key)
    secret = moto("kms").encrypt(KeyId=key, Plaintext=b"order")["CiphertextBlob"]

    def use(client: Client) -> None:
        client("kms").encrypt(KeyId="alias/orders", Plaintext=b"order")
        client("kms").decrypt(CiphertextBlob=secret)

    use(strict)
    moto("kms").disable_key(KeyId=key)
    use(moto)
    with refused("DisabledException"):
        strict("kms").encrypt(KeyId="alias/orders", Plaintext=b"order")
    with refused("DisabledException"):
        strict("kms").decrypt(CiphertextBlob=secret)
    moto("kms").schedule_key_deletion(KeyId=key)
    use(moto)
    with refused("KMSInvalidStateException"):
        strict("kms").decrypt(CiphertextBlob=secret)
    with refused("KMSInvalidStateException"):
        strict("kms").enable_key(KeyId=key)
