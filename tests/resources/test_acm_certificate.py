"""Certificates of ACM, in the strict emulator: moto issues them whatever the DNS holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.engine.inventory import Inventory
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Outputs, State
from orderops.engine.step import Action
from orderops.errors import Unfinished
from orderops.frozen import replace
from orderops.resources.acm_certificate import AcmCertificate, certificate_name
from orderops.resources.route53_zones import change_records, record_of, zone_id
from support.contract import Up, keeps_its_promises, remove
from support.emulated_account import QUICK
from support.strict_account import strict_account, strict_aws

NAME = "orders.example.com"
CERTIFICATE = AcmCertificate(NAME, (NAME,), "example.com")
BOTH = AcmCertificate(certificate_name((NAME, "shop.example.com")), (NAME, "shop.example.com"), "example.com")


@pytest.fixture
def aws(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with strict_account() as account:
        aws = strict_aws(account, monkeypatch)
        aws.route53.create_hosted_zone(Name="example.com", CallerReference="ours")
        yield aws


def described(aws: Aws) -> list[dict[str, Any]]:
    found = aws.acm.list_certificates()["CertificateSummaryList"]
    return [aws.acm.describe_certificate(CertificateArn=raw["CertificateArn"])["Certificate"] for raw in found]


def proof(aws: Aws) -> dict[str, Any] | None:
    (certificate,) = described(aws)
    record = certificate["DomainValidationOptions"][0]["ResourceRecord"]
    return record_of(aws, zone_id(aws, "example.com"), record["Name"], "CNAME")


def test_the_resource_contract_is_fulfilled(aws: Aws, up: Up) -> None:
    keeps_its_promises(CERTIFICATE, aws, up)


def test_it_is_done_when_acm_has_issued_it(aws: Aws, up: Up) -> None:
    up(CERTIFICATE)

    (certificate,) = described(aws)
    assert (certificate["Status"], certificate["DomainName"]) == ("ISSUED", NAME)


def test_a_record_that_was_removed_is_made_again_since_renewals_need_it(aws: Aws, up: Up) -> None:
    up(CERTIFICATE)
    change_records(aws, zone_id(aws, "example.com"), ("DELETE", proof(aws) or {}))

    assert up(CERTIFICATE)[CERTIFICATE.address].changes == {"ProvenNames": ([], [NAME])}
    assert proof(aws)
    assert up(CERTIFICATE)[CERTIFICATE.address].action is Action.NO_OP


def test_a_certificate_that_is_not_issued_yet_can_be_deleted(aws: Aws, up: Up) -> None:
    by_hand = replace(CERTIFICATE, zone="")
    pending: list[str] = []
    limits = replace(QUICK, timeout=timedelta(seconds=1))
    inventory = Inventory(aws, "dev", [AcmCertificate])
    steps = reconcile([by_hand], inventory, on_wait=lambda _, why: pending.append(why), limits=limits)
    with pytest.raises(Unfinished):
        list(steps)
    # The operator is told what to make where no zone of ours holds the name.
    assert any("create at your DNS provider: _" in why and "CNAME" in why for why in pending)

    remove(by_hand, aws)

    assert described(aws) == []


def test_deleting_one_of_two_certificates_keeps_the_record_that_the_other_needs(aws: Aws, up: Up) -> None:
    up(CERTIFICATE)
    up(BOTH)

    remove(CERTIFICATE, aws)

    assert proof(aws)
    assert up(BOTH)[BOTH.address].action is Action.NO_OP
    remove(BOTH, aws)
    records = aws.route53.list_resource_record_sets(HostedZoneId=zone_id(aws, "example.com"))["ResourceRecordSets"]
    assert {record["Type"] for record in records} == {"NS", "SOA"}


def test_an_equal_certificate_of_another_environment_is_left_alone(aws: Aws, up: Up) -> None:
    up(CERTIFICATE, environment="staging")

    assert up(CERTIFICATE)[CERTIFICATE.address].action is Action.CREATE
    remove(CERTIFICATE, aws)

    assert len(described(aws)) == 1


@pytest.mark.parametrize(
    ("status", "state"), [("FAILED", State.FAILED), ("VALIDATION_TIMED_OUT", State.FAILED), ("ISSUED", State.READY)]
)
def test_a_certificate_that_acm_gave_up_is_failed_with_its_reason(
    answers: Callable[..., Aws], status: str, state: State
) -> None:
    aws = answers(status)

    (observed,) = Inventory(aws, "dev", [AcmCertificate])._listings[AcmCertificate]()

    assert (observed.state, observed.status) == (state, f"{status}: CAA_ERROR")


@pytest.fixture
def answers(aws: Aws, up: Up, session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Aws]:
    def with_status(status: str) -> Aws:
        up(CERTIFICATE)
        real = Aws.send

        def send(self: Aws, service: str, operation: str, params: Any, **more: Any) -> Any:
            answer = real(self, service, operation, params, **more)
            if operation == "describe_certificate":
                answer["Certificate"] |= {"Status": status, "FailureReason": "CAA_ERROR"}
            return answer

        monkeypatch.setattr(Aws, "send", send)
        return aws

    return with_status


def test_desired_needs_no_other_resource() -> None:
    assert CERTIFICATE.desired(Outputs())["Names"] == [NAME]
