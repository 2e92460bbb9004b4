"""Service Quotas answers with the limits of a new account, of which moto knows a few."""

from __future__ import annotations

import pytest

from support.strict_clients import Client, Refused


@pytest.mark.parametrize(
    ("service", "code", "value"),
    [
        ("ec2", "L-0263D0A3", 5.0),
        ("vpc", "L-F678F1CE", 5.0),
        ("vpc", "L-FE5A380F", 5.0),
        ("rds", "L-7B6409FD", 40.0),
        ("fargate", "L-3032A538", 6.0),
    ],
)
def test_the_default_of_a_quota_is_the_documented_one(strict: Client, service: str, code: str, value: float) -> None:
    quota = strict("service-quotas").get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]

    assert (quota["QuotaCode"], quota["Value"]) == (code, value)


def test_a_quota_that_was_never_changed_has_no_applied_value(strict: Client, refused: Refused) -> None:
    with refused("NoSuchResourceException"):
        strict("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")
    with refused("NoSuchResourceException"):
        strict("service-quotas").get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")

    applied = strict("service-quotas").get_service_quota(ServiceCode="fargate", QuotaCode="L-3032A538")
    assert applied["Quota"]["Value"] == 6.0
