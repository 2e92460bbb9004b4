"""Operations that moto lacks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from orderops.local.emulator.operations import operations
from orderops.local.strict.s3 import OBJECT_ACTIONS, missing_in_moto
from support.strict_clients import Client

SETTINGS = ("Analytics", "IntelligentTiering", "Metrics")
# What the installed moto lacks of S3. A new version that has more or less of it shows here.
NOT_IN_MOTO = (
    *(f"{verb}Bucket{what}Configuration" for what in SETTINGS for verb in ("Delete", "Get", "Put")),
    *(f"ListBucket{what}Configurations" for what in SETTINGS),
    *(f"{verb}BucketMetadata{what}Configuration" for what in ("", "Table") for verb in ("Create", "Delete", "Get")),
    *(f"UpdateBucketMetadata{what}TableConfiguration" for what in ("Annotation", "Inventory", "Journal")),
    *(f"{verb}Bucket{what}" for what in ("Abac", "RequestPayment") for verb in ("Get", "Put")),
    *(f"{verb}ObjectAnnotation" for verb in ("Delete", "Get", "Put")),
    "CreateSession",
    "DeleteBucketInventoryConfiguration",
    "GetObjectRetention",
    "GetObjectTorrent",
    "ListObjectAnnotations",
    "RenameObject",
    "UpdateObjectEncryption",
    "WriteGetObjectResponse",
)
UNKNOWN: dict[str, dict[str, Any]] = {
    "ec2.describe_vpc_block_public_access_options": {},
    "elbv2.describe_trust_stores": {},
    "s3.list_bucket_analytics_configurations": {"Bucket": "our-bucket"},
    "acm.renew_certificate": {"CertificateArn": "arn:aws:acm:ap-southeast-2:123456789012:certificate/a"},
    "wafv2.list_available_managed_rule_groups": {"Scope": "REGIONAL"},
    "route53.list_geo_locations": {},
    "kms.describe_custom_key_stores": {},
    "cloudwatch.get_metric_widget_image": {"MetricWidget": "{}"},
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
    assert missing_in_moto() == set(NOT_IN_MOTO)
    with_a_key = {operation.name for operation in operations("s3") if operation.path.pattern.endswith(".+")}
    assert with_a_key - {*NOT_IN_MOTO, "ObjectCORSPreflightCheck"} == set(OBJECT_ACTIONS) - {"DeleteObjects"}
    region = {"LocationConstraint": "ap-southeast-2"}
    moto("s3").create_bucket(Bucket="our-bucket", CreateBucketConfiguration=region)
    with pytest.raises(ClientError, match="NotEmulated"):
        strict("s3").delete_bucket_analytics_configuration(Bucket="our-bucket", Id="a")
    strict("s3").head_bucket(Bucket="our-bucket")
    moto("s3").delete_bucket_analytics_configuration(Bucket="our-bucket", Id="a")
    with pytest.raises(ClientError):
        moto("s3").head_bucket(Bucket="our-bucket")
