"""Signatures of version 4: the examples of AWS's documentation, and requests that botocore signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from orderops.local.emulator.chunks import chunks_are_signed
from orderops.local.emulator.signatures import Claim, ReceivedRequest, find_claim, sign, signature
from orderops.local.keys import AccessKey, find_task_key, new_key, task_key

# The key of all examples in "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API reference.
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST, TIME = ("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z")
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def authorization(names: str, received: str, scope: str = SCOPE, key_id: str = KEY_ID) -> tuple[str, str]:
    stated = f"Credential={key_id}/{scope},SignedHeaders={names},Signature={received}"
    return "Authorization", f"AWS4-HMAC-SHA256 {stated}"


GET_OBJECT = ReceivedRequest(
    "GET",
    "/test.txt",
    [
        HOST,
        ("Range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        TIME,
        authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ],
)
LIST_OBJECTS = ReceivedRequest(
    "GET",
    "/?max-keys=2&prefix=J",
    [
        HOST,
        ("x-amz-content-sha256", EMPTY),
        TIME,
        authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
LIFECYCLE = ReceivedRequest(
    "GET",
    "/?lifecycle",
    [
        HOST,
        ("x-amz-content-sha256", EMPTY),
        TIME,
        authorization(
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
    ],
)
PUT_OBJECT = ReceivedRequest(
    "PUT",
    "/test%24file.text",
    [
        HOST,
        ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
        TIME,
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
        authorization(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ],
    b"Welcome to Amazon S3.",
)
PRESIGNED = ReceivedRequest(
    "GET",
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Credential={KEY_ID}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    [HOST],
)
# From "Create a signed AWS API request" of the IAM user guide, in its older edition.
LIST_USERS = ReceivedRequest(
    "GET",
    "/?Action=ListUsers&Version=2010-05-08",
    [
        ("Host", "iam.amazonaws.com"),
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("X-Amz-Date", "20150830T123600Z"),
        authorization(
            "content-type;host;x-amz-date",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            "20150830/us-east-1/iam/aws4_request",
            "AKIDEXAMPLE",
        ),
    ],
)
LIST_USERS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EXAMPLES = {
    "an object": (GET_OBJECT, SECRET),
    "a listing": (LIST_OBJECTS, SECRET),
    "a parameter without a value": (LIFECYCLE, SECRET),
    "an object with a body": (PUT_OBJECT, SECRET),
    "a presigned URL": (PRESIGNED, SECRET),
    "the query protocol": (LIST_USERS, LIST_USERS_SECRET),
}


def claim_of(request: ReceivedRequest) -> Claim:
    claim = find_claim(request)
    assert claim is not None
    return claim


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_documentation_have_the_right_signature(example: str) -> None:
    request, secret = EXAMPLES[example]
    claim = claim_of(request)

    assert signature(request, claim, secret) == claim.signature


@pytest.mark.parametrize(
    "changed",
    [
        replace(GET_OBJECT, method="DELETE"),
        replace(GET_OBJECT, target="/other.txt"),
        replace(GET_OBJECT, target="/test.txt?versionId=1"),
        replace(GET_OBJECT, headers=[*GET_OBJECT.headers, ("Range", "bytes=0-99")]),
        replace(GET_OBJECT, headers=[("Host", "other.s3.amazonaws.com"), *GET_OBJECT.headers[1:]]),
        replace(GET_OBJECT, headers=[header for header in GET_OBJECT.headers if header[0] != "Range"]),
    ],
    ids=["method", "path", "query", "header twice", "host", "header left out"],
)
def test_a_changed_request_needs_another_signature(changed: ReceivedRequest) -> None:
    claim = claim_of(changed)

    assert signature(changed, claim, SECRET) != claim.signature


@pytest.mark.parametrize(
    "header",
    [
        "",
        "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
        "Bearer token",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=0",
        "AWS4-HMAC-SHA256 Credential=A/20130524/us-east-1/s3/other,SignedHeaders=host,Signature=0",
        "AWS4-HMAC-SHA256 Credential=A/20130524/us-east-1/s3/aws4_request,SignedHeaders=host",
        "AWS4-ECDSA-P256-SHA256 Credential=A/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=0",
    ],
)
def test_other_authorizations_are_no_signature_of_version_4(header: str) -> None:
    assert find_claim(ReceivedRequest("GET", "/", [HOST, ("Authorization", header)])) is None


# "Transferring payload in multiple chunks": 65 kB of the letter a, in chunks of 64 and 1 kB, and an empty one.
CHUNKED = Claim(
    KEY_ID,
    SCOPE,
    ("content-encoding", "content-length", "host", "x-amz-content-sha256", "x-amz-date"),
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    TIME[1],
    "",
)
CHUNKS = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
    b"a" * 65536,
    b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
    b"a" * 1024,
    b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
)


def test_the_chunks_of_the_documentation_are_signed() -> None:
    assert chunks_are_signed(b"".join(CHUNKS), CHUNKED, SECRET, trailer=False)


@pytest.mark.parametrize(
    "body",
    [
        b"".join(CHUNKS).replace(b"aaaa", b"aaab", 1),
        b"".join([*CHUNKS[:2], CHUNKS[4]]),
        b"".join(CHUNKS[:4]),
        b"".join(CHUNKS[:3]) + b"a" * 7,
        b"",
        b"10000\r\n" + b"a" * 65536,
        b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n",
    ],
    ids=["changed", "one left out", "without an end", "cut off", "empty", "unsigned", "another signature"],
)
def test_changed_chunks_are_not_signed(body: bytes) -> None:
    assert not chunks_are_signed(body, CHUNKED, SECRET, trailer=False)


# "Including trailing headers in multi-part uploads": the same chunks with a checksum behind them.
TRAILED = replace(CHUNKED, signature="106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
TRAILED_BODY = b"".join(
    (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        b"a" * 65536,
        b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        b"a" * 1024,
        b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n",
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    )
)


def test_the_trailer_of_the_documentation_is_signed_and_a_changed_one_is_not() -> None:
    assert chunks_are_signed(TRAILED_BODY, TRAILED, SECRET, trailer=True)
    assert not chunks_are_signed(TRAILED_BODY.replace(b"sOO8", b"sOO9"), TRAILED, SECRET, trailer=True)
    assert not chunks_are_signed(TRAILED_BODY.partition(b"x-amz-trailer")[0], TRAILED, SECRET, trailer=True)


PATHS = ["/", "/a/b", "/a//b/../c/./d/", "/k%20ey/%C3%BC%2B%26%3D.txt", "/arn%3Aaws%3Asqs", "/~x", "/a?b=c%2Fd&a=&A=1"]


@pytest.mark.parametrize("service", ["s3", "lambda"])
@pytest.mark.parametrize("path", PATHS)
def test_requests_signed_by_botocore_have_the_right_signature(path: str, service: str) -> None:
    signer = {"s3": S3SigV4Auth, "lambda": SigV4Auth}[service]
    headers = {"x-amz-meta-with_underscore": "two  spaces ", "Content-Type": "text/plain"}
    sent = AWSRequest("PUT", f"http://127.0.0.1:4000{path}", headers, b"an order")
    # botocore writes the scope into the context of the request, which a client's session makes.
    sent.context = {}
    signer(Credentials("key", "secret", "token"), service, "ap-southeast-2").add_auth(sent)
    received = ReceivedRequest("PUT", path, [("Host", "127.0.0.1:4000"), *sent.headers.items()], b"an order")

    claim = claim_of(received)

    assert (claim.key_id, claim.token, claim.service) == ("key", "token", service)
    assert signature(received, claim, "secret") == claim.signature


def test_the_own_signature_of_a_command_is_that_of_botocore() -> None:
    url, now = "http://127.0.0.1:4000/orders?name=a%20b", datetime(2026, 11, 28, 8, 30, tzinfo=UTC)
    headers = sign("GET", url, AccessKey("key", "secret"), region="ap-southeast-2", service="orderops", now=now)
    sent = AWSRequest("GET", url, {"X-Amz-Date": "20261128T083000Z"})
    sent.context = {"timestamp": "20261128T083000Z"}
    signer = SigV4Auth(Credentials("key", "secret"), "orderops", "ap-southeast-2")

    expected = signer.signature(signer.string_to_sign(sent, signer.canonical_request(sent)), sent)

    assert headers["X-Amz-Date"] == "20261128T083000Z"
    assert headers["Authorization"].endswith(f"Signature={expected}")


def test_the_key_of_a_task_is_found_again_by_its_id_and_by_no_other() -> None:
    operator = new_key()
    first, second = task_key(operator), task_key(operator)

    assert first != second
    assert find_task_key(operator, first.id) == first
    assert find_task_key(new_key(), first.id) is None
    assert find_task_key(operator, first.id[:-1] + ("A" if first.id[-1] != "A" else "B")) is None
    assert find_task_key(operator, operator.id) is None
    assert operator.secret not in repr(operator)
