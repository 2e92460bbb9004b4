"""The gateway to AWS: what errors mean, which calls are retried, cached and guarded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from orderops.aws.client import Aws, every, if_found
from orderops.errors import AwsError, Meaning, OrderopsError
from support.fake_answers import ACCOUNT, REGION, AnsweredSession, error_response

ERRORS = {
    "a name that is taken": (400, "QueueNameExists", Meaning.NO),
    "no permission": (403, "AccessDenied", Meaning.NO),
    "expired credentials": (403, "ExpiredToken", Meaning.NO),
    "a quota": (400, "LimitExceeded", Meaning.NO),
    "throttled": (400, "Throttling", Meaning.LATER),
    "throttled by EC2, with a 503": (503, "RequestLimitExceeded", Meaning.LATER),
    "too many requests, whatever the code": (429, "Slow", Meaning.LATER),
    "a concurrent change": (409, "ConcurrentModification", Meaning.LATER),
    "an error inside AWS": (500, "InternalFailure", Meaning.LOST),
    "AWS is unavailable": (503, "ServiceUnavailable", Meaning.LOST),
    "AWS timed out waiting for the request": (400, "RequestTimeout", Meaning.LOST),
}
BROKEN_RESPONSES = {
    "closed without a response": b"",
    "closed in the middle": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<Half",
    "the page of a proxy": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<p>Proxy",
}


@pytest.mark.parametrize(("status", "code", "meaning"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_means_no_later_or_lost(status: int, code: str, meaning: Meaning) -> None:
    answers = AnsweredSession(error_response(status, code))

    with pytest.raises(AwsError, match=f"^sts.get_caller_identity: {code}: words$") as caught:
        answers.aws.once.sts.get_caller_identity()

    assert (caught.value.meaning, caught.value.code, caught.value.request_id) == (meaning, code, "r-1")


def test_a_create_is_sent_once_whatever_the_response() -> None:
    answers = AnsweredSession(error_response(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.once.iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")

    assert answers.sent == 1


def test_a_read_is_retried() -> None:
    answers = AnsweredSession(
        error_response(500, "InternalFailure"), error_response(503, "ServiceUnavailable"), (200, ACCOUNT)
    )

    assert answers.aws.account == "123456789012"
    assert answers.sent == 3


def test_a_read_is_tried_five_times() -> None:
    answers = AnsweredSession(error_response(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.sts.get_caller_identity()

    assert answers.sent == 5


def test_every_view_of_once_sends_once() -> None:
    answers = AnsweredSession(error_response(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.remembering().once.sts.get_caller_identity()

    assert answers.sent == 1


def test_remembering_sends_an_equal_read_once_for_all_threads() -> None:
    answers = AnsweredSession((200, ACCOUNT))
    shared = answers.aws.remembering()

    with ThreadPoolExecutor(8) as pool:
        accounts = list(pool.map(lambda _: shared.sts.get_caller_identity()["Account"], range(8)))

    assert accounts == ["123456789012"] * 8
    assert answers.sent == 1


def test_remembering_distinguishes_reads_by_their_parameters() -> None:
    answers = AnsweredSession((200, "<ListRolesResponse><ListRolesResult/></ListRolesResponse>"))
    shared = answers.aws.remembering()

    for root in ("/a/", "/b/", "/a/"):
        list(every(shared.iam.list_roles, "Roles", PathPrefix=root))

    assert answers.sent == 2


def test_two_remembering_views_share_nothing() -> None:
    answers = AnsweredSession((200, ACCOUNT))

    for _ in range(2):
        answers.aws.remembering().sts.get_caller_identity()

    assert answers.sent == 2


def test_an_error_that_may_pass_is_not_remembered() -> None:
    answers = AnsweredSession(error_response(400, "OperationAborted"), (200, ACCOUNT))
    shared = answers.aws.remembering()

    with pytest.raises(AwsError):
        shared.sts.get_caller_identity()

    assert shared.sts.get_caller_identity()["Account"] == "123456789012"


def test_that_something_does_not_exist_is_asked_once() -> None:
    answers = AnsweredSession(error_response(404, "NoSuchEntity"))
    shared = answers.aws.remembering()

    for _ in range(2):
        assert if_found(shared.iam.get_role, "NoSuchEntity", RoleName="r") is None

    assert answers.sent == 1


def test_a_view_that_sends_once_remembers_no_change() -> None:
    answers = AnsweredSession((200, "<CreateRoleResponse><CreateRoleResult/></CreateRoleResponse>"))
    once = answers.aws.remembering().once

    for _ in range(2):
        once.iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")

    assert answers.sent == 2


def test_a_missing_resource_is_none_only_for_the_given_codes() -> None:
    answers = AnsweredSession(error_response(404, "NoSuchEntity"), error_response(403, "AccessDenied"))

    assert if_found(answers.aws.iam.get_role, "NoSuchEntity", RoleName="r") is None
    with pytest.raises(AwsError, match="AccessDenied"):
        if_found(answers.aws.iam.get_role, "NoSuchEntity", RoleName="r")


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_expired_credentials_have_a_hint(code: str) -> None:
    with pytest.raises(AwsError) as caught:
        AnsweredSession(error_response(403, code)).aws.sts.get_caller_identity()

    assert "aws sso login" in caught.value.hint


def test_a_missing_permission_has_a_hint() -> None:
    with pytest.raises(AwsError) as caught:
        AnsweredSession(error_response(403, "AccessDenied")).aws.sts.get_caller_identity()

    assert '{"Effect":"Allow","Action":"sts:GetCallerIdentity","Resource":"*"}' in caught.value.hint


def test_missing_credentials_are_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")

    with pytest.raises(AwsError) as caught:
        Aws(REGION).sts.get_caller_identity()

    assert (caught.value.code, caught.value.meaning) == ("NoCredentials", Meaning.NO)
    assert "AWS_PROFILE" in caught.value.hint


def test_an_unknown_profile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")

    with pytest.raises(AwsError, match="absent") as caught:
        Aws(REGION).sts.get_caller_identity()

    assert caught.value.meaning is Meaning.NO


@pytest.mark.parametrize("endpoint", ["localhost:5000", "not a url"])
def test_a_malformed_endpoint_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(AwsError, match="Invalid endpoint") as caught:
        Aws(REGION).sts.get_caller_identity()

    assert caught.value.meaning is Meaning.NO
    assert "AWS_ENDPOINT_URL" in caught.value.hint


def test_a_refused_connection_may_succeed_later() -> None:
    with socket.socket() as bound:  # and not listening: every connection is refused
        bound.bind(("127.0.0.1", 0))
        aws = Aws(REGION, endpoint_url=f"http://127.0.0.1:{bound.getsockname()[1]}")

        with pytest.raises(AwsError) as caught:
            aws.once.sts.get_caller_identity()

    assert (caught.value.code, caught.value.meaning) == ("Unreachable", Meaning.LATER)


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(AwsError) as caught:
        Aws(REGION, endpoint_url="http://nowhere.invalid").once.sts.get_caller_identity()

    assert (caught.value.code, caught.value.meaning) == ("Unreachable", Meaning.LATER)
    assert caught.value.explanation.startswith("nowhere.invalid has no address")
    assert caught.value.hint == "getent hosts nowhere.invalid"


def test_calls_go_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ACCOUNT)}\r\n\r\n"
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with raw_server((head + ACCOUNT).encode()) as proxy:
        monkeypatch.setenv("http_proxy", proxy)

        assert Aws(REGION, endpoint_url="http://nowhere.invalid").account == "123456789012"


@pytest.mark.parametrize("response", BROKEN_RESPONSES.values(), ids=BROKEN_RESPONSES.keys())
def test_an_incomplete_response_is_lost(response: bytes) -> None:
    with raw_server(response) as url, pytest.raises(AwsError) as caught:
        Aws(REGION, endpoint_url=url).once.sts.get_caller_identity()

    assert caught.value.meaning is Meaning.LOST


@pytest.mark.parametrize("status", [200, 403, 502])
@pytest.mark.parametrize("call", ["ec2.describe_vpcs", "sqs.list_queues", "iam.list_roles", "s3.list_buckets"])
def test_a_login_page_is_not_read_as_an_empty_listing(status: int, call: str) -> None:
    answers = AnsweredSession(
        (status, '<?xml version="1.0"?>\n<!DOCTYPE html>\n<html><body>Log in first</body></html>')
    )
    service, operation = call.split(".")

    with pytest.raises(AwsError, match=f"{call}: .*HTTP {status}") as caught:
        getattr(getattr(answers.aws.once, service), operation)()

    assert caught.value.meaning is Meaning.LOST
    assert caught.value.hint == "check the network and AWS_ENDPOINT_URL: orderops doctor"


@pytest.mark.parametrize(
    ("call", "status", "body"),
    [
        ("sts.get_caller_identity", 200, "<status>fine</status>"),
        ("ec2.describe_vpcs", 200, '{"error": "not found"}'),
        ("iam.list_roles", 200, "<ListRolesResponse><ListRolesResult><Roles><member>"),
        ("ecs.list_clusters", 200, '{"clusterArns": ["arn:'),
        ("ecs.list_clusters", 200, ""),
        ("sqs.list_queues", 200, "Blocked by policy"),
        ("iam.list_roles", 200, "<ListRolesResponse><ListRolesResult><Roles><member><CreateDate>soon</CreateDate>"
         "</member></Roles></ListRolesResult></ListRolesResponse>"),
    ],
    ids=["other XML", "JSON for XML", "half of XML", "half of JSON", "no body", "text for JSON", "no date"],
)  # fmt: skip
def test_what_a_proxy_sends_in_place_of_a_response_is_lost(call: str, status: int, body: str) -> None:
    answers = AnsweredSession((status, body))
    service, operation = call.split(".")

    with pytest.raises(AwsError, match=rf"^{call}: LostAnswer: ") as caught:
        getattr(getattr(answers.aws.once, service), operation)()

    assert caught.value.meaning is Meaning.LOST


def test_an_object_whose_connection_breaks_is_lost() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nETag: x\r\nLast-Modified: Thu, 12 Nov 2026 08:00:00 GMT\r\n\r\n"

    with raw_server(head + b'{"half"') as url, pytest.raises(AwsError) as caught:
        Aws(REGION, endpoint_url=url).once.s3.get_object(Bucket="orders", Key="a")

    assert (caught.value.code, caught.value.meaning) == ("LostAnswer", Meaning.LOST)


@pytest.mark.parametrize("bug", [KeyError("x"), IndexError("x"), ValueError("endpoint"), OSError("x"), TypeError("x")])
def test_a_bug_of_orderops_is_not_reported_as_an_error_of_aws(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_bug(*_: object) -> None:
        raise bug

    monkeypatch.setattr("orderops.aws.call_log.LoggedCall.succeeded", raise_bug)

    with pytest.raises(type(bug)) as caught:
        AnsweredSession((200, ACCOUNT)).aws.sts.get_caller_identity()

    assert caught.value is bug


def test_a_bug_in_a_handler_that_botocore_calls_is_not_reported_as_an_error_of_aws() -> None:
    def guard() -> None:
        raise KeyError("lease")

    guarded = AnsweredSession((200, ACCOUNT)).aws.guarded(guard)

    with pytest.raises(KeyError, match="lease"):
        guarded.sqs.create_queue(QueueName="orders")


def test_an_unknown_operation_is_a_bug(aws: Aws) -> None:
    with pytest.raises(AttributeError, match="create_kew"):
        aws.sqs.create_kew(QueueName="orders")


def test_all_pages_of_a_listing_are_read() -> None:
    first = "<Roles><member><RoleName>a</RoleName></member></Roles><IsTruncated>true</IsTruncated><Marker>next</Marker>"
    second = "<Roles><member><RoleName>b</RoleName></member></Roles>"
    pages = [(200, f"<ListRolesResponse><ListRolesResult>{page}</ListRolesResult></ListRolesResponse>")
             for page in (first, second)]  # fmt: skip
    answers = AnsweredSession(*pages)

    assert [role["RoleName"] for role in every(answers.aws.iam.list_roles, "Roles")] == ["a", "b"]


def test_a_client_is_created_once_for_all_threads() -> None:
    answers = AnsweredSession((200, ACCOUNT))
    created: list[str] = []
    answers.session.events.register("creating-client-class.sts", lambda **_: created.append("sts"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: answers.aws.sts.get_caller_identity(), range(8)))

    assert created == ["sts"]


@contextmanager
def raw_server(response: bytes) -> Iterator[str]:
    """Read one request, send these bytes and close the connection."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving.join(timeout=10)


def test_a_guard_runs_before_every_call_that_is_not_a_read(aws: Aws) -> None:
    calls: list[str] = []
    _ = aws.once  # cached before, and not to be used by the guarded view

    def keep_out() -> None:
        calls.append("guard")
        raise OrderopsError("not now")

    guarded = aws.guarded(keep_out)
    assert guarded.sqs.list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    for view in (guarded, guarded.once, guarded.remembering()):
        with pytest.raises(OrderopsError, match="not now"):
            view.sqs.create_queue(QueueName="orders")

    assert calls == ["guard"] * 3
    assert aws.sqs.list_queues().get("QueueUrls") is None
    aws.sqs.create_queue(QueueName="orders")


def test_a_guard_runs_before_every_attempt() -> None:
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    unreachable = Aws(REGION, endpoint_url=f"http://127.0.0.1:{port}")
    with pytest.raises(AwsError):
        unreachable.guarded(lambda: calls.append("guard")).sqs.create_queue(QueueName="orders")

    assert len(calls) == 5


def test_a_call_that_botocore_refuses_to_send_names_resource_and_parameter_on_one_line() -> None:
    # Not through the session of other tests, which checks parameters by itself. Nothing listens at this endpoint.
    aws = Aws(REGION, endpoint_url="http://127.0.0.1:9")

    with pytest.raises(AwsError) as refused:
        aws.ecr.describe_images(repositoryName="x", registryId="1")

    explanation, text = refused.value.lines
    assert explanation == "x: AWS does not accept this value of repositoryName"
    assert text.startswith("ecr.describe_images: ParamValidationError: Invalid length for parameter repositoryName")
    assert "environments/" in refused.value.hint
