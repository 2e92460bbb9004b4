from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from support.laptop import until
from support.strict_clients import Client, Refused


@pytest.fixture
def topic(strict: Client) -> str:
    return str(strict("sns").create_topic(Name="alerts", Tags=[{"Key": "a", "Value": "1"}])["TopicArn"])


@pytest.fixture
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """URL of an HTTP subscriber, and the posts it has received."""
    got: list[dict[str, Any]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append({**body, "header": self.headers.get("x-amz-sns-message-type")})
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def test_an_email_subscription_is_pending_until_confirmed(
    moto: Client, strict: Client, topic: str, refused: Refused
) -> None:
    loose = moto("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="loose@example.com")
    assert loose["SubscriptionArn"].startswith("arn:")

    response = strict("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    arn = strict("sns").subscribe(
        TopicArn=topic, Protocol="email", Endpoint="ops@example.com", ReturnSubscriptionArn=True
    )["SubscriptionArn"]

    assert response["SubscriptionArn"] == "pending confirmation"
    assert _listed(strict, topic)["ops@example.com"] == "PendingConfirmation"
    assert _listed(moto, topic)["ops@example.com"] == arn
    assert strict("sns").get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true"
    with refused("InvalidParameter"):
        strict("sns").unsubscribe(SubscriptionArn=arn)
    with refused("InvalidParameter"):
        strict("sns").unsubscribe(SubscriptionArn="PendingConfirmation")
    with refused("InvalidParameter"):
        strict("sns").confirm_subscription(TopicArn=topic, Token="guessed")

    token = get_backend("sns")[DEFAULT_ACCOUNT_ID]["ap-southeast-2"].subscriptions[arn].token
    assert strict("sns").confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"] == arn
    assert _listed(strict, topic)["ops@example.com"] == arn


def test_an_http_subscriber_receives_nothing_before_it_confirms(
    strict: Client, topic: str, pager: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = pager
    strict("sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
    until(lambda: got)

    strict("sns").publish(TopicArn=topic, Message="too early")
    with urllib.request.urlopen(got[0]["SubscribeURL"]) as response:
        assert response.status == 200
    strict("sns").publish(TopicArn=topic, Message="in time")

    until(lambda: len(got) > 1)
    assert (got[0]["Type"], got[0]["header"]) == ("SubscriptionConfirmation", "SubscriptionConfirmation")
    assert [subscription["Message"] for subscription in got[1:]] == ["in time"]


def test_plain_moto_notifies_an_http_subscriber_without_its_confirmation(
    moto: Client, topic: str, pager: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = pager
    moto("sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=url)

    moto("sns").publish(TopicArn=topic, Message="too early")

    until(lambda: got)
    assert [subscription["Message"] for subscription in got] == ["too early"]


def test_a_queue_needs_no_confirmation(strict: Client, topic: str) -> None:
    url = strict("sqs").create_queue(QueueName="orders")["QueueUrl"]
    queue = strict("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    strict("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)

    strict("sns").publish(TopicArn=topic, Message="news")

    assert "news" in strict("sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"]


@pytest.mark.parametrize(
    ("protocol", "endpoint"), [("email", "nobody"), ("email", "a b@example.com"), ("https", "http://example.com/")]
)
def test_an_invalid_endpoint_is_refused(
    moto: Client, strict: Client, topic: str, refused: Refused, protocol: str, endpoint: str
) -> None:
    moto("sns").subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)

    with refused("InvalidParameter"):
        strict("sns").subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def test_a_topic_is_not_created_again_with_other_tags(
    moto: Client, strict: Client, topic: str, refused: Refused
) -> None:
    other = [{"Key": "a", "Value": "2"}]
    assert moto("sns").create_topic(Name="alerts", Tags=other)["TopicArn"] == topic

    with refused("InvalidParameter"):
        strict("sns").create_topic(Name="alerts", Tags=other)
    assert strict("sns").create_topic(Name="alerts", Tags=[{"Key": "a", "Value": "1"}])["TopicArn"] == topic


def _listed(client: Client, topic: str) -> dict[str, str]:
    response = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return {subscription["Endpoint"]: subscription["SubscriptionArn"] for subscription in response}
