from __future__ import annotations

from support.strict_clients import Client, Refused


def test_a_retention_period_that_aws_lacks_is_refused(moto: Client, strict: Client, refused: Refused) -> None:
    moto("logs").create_log_group(logGroupName="/orderops/a")
    moto("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)

    with refused("InvalidParameterException"):
        strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=10)
    strict("logs").put_retention_policy(logGroupName="/orderops/a", retentionInDays=7)
