"""Operation names of requests, also of those with a REST protocol."""

from __future__ import annotations

import io

import boto3
import pytest
from botocore.awsrequest import AWSRequest

from orderops.local.emulator.protocol import Request

RECORDS = [{"Action": "UPSERT", "ResourceRecordSet": {"Name": "a", "Type": "A"}}]
CALLS: dict[str, dict[str, object]] = {
    "s3.list_buckets": {},
    "s3.create_bucket": {"Bucket": "b"},
    "s3.head_bucket": {"Bucket": "b"},
    "s3.put_bucket_policy": {"Bucket": "b", "Policy": "{}"},
    "s3.get_bucket_lifecycle_configuration": {"Bucket": "b"},
    "s3.put_public_access_block": {"Bucket": "b", "PublicAccessBlockConfiguration": {}},
    "s3.list_objects_v2": {"Bucket": "b", "Prefix": "policy"},
    "s3.list_object_versions": {"Bucket": "b", "MaxKeys": 10},
    "s3.list_multipart_uploads": {"Bucket": "b"},
    "s3.delete_objects": {"Bucket": "b", "Delete": {"Objects": [{"Key": "a"}]}},
    "s3.put_object": {"Bucket": "b", "Key": "a/b c/policy", "Body": b"x"},
    "s3.copy_object": {"Bucket": "b", "Key": "a", "CopySource": "b/c"},
    "s3.get_object": {"Bucket": "b", "Key": "a", "VersionId": "1"},
    "s3.put_object_tagging": {"Bucket": "b", "Key": "a", "Tagging": {"TagSet": []}},
    "s3.upload_part": {"Bucket": "b", "Key": "a", "UploadId": "u", "PartNumber": 1, "Body": b"x"},
    "s3.abort_multipart_upload": {"Bucket": "b", "Key": "a", "UploadId": "u"},
    "route53.create_hosted_zone": {"Name": "example.org", "CallerReference": "once"},
    "route53.change_resource_record_sets": {
        "HostedZoneId": "Z1",
        "ChangeBatch": {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": {"Name": "a", "Type": "A"}}]},
    },
    "route53.get_change": {"Id": "C1"},
    "apigatewayv2.get_apis": {},
    "apigateway.create_rest_api": {"name": "a"},
    "lambda.list_functions": {},
    "scheduler.get_schedule": {"Name": "board", "GroupName": "dev"},
    "scheduler.create_schedule_group": {"Name": "dev"},
    "sqs.list_queues": {},
    "ec2.describe_vpcs": {},
}
READING = ("Get", "List", "Head", "Describe")


def request_of(service: str, method: str, params: dict[str, object]) -> Request:
    """Return the request as it would arrive, without sending it."""
    client = boto3.Session("id", "key", region_name="ap-southeast-2").client(service, endpoint_url="http://127.0.0.1:1")
    sent_requests: list[AWSRequest] = []

    def catch(request: AWSRequest, **_: object) -> None:
        sent_requests.append(request)
        raise ConnectionAbortedError

    client.meta.events.register_last("before-send", catch)
    with pytest.raises(ConnectionAbortedError):
        getattr(client, method)(**params)
    sent_request = sent_requests[0]
    path, _, query = sent_request.url.removeprefix("http://127.0.0.1:1").partition("?")
    headers = {name.upper().replace("-", "_"): _text(value) for name, value in sent_request.headers.items()}
    body = sent_request.body if isinstance(sent_request.body, bytes) else str(sent_request.body or "").encode()
    return Request(
        {
            "REQUEST_METHOD": sent_request.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": headers.get("CONTENT_TYPE", ""),
            **{f"HTTP_{name}": value for name, value in headers.items()},
        }
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_request_has_the_name_of_its_operation(name: str) -> None:
    service, _, method = name.partition(".")

    request = request_of(service, method, CALLS[name])

    assert request.action.lower() == method.replace("_", "")
    assert request.reads == request.action.startswith(READING)


def test_a_request_outside_all_models_is_named_by_method_and_path() -> None:
    request = request_of("s3", "create_bucket", {"Bucket": "b"})
    request.environ["PATH_INFO"] = request.path = "/moto-api/reset"
    request.method = "PATCH"

    assert request.action == "PATCH /moto-api/reset"
    assert not request.reads


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
