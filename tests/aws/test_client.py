"""The one door to AWS: what its errors mean, what is sent again, and what is sent once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from orderops.aws.client import READ_ATTEMPTS, Aws, every, if_found
from orderops.errors import AwsError, Meaning, OrderopsError
from support.fake_answers import ACCOUNT, REGION, AnsweredSession, refusal

REFUSALS = {
    "a name that is taken": (400, "QueueNameExists", Meaning.NO),
    "no permission": (403, "AccessDenied", Meaning.NO),
    "expired credentials": (403, "ExpiredToken", Meaning.NO),
    "a quota": (400, "LimitExceeded", Meaning.NO),
    "throttled": (400, "Throttling", Meaning.LATER),
    "throttled as EC2 says it, with a 503": (503, "RequestLimitExceeded", Meaning.LATER),
    "too many requests, whatever the code": (429, "Slow", Meaning.LATER),
    "someone else changes it": (409, "ConcurrentModification", Meaning.LATER),
    "an error inside AWS": (500, "InternalFailure", Meaning.LOST),
    "AWS is away": (503, "ServiceUnavailable", Meaning.LOST),
    "AWS stopped waiting for the request": (400, "RequestTimeout", Meaning.LOST),
}
BROKEN_ANSWERS = {
    "hung up without a word": b"",
    "hung up in the middle": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<Half",
    "a page of someone else": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<p>Proxy",
}


@pytest.mark.parametrize(("status", "code", "meaning"), REFUSALS.values(), ids=REFUSALS.keys())
def test_an_error_says_no_later_or_lost(status: int, code: str, meaning: Meaning) -> None:
    answers = AnsweredSession(refusal(status, code))

    with pytest.raises(AwsError, match=f"^sts.get_caller_identity: {code}: words$") as told:
        answers.aws.once.sts.get_caller_identity()

    assert (told.value.meaning, told.value.code, told.value.request_id) == (meaning, code, "r-1")


def test_a_create_is_sent_once_whatever_comes_back() -> None:
    answers = AnsweredSession(refusal(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.once.iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")

    assert answers.sent == 1


def test_a_read_is_sent_again() -> None:
    answers = AnsweredSession(refusal(500, "InternalFailure"), refusal(503, "ServiceUnavailable"), (200, ACCOUNT))

    assert answers.aws.account == "123456789012"
    assert answers.sent == 3


def test_a_read_is_not_sent_again_for_ever() -> None:
    answers = AnsweredSession(refusal(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.sts.get_caller_identity()

    assert answers.sent == READ_ATTEMPTS


def test_sending_once_stays_so_in_every_view() -> None:
    answers = AnsweredSession(refusal(500, "InternalFailure"))

    with pytest.raises(AwsError):
        answers.aws.remembering().once.sts.get_caller_identity()

    assert answers.sent == 1


def test_remembering_sends_the_same_read_once_for_all_threads() -> None:
    answers = AnsweredSession((200, ACCOUNT))
    shared = answers.aws.remembering()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.sts.get_caller_identity()["Account"], range(8)))

    assert told == ["123456789012"] * 8
    assert answers.sent == 1


def test_remembering_tells_reads_apart_by_what_they_ask() -> None:
    answers = AnsweredSession((200, "<ListRolesResponse><ListRolesResult/></ListRolesResponse>"))
    shared = answers.aws.remembering()

    for root in ("/a/", "/b/", "/a/"):
        list(every(shared.iam.list_roles, "Roles", PathPrefix=root))

    assert answers.sent == 2


def test_two_that_remember_do_not_share() -> None:
    answers = AnsweredSession((200, ACCOUNT))

    for _ in range(2):
        answers.aws.remembering().sts.get_caller_identity()

    assert answers.sent == 2


def test_a_failure_is_not_remembered() -> None:
    answers = AnsweredSession(refusal(403, "AccessDenied"), (200, ACCOUNT))
    shared = answers.aws.remembering()

    with pytest.raises(AwsError):
        shared.sts.get_caller_identity()

    assert shared.sts.get_caller_identity()["Account"] == "123456789012"


def test_a_changing_call_is_never_remembered_where_it_is_sent_once() -> None:
    answers = AnsweredSession((200, "<CreateRoleResponse><CreateRoleResult/></CreateRoleResponse>"))
    once = answers.aws.remembering().once

    for _ in range(2):
        once.iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")

    assert answers.sent == 2


def test_what_is_missing_is_none_only_for_the_codes_named() -> None:
    answers = AnsweredSession(refusal(404, "NoSuchEntity"), refusal(403, "AccessDenied"))

    assert if_found(answers.aws.iam.get_role, "NoSuchEntity", RoleName="r") is None
    with pytest.raises(AwsError, match="AccessDenied"):
        if_found(answers.aws.iam.get_role, "NoSuchEntity", RoleName="r")


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_expired_credentials_are_named_with_the_way_on(code: str) -> None:
    with pytest.raises(AwsError) as told:
        AnsweredSession(refusal(403, code)).aws.sts.get_caller_identity()

    assert "aws sso login" in told.value.hint


def test_a_missing_permission_is_named_with_the_way_on() -> None:
    with pytest.raises(AwsError) as told:
        AnsweredSession(refusal(403, "AccessDenied")).aws.sts.get_caller_identity()

    assert '{"Effect":"Allow","Action":"sts:GetCallerIdentity","Resource":"*"}' in told.value.hint


def test_no_credentials_is_a_refusal_with_the_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")

    with pytest.raises(AwsError) as told:
        Aws(REGION).sts.get_caller_identity()

    assert (told.value.code, told.value.meaning) == ("NoCredentials", Meaning.NO)
    assert "AWS_PROFILE" in told.value.hint


def test_an_unknown_profile_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(AwsError, match="nobody") as told:
        Aws(REGION).sts.get_caller_identity()

    assert told.value.meaning is Meaning.NO


@pytest.mark.parametrize("endpoint", ["localhost:5000", "not a url"])
def test_an_endpoint_that_is_no_url_is_a_refusal(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(AwsError, match="Invalid endpoint") as told:
        Aws(REGION).sts.get_caller_identity()

    assert told.value.meaning is Meaning.NO
    assert "AWS_ENDPOINT_URL" in told.value.hint


def test_nobody_at_the_other_end_may_pass() -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        aws = Aws(REGION, endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")

        with pytest.raises(AwsError) as told:
            aws.once.sts.get_caller_identity()

    assert (told.value.code, told.value.meaning) == ("Unreachable", Meaning.LATER)


def test_a_name_without_an_address_is_named() -> None:
    with pytest.raises(AwsError) as told:
        Aws(REGION, endpoint_url="http://nowhere.invalid").once.sts.get_caller_identity()

    assert (told.value.code, told.value.meaning) == ("Unreachable", Meaning.LATER)
    assert told.value.explanation.startswith("nowhere.invalid has no address")
    assert told.value.hint == "getent hosts nowhere.invalid"


@pytest.mark.parametrize("answer", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys())
def test_an_answer_that_did_not_come_whole_is_lost(answer: bytes) -> None:
    with raw_server(answer) as url, pytest.raises(AwsError) as told:
        Aws(REGION, endpoint_url=url).once.sts.get_caller_identity()

    assert told.value.meaning is Meaning.LOST


@pytest.mark.parametrize("status", [200, 403, 502])
@pytest.mark.parametrize("call", ["ec2.describe_vpcs", "sqs.list_queues", "iam.list_roles", "s3.list_buckets"])
def test_a_page_of_someone_else_is_no_answer_that_says_there_is_nothing(status: int, call: str) -> None:
    answers = AnsweredSession(
        (status, '<?xml version="1.0"?>\n<!DOCTYPE html>\n<html><body>Log in first</body></html>')
    )
    service, operation = call.split(".")

    with pytest.raises(AwsError, match=f"{call}: .*HTTP {status}") as told:
        getattr(getattr(answers.aws.once, service), operation)()

    assert told.value.meaning is Meaning.LOST
    assert told.value.hint == "check the network and AWS_ENDPOINT_URL: orderops doctor"


def test_pages_are_read_to_the_end() -> None:
    first = "<Roles><member><RoleName>a</RoleName></member></Roles><IsTruncated>true</IsTruncated><Marker>next</Marker>"
    second = "<Roles><member><RoleName>b</RoleName></member></Roles>"
    pages = [(200, f"<ListRolesResponse><ListRolesResult>{page}</ListRolesResult></ListRolesResponse>")
             for page in (first, second)]  # fmt: skip
    answers = AnsweredSession(*pages)

    assert [role["RoleName"] for role in every(answers.aws.iam.list_roles, "Roles")] == ["a", "b"]


def test_clients_are_made_once_for_all_threads() -> None:
    answers = AnsweredSession((200, ACCOUNT))
    made: list[str] = []
    answers.session.events.register("creating-client-class.sts", lambda **_: made.append("sts"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: answers.aws.sts.get_caller_identity(), range(8)))

    assert made == ["sts"]


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Reads one request, sends these bytes and hangs up."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving.join(timeout=10)


def test_a_guard_is_asked_before_every_call_that_is_more_than_a_read(aws: Aws) -> None:
    asked: list[str] = []
    _ = aws.once  # made before, and still not the one of the guarded view

    def keep_out() -> None:
        asked.append("asked")
        raise OrderopsError("not now")

    guarded = aws.guarded(keep_out)
    assert guarded.sqs.list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
    for view in (guarded, guarded.once, guarded.remembering()):
        with pytest.raises(OrderopsError, match="not now"):
            view.sqs.create_queue(QueueName="orders")

    assert asked == ["asked"] * 3
    assert aws.sqs.list_queues().get("QueueUrls") is None
    aws.sqs.create_queue(QueueName="orders")


def test_a_guard_is_asked_again_before_a_call_is_sent_again() -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = Aws(REGION, endpoint_url=f"http://127.0.0.1:{port}")
    with pytest.raises(AwsError):
        nobody.guarded(lambda: asked.append("asked")).sqs.create_queue(QueueName="orders")

    assert len(asked) == READ_ATTEMPTS
