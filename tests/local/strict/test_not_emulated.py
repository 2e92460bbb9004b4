"""Operations that moto lacks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.utils import camelcase_to_underscores
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

from orderops.local.emulator.operations import operations
from orderops.local.strict.s3 import NOT_IN_MOTO, OBJECT_ACTIONS
from support.strict_clients import Client

UNKNOWN: dict[str, dict[str, Any]] = {
    "ec2.describe_vpc_block_public_access_options": {},
    "elbv2.describe_trust_stores": {},
    "s3.list_bucket_analytics_configurations": {"Bucket": "our-bucket"},
    "acm.renew_certificate": {"CertificateArn": "arn:aws:acm:ap-southeast-2:123456789012:certificate/a"},
    "wafv2.list_available_managed_rule_groups": {"Scope": "REGIONAL"},
    "route53.list_geo_locations": {},
    "kms.describe_custom_key_stores": {},
    "cloudwatch.put_composite_alarm": {"AlarmName": "both", "AlarmRule": "ALARM(errors)"},
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_operation_that_moto_lacks_is_refused_by_name(strict: Client, name: str) -> None:
    service, _, operation = name.partition(".")
    region = {"LocationConstraint": "ap-southeast-2"}
    strict("s3").create_bucket(Bucket="our-bucket", CreateBucketConfiguration=region)

    with pytest.raises(ClientError) as refused:
        getattr(strict(service), operation)(**UNKNOWN[name])

    error = refused.value.response["Error"]
    assert error["Code"] == "NotEmulated"
    assert operation.replace("_", "") in error["Message"].lower()


def test_no_s3_operation_is_taken_for_another(strict: Client, moto: Client) -> None:
    unknown = {
        one.name
        for one in operations("s3")
        if not hasattr(S3Response, camelcase_to_underscores(one.name))
        and not hasattr(S3Backend, camelcase_to_underscores(one.name))
    }

    assert unknown - set(NOT_IN_MOTO) == {
        "ListDirectoryBuckets",  # the same request as ListBuckets
        "BucketCORSPreflightCheck",  # not an operation of AWS
        "ObjectCORSPreflightCheck",
        "PostObject",
    }
    with_a_key = {one.name for one in operations("s3") if one.path.pattern.endswith(".+")}
    assert with_a_key - {*NOT_IN_MOTO, "ObjectCORSPreflightCheck"} == set(OBJECT_ACTIONS) - {"DeleteObjects"}
    region = {"LocationConstraint": "ap-southeast-2"}
    moto("s3").create_bucket(Bucket="our-bucket", CreateBucketConfiguration=region)
    with pytest.raises(ClientError, match="NotEmulated"):
        strict("s3").delete_bucket_analytics_configuration(Bucket="our-bucket", Id="a")
    strict("s3").head_bucket(Bucket="our-bucket")
    moto("s3").delete_bucket_analytics_configuration(Bucket="our-bucket", Id="a")
    with pytest.raises(ClientError):
        moto("s3").head_bucket(Bucket="our-bucket")
