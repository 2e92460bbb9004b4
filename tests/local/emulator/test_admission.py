"""Requests that the laptop's emulator refuses, and how boto3 shows it."""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from moto.moto_api._internal import moto_api_backend

from orderops.local.keys import AccessKey, task_key
from support.guarded_emulator import OPERATOR, REGION, Served, guarded

TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}'


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with guarded() as served:
        yield served


@pytest.fixture(autouse=True)
def _as_new(server: Served) -> Iterator[None]:
    yield
    server.ahead = timedelta()
    moto_api_backend.reset()


def queues(server: Served, key: AccessKey = OPERATOR) -> Any:
    return server.client("sqs", key).list_queues()


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


# A call of each protocol, and the codes of AWS for a signature that does not fit and for an unknown key.
PROTOCOLS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "sts": (lambda sts: sts.get_caller_identity(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
    "sqs": (lambda sqs: sqs.list_queues(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
    "iam": (lambda iam: iam.list_roles(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
    "rds": (lambda rds: rds.describe_db_instances(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
    "cloudwatch": (lambda it: it.describe_alarms(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
    "ec2": (lambda ec2: ec2.describe_vpcs(), "AuthFailure", "AuthFailure"),
    "s3": (lambda s3: s3.list_buckets(), "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    "ecs": (lambda ecs: ecs.list_clusters(), "InvalidSignatureException", "UnrecognizedClientException"),
    "logs": (lambda it: it.describe_log_groups(), "InvalidSignatureException", "UnrecognizedClientException"),
    "route53": (lambda it: it.list_hosted_zones(), "SignatureDoesNotMatch", "InvalidClientTokenId"),
}
# The code for a session token that does not belong to the key, where that is not the one for an unknown key.
WRONG_TOKEN = {"s3": "InvalidToken"}


@pytest.mark.parametrize("service", PROTOCOLS)
def test_only_the_own_key_is_accepted_and_boto3_names_the_reason(server: Served, service: str) -> None:
    call, wrong_secret, unknown_key = PROTOCOLS[service]
    call(server.client(service))

    def refusal(key: AccessKey) -> str:
        return code_of(lambda: call(server.client(service, key)))

    assert refusal(AccessKey(OPERATOR.id, "test")) == wrong_secret
    assert refusal(AccessKey("test", "test")) == unknown_key
    assert refusal(AccessKey(OPERATOR.id, OPERATOR.secret, "a token of another key")) == WRONG_TOKEN.get(
        service, unknown_key
    )


def test_a_refusal_says_where_the_key_is_found(server: Served) -> None:
    with pytest.raises(ClientError, match=r'eval "\$\(orderops local env\)"'):
        queues(server, AccessKey("test", "test"))


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/", {}, b"", 403, "AccessDenied"),
        ("OPTIONS", "/", {}, b"", 403, "AccessDenied"),
        ("PUT", "/bucket/key", {}, b"text", 403, "AccessDenied"),
        ("GET", "/orderops/credentials", {}, b"", 403, "AccessDenied"),
        ("GET", "/orderops/status", {}, b"", 403, "AccessDenied"),
        ("POST", "/moto-api/reset", {}, b"", 403, "AccessDenied"),
        ("GET", "/moto-api/data.json", {}, b"", 403, "AccessDenied"),
        ("GET", "/latest/meta-data/iam/security-credentials/", {}, b"", 403, "AccessDenied"),
        (
            "POST",
            "/",
            {"Content-Type": "application/x-www-form-urlencoded"},
            b"Action=ListUsers&Version=2010-05-08",
            403,
            "MissingAuthenticationToken",
        ),
        (
            "POST",
            "/",
            {
                "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.RunTask",
                "Content-Type": "application/x-amz-json-1.1",
            },
            b"{}",
            400,
            "MissingAuthenticationTokenException",
        ),
        ("GET", "/bucket/key?AWSAccessKeyId=test&Signature=x&Expires=9999999999", {}, b"", 400, "InvalidRequest"),
    ],
)
def test_an_unsigned_request_is_refused_in_its_protocol(
    server: Served, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answered, received, text = server.send(method, path, headers, body)

    assert answered == status
    assert code in text
    assert not [name for name in received if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:{port}"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "localhost.evil.example:{port}"},
        {"Host": "evil-localhost:{port}"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:{port}"},
    ],
)
def test_a_page_is_refused_even_with_a_signature(server: Served, headers: dict[str, str]) -> None:
    host = headers.get("Host", "127.0.0.1:{port}").format(port=server.port)
    sent = AWSRequest("GET", f"http://{host or 'x'}/", data=b"")
    sent.context = {}
    S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION).add_auth(sent)
    added = {name: value.format(port=server.port) for name, value in headers.items()}

    status, received, text = server.send("GET", "/", {**dict(sent.headers.items()), **added})

    assert (status, "AccessDenied" in text) == (403, True)
    assert not [name for name in received if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]", "orders.localhost"])
def test_every_name_of_this_machine_is_answered(server: Served, host: str) -> None:
    sent = AWSRequest("GET", f"http://{host}:{server.port}/", {"Host": f"{host}:{server.port}"})
    sent.context = {}
    S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION).add_auth(sent)

    status, _, text = server.send("GET", "/", dict(sent.headers.items()))

    assert "AccessDenied" not in text
    assert status == (404 if host == "orders.localhost" else 200)


def test_a_bucket_in_the_host_is_the_one_in_the_path(server: Served) -> None:
    server.create_bucket()
    s3 = server.client("s3")
    s3.put_object(Bucket="orders", Key="a b/ü", Body=b"tea")
    sent = AWSRequest("GET", f"http://orders.localhost:{server.port}/a%20b/%C3%BC")
    sent.headers["Host"] = f"orders.localhost:{server.port}"
    sent.context = {}
    S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION).add_auth(sent)

    assert server.send("GET", "/a%20b/%C3%BC", dict(sent.headers.items()))[2] == "tea"


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/seed?a=1", "/moto-api-bucket/key"])
def test_the_own_pages_of_moto_are_refused_even_with_a_signature(server: Served, path: str) -> None:
    server.client("sqs").create_queue(QueueName="orders")
    sent = AWSRequest("POST", f"{server.url}{path}", {"Host": f"127.0.0.1:{server.port}"})
    sent.context = {}
    S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION).add_auth(sent)

    assert "NotEmulated" in server.send("POST", path, dict(sent.headers.items()))[2]
    assert len(queues(server)["QueueUrls"]) == 1


def test_no_response_lets_pages_of_other_origins_read_it(server: Served) -> None:
    server.create_bucket()
    s3 = server.client("s3")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    s3.put_bucket_cors(Bucket="orders", CORSConfiguration={"CORSRules": [rule]})

    for response in (s3.list_objects_v2(Bucket="orders"), s3.get_bucket_cors(Bucket="orders"), queues(server)):
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in headers if name.startswith("access-control-")]


# "A request must reach AWS within five minutes of its time"; S3 and EC2 document fifteen.
@pytest.mark.parametrize(
    ("service", "minutes", "code"),
    [
        ("sqs", 4, ""),
        ("sqs", -4, ""),
        ("sqs", 6, "SignatureDoesNotMatch"),
        ("sqs", -6, "SignatureDoesNotMatch"),
        ("ecs", 6, "InvalidSignatureException"),
        ("s3", 14, ""),
        ("s3", 16, "RequestTimeTooSkewed"),
        ("s3", -16, "RequestTimeTooSkewed"),
        ("ec2", 14, ""),
        ("ec2", 16, "RequestExpired"),
    ],
)
def test_a_signature_is_valid_for_minutes(server: Served, service: str, minutes: float, code: str) -> None:
    server.ahead = timedelta(minutes=minutes)
    call = PROTOCOLS[service][0]

    if code:
        assert code_of(lambda: call(server.client(service))) == code
    else:
        call(server.client(service))


@pytest.mark.parametrize(
    ("ahead", "expires", "text"),
    [(0, 60, ""), (30, 60, ""), (61, 60, "Request has expired"), (0, 604800, ""), (0, 604801, "X-Amz-Expires")],
)
def test_a_presigned_url_is_valid_for_its_time(server: Served, ahead: int, expires: int, text: str) -> None:
    server.create_bucket()
    s3 = server.client("s3", signature_version="s3v4")
    s3.put_object(Bucket="orders", Key="key", Body=b"tea")
    url = s3.generate_presigned_url("get_object", {"Bucket": "orders", "Key": "key"}, ExpiresIn=expires)
    server.ahead = timedelta(seconds=ahead)

    if text:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url)
        assert text in refused.value.read().decode()
    else:
        assert urllib.request.urlopen(url).read() == b"tea"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, b"coffee", method="PUT"))


def signed_put(
    server: Served, payload_hash: str, body: bytes | Callable[[str, AWSRequest], bytes], **headers: str
) -> tuple[int, str]:
    """Store an object with this value of x-amz-content-sha256, correctly signed."""
    sent = AWSRequest("PUT", f"{server.url}/orders/key", {**headers, "Host": f"127.0.0.1:{server.port}"})
    sent.context = {}
    signer = S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION)
    sent.context["timestamp"] = datetime.now(UTC).strftime(SIGV4_TIMESTAMP)
    sent.headers["X-Amz-Date"] = sent.context["timestamp"]
    sent.headers["X-Amz-Content-SHA256"] = payload_hash
    signature = signer.signature(signer.string_to_sign(sent, signer.canonical_request(sent)), sent)
    names = signer.signed_headers(signer.headers_to_sign(sent))
    sent.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(sent)}, SignedHeaders={names}, Signature={signature}"
    )
    content = body if isinstance(body, bytes) else body(signature, sent)
    status, _, text = server.send("PUT", "/orders/key", dict(sent.headers.items()), content)
    return status, text


def signed_chunks(first: str, sent: AWSRequest) -> bytes:
    """Return `tea` and an end in chunks, signed as the S3 API reference describes it."""
    time = sent.context["timestamp"]
    scope = [time[:8], REGION, "s3", "aws4_request"]
    key = f"AWS4{OPERATOR.secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    previous, body = first, b""
    for chunk in (b"tea", b""):
        hashes = [hashlib.sha256(content).hexdigest() for content in (b"", chunk)]
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", time, "/".join(scope), previous, *hashes])
        previous = hmac.digest(key, text.encode(), "sha256").hex()
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n"
    return body


def test_an_object_in_signed_chunks_is_stored_without_their_signatures(server: Served) -> None:
    server.create_bucket()
    headers = {"x-amz-decoded-content-length": "3", "Content-Encoding": "aws-chunked"}

    status, text = signed_put(server, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", signed_chunks, **headers)

    assert (status, text) == (200, "")
    assert server.client("s3").get_object(Bucket="orders", Key="key")["Body"].read() == b"tea"


def test_a_body_must_have_the_hash_that_is_signed(server: Served) -> None:
    server.create_bucket()
    status, text = signed_put(server, "0" * 64, b"tea")

    assert (status, "XAmzContentSHA256Mismatch" in text) == (400, True)


def test_a_body_that_is_not_signed_is_accepted_from_s3s_clients(server: Served) -> None:
    server.create_bucket()
    assert signed_put(server, "UNSIGNED-PAYLOAD", b"tea")[0] == 200
    chunked = b"3\r\ntea\r\n0\r\nx-amz-checksum-crc32:qqjP6g==\r\n\r\n"
    headers = {"x-amz-decoded-content-length": "3", "Content-Encoding": "aws-chunked"}

    assert signed_put(server, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", chunked, **headers)[0] == 200
    assert server.client("s3").get_object(Bucket="orders", Key="key")["Body"].read() == b"tea"


@pytest.mark.parametrize("kind", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"])
def test_chunks_without_their_signatures_are_refused(server: Served, kind: str) -> None:
    chunked = f"3;chunk-signature={'0' * 64}\r\ntea\r\n0;chunk-signature={'0' * 64}\r\n\r\n".encode()

    status, text = signed_put(server, kind, chunked, **{"x-amz-decoded-content-length": "3"})

    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_headers_of_aws_must_be_signed(server: Served) -> None:
    sent = AWSRequest("GET", f"{server.url}/", {"Host": f"127.0.0.1:{server.port}"})
    sent.context = {}
    S3SigV4Auth(Credentials(OPERATOR.id, OPERATOR.secret), "s3", REGION).add_auth(sent)

    status, _, text = server.send("GET", "/", {**dict(sent.headers.items()), "x-amz-acl": "public-read"})

    assert (status, "headers present in the request which were not signed" in text) == (403, True)


def test_keys_that_the_account_issues_are_accepted_until_they_are_deleted(server: Served) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="ann")
    made = iam.create_access_key(UserName="ann")["AccessKey"]
    key = AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
    queues(server, key)

    iam.update_access_key(UserName="ann", AccessKeyId=key.id, Status="Inactive")

    assert code_of(lambda: queues(server, key)) == "InvalidClientTokenId"


def test_sessions_of_roles_and_of_tasks_need_their_token(server: Served) -> None:
    role = server.client("iam").create_role(RoleName="tasks", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    made = server.client("sts").assume_role(RoleArn=role, RoleSessionName="one")["Credentials"]
    session = AccessKey(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    for key in (session, task_key(OPERATOR)):
        without_token, wrong_secret = AccessKey(key.id, key.secret), AccessKey(key.id, "x", key.token)
        queues(server, key)
        assert code_of(partial(queues, server, without_token)) == "InvalidClientTokenId"
        assert code_of(partial(queues, server, wrong_secret)) == "SignatureDoesNotMatch"
