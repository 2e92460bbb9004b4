"""SNS: e-mail and HTTP subscribers confirm first, and a topic keeps the tags it was created with."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import moto.sns.models as moto_sns
from moto.backends import get_backend
from moto.cloudwatch.models import MetricDatum
from moto.core import DEFAULT_ACCOUNT_ID
from moto.utilities.utils import get_partition

from orderops.local.emulator.background import Background
from orderops.local.emulator.protocol import ApiError, Environ, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.cloudwatch.points import with_utc
from orderops.local.strict.delays import Delays

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
EMAIL_PROTOCOLS, WEB_PROTOCOLS = ("email", "email-json"), ("http", "https")
# AWS keeps data points of a minute for 15 days; every save of the state writes all of them.
KEPT = timedelta(hours=3)
CONFIRM_PATH = "/sns/confirm"
# SNS deletes a subscription that is not confirmed within 48 hours.
CONFIRMATION_SECONDS = 48 * 3600.0
SUBSCRIPTION_ARN = re.compile(rb"(?<=<SubscriptionArn>)[^<]*")


def register(emulator: Emulator, delays: Delays) -> None:
    """Reject what AWS rejects, and make subscribers confirm."""

    def delivered(topic: str, arrived: bool) -> None:
        with emulator.lock:
            _count(topic, arrived)

    background = Background(delivered)
    # moto posts to subscribers inside Publish: one that does not answer would block the whole emulator.
    moto_sns.requests = background

    def subscribed(request: Request, response: Response) -> Response | None:
        return _wait_for_confirmation(request, response, background)

    def published(request: Request) -> Response:
        with only_confirmed(request.region):
            response = emulator.call_moto(request, request.unchanged())
        if response.ok:
            _count_others(request.region, request.form.get("TopicArn", ""))
        return response

    # CreateTopic is idempotent on AWS only with equal tags; moto ignores the difference.
    emulator.on_before("sns", "CreateTopic", _check_tags)
    emulator.on_before("sns", "Subscribe", _check_endpoint)
    # moto confirms every subscription immediately and sends to it.
    emulator.on_after("sns", "Subscribe", subscribed)
    # Only the subscriber can get rid of a pending subscription; AWS rejects Unsubscribe.
    emulator.on_before("sns", "Unsubscribe", _check_confirmed)
    emulator.on_before("sns", "ConfirmSubscription", _check_token)
    emulator.on_after("sns", "ConfirmSubscription", _confirm)
    for action in ("ListSubscriptions", "ListSubscriptionsByTopic"):
        emulator.on_before("sns", action, _delete_expired)
        emulator.on_after("sns", action, _hide_arns)
    for action in ("Publish", "PublishBatch"):
        emulator.instead["sns", action] = published
    emulator.pages[CONFIRM_PATH] = _confirm_by_link


@contextmanager
def only_confirmed(region: str) -> Iterator[None]:
    """Hide unconfirmed subscriptions from whatever publishes within this block."""
    subscriptions = _backend(region).subscriptions
    every = dict(subscriptions)
    for arn in [arn for arn, subscription in every.items() if _is_pending(subscription)]:
        del subscriptions[arn]
    try:
        yield
    finally:
        subscriptions.clear()
        subscriptions.update(every)


def publish_to_confirmed(region: str, topic: str, message: str, subject: str) -> None:
    """Publish as another service, such as an alarm. Raises an exception of moto if the topic does not exist."""
    with only_confirmed(region):
        _backend(region).publish(message, topic, None, subject)
    _count_others(region, topic)


def _count_others(region: str, topic: str) -> None:
    """Count a message as delivered to each confirmed subscriber that is not posted to."""
    for subscription in _backend(region).subscriptions.values():
        web = subscription.protocol in WEB_PROTOCOLS
        if subscription.topic.arn == topic and not web and not _is_pending(subscription):
            _count(topic, True)


def _count(topic: str, arrived: bool) -> None:
    """Record a delivery as SNS does, by name of the topic."""
    region, name = topic.split(":")[3], topic.rpartition(":")[2]
    backend, now = get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][region], datetime.now(UTC)
    metric = f"NumberOfNotifications{'Delivered' if arrived else 'Failed'}"
    kept = [
        datum for datum in backend.metric_data if datum.namespace != "AWS/SNS" or now - with_utc(datum.timestamp) < KEPT
    ]
    # moto's times are UTC without a zone.
    datum = MetricDatum("AWS/SNS", metric, 1, [{"Name": "TopicName", "Value": name}], now.replace(tzinfo=None), "Count")
    backend.metric_data[:] = [*kept, datum]


def _check_tags(request: Request) -> None:
    arn = (
        f"arn:{get_partition(request.region)}:sns:{request.region}:{DEFAULT_ACCOUNT_ID}:{request.form.get('Name', '')}"
    )
    topic = _backend(request.region).topics.get(arn)
    tags = {tag["Key"]: tag.get("Value", "") for tag in request.members("Tags")}
    if topic and tags and tags != topic._tags:
        raise ApiError("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags")


def _check_endpoint(request: Request) -> None:
    protocol, endpoint = request.form.get("Protocol", ""), request.form.get("Endpoint", "")
    if protocol in EMAIL_PROTOCOLS and not EMAIL.fullmatch(endpoint):
        raise ApiError("InvalidParameter", "Invalid parameter: Email address")
    if protocol in WEB_PROTOCOLS and not endpoint.startswith(f"{protocol}://"):
        raise ApiError("InvalidParameter", "Invalid parameter: Endpoint must match the specified protocol")


def _wait_for_confirmation(request: Request, response: Response, background: Background) -> Response | None:
    found = SUBSCRIPTION_ARN.search(response.body)
    subscription = _backend(request.region).subscriptions.get(found[0].decode()) if found else None
    if subscription is None or subscription.protocol not in (*EMAIL_PROTOCOLS, *WEB_PROTOCOLS):
        return None
    if not hasattr(subscription, "token"):
        subscription.token, subscription.requested_at = secrets.token_hex(32), time.time()
        subscription.attributes["PendingConfirmation"] = True
    if not _is_pending(subscription):
        return None
    if subscription.protocol in WEB_PROTOCOLS:
        _send_confirmation_request(
            subscription, f"http://{request.environ.get('HTTP_HOST', '127.0.0.1')}{CONFIRM_PATH}", background
        )
    if request.form.get("ReturnSubscriptionArn") == "true":
        return None
    return Response(response.status, SUBSCRIPTION_ARN.sub(b"pending confirmation", response.body), response.headers)


def _send_confirmation_request(subscription: Any, page: str, background: Background) -> None:
    """Send an HTTP subscriber the link that confirms the subscription."""
    topic, message_id = subscription.topic.arn, str(uuid.uuid4())
    link = f"{page}?{urlencode({'TopicArn': topic, 'Token': subscription.token})}"
    document = {
        "Type": "SubscriptionConfirmation",
        "MessageId": message_id,
        "Token": subscription.token,
        "TopicArn": topic,
        "Message": f"You have chosen to subscribe to the topic {topic}.\nTo confirm, visit the SubscribeURL.",
        "SubscribeURL": link,
        "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": "1",
    }
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "SubscriptionConfirmation",
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": topic,
    }
    background.post(subscription.endpoint, content=json.dumps(document), headers=headers)


def _check_confirmed(request: Request) -> None:
    arn = request.form.get("SubscriptionArn", "")
    if arn.count(":") < 5:
        text = (
            f"Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not {arn.count(':') + 1}"
        )
        raise ApiError("InvalidParameter", text)
    subscription = _backend(request.region).subscriptions.get(arn)
    if subscription is not None and _is_pending(subscription):
        text = (
            "Invalid parameter: SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending confirmation"
        )
        raise ApiError("InvalidParameter", text)


def _check_token(request: Request) -> None:
    if _by_token(request.region, request.form.get("TopicArn", ""), request.form.get("Token", "")) is None:
        raise ApiError("InvalidParameter", "Invalid parameter: Token")


def _confirm(request: Request, response: Response) -> Response:
    subscription = _by_token(request.region, request.form["TopicArn"], request.form["Token"])
    subscription.attributes["PendingConfirmation"] = False
    return Response(response.status, SUBSCRIPTION_ARN.sub(subscription.arn.encode(), response.body), response.headers)


def _confirm_by_link(environ: Environ) -> Response:
    parameters = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    topic = parameters.get("TopicArn", "")
    subscription = _by_token(topic.split(":")[3], topic, parameters.get("Token", "")) if topic.count(":") >= 5 else None
    if subscription is None:
        return Response(403, b"this link belongs to no pending subscription\n", [("Content-Type", "text/plain")])
    subscription.attributes["PendingConfirmation"] = False
    return Response(200, b"subscription confirmed\n", [("Content-Type", "text/plain")])


def _delete_expired(request: Request) -> None:
    subscriptions = _backend(request.region).subscriptions
    for arn, subscription in list(subscriptions.items()):
        if _is_pending(subscription) and time.time() > subscription.requested_at + CONFIRMATION_SECONDS:
            del subscriptions[arn]


def _hide_arns(request: Request, response: Response) -> Response:
    """Replace the ARNs of unconfirmed subscriptions, as AWS does."""
    body = response.body
    for arn, subscription in _backend(request.region).subscriptions.items():
        if _is_pending(subscription):
            body = body.replace(f">{arn}<".encode(), b">PendingConfirmation<")
    return Response(response.status, body, response.headers)


def _by_token(region: str, topic: str, token: str) -> Any:
    """Return the subscription with this token, or None."""
    candidates = (
        subscription for subscription in _backend(region).subscriptions.values() if subscription.topic.arn == topic
    )
    return next(
        (subscription for subscription in candidates if token and getattr(subscription, "token", None) == token), None
    )


def _is_pending(subscription: Any) -> bool:
    return subscription.attributes.get("PendingConfirmation") is True


def _backend(region: str) -> Any:
    return get_backend("sns")[DEFAULT_ACCOUNT_ID][region]
