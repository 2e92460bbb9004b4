"""SNS: people and web addresses confirm before they are told anything, and a topic keeps the tags it was made with."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.background import Background
from orderops.local.emulator.protocol import ApiError, Environ, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MAIL, WEB = ("email", "email-json"), ("http", "https")
CONFIRM_PATH = "/sns/confirm"
CONFIRMED_WITHIN = 48 * 3600.0
TOLD_ARN = re.compile(rb"(?<=<SubscriptionArn>)[^<]*")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Refuse what AWS refuses, and let who subscribes confirm first."""
    post = Background()

    def subscribed(call: Request, answer: Response) -> Response | None:
        return _wait_for_confirmation(call, answer, post)

    def published(call: Request) -> Response:
        with only_confirmed(call.region):
            return emulator.ask_moto(call, call.again())

    emulator.on_before("sns", "CreateTopic", _tags_agree)
    emulator.on_before("sns", "Subscribe", _can_be_reached)
    emulator.on_after("sns", "Subscribe", subscribed)
    emulator.on_before("sns", "Unsubscribe", _is_confirmed)
    emulator.on_before("sns", "ConfirmSubscription", _token_is_known)
    emulator.on_after("sns", "ConfirmSubscription", _confirmed)
    for action in ("ListSubscriptions", "ListSubscriptionsByTopic"):
        emulator.on_before("sns", action, _forget_unconfirmed)
        emulator.on_after("sns", action, _hide_arns)
    for action in ("Publish", "PublishBatch"):
        emulator.instead["sns", action] = published
    emulator.pages[CONFIRM_PATH] = _confirmed_by_link


@contextmanager
def only_confirmed(region: str) -> Iterator[None]:
    """What is published meanwhile reaches nobody who has not confirmed."""
    subscriptions = _backend(region).subscriptions
    every = dict(subscriptions)
    for arn in [arn for arn, one in every.items() if _is_pending(one)]:
        del subscriptions[arn]
    try:
        yield
    finally:
        subscriptions.clear()
        subscriptions.update(every)


def _tags_agree(call: Request) -> None:
    arn = f"arn:aws:sns:{call.region}:{DEFAULT_ACCOUNT_ID}:{call.form.get('Name', '')}"
    topic = _backend(call.region).topics.get(arn)
    asked = {tag["Key"]: tag.get("Value", "") for tag in call.members("Tags")}
    if topic and asked and asked != topic._tags:
        raise ApiError("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags")


def _can_be_reached(call: Request) -> None:
    protocol, endpoint = call.form.get("Protocol", ""), call.form.get("Endpoint", "")
    if protocol in MAIL and not EMAIL.fullmatch(endpoint):
        raise ApiError("InvalidParameter", "Invalid parameter: Email address")
    if protocol in WEB and not endpoint.startswith(f"{protocol}://"):
        raise ApiError("InvalidParameter", "Invalid parameter: Endpoint must match the specified protocol")


def _wait_for_confirmation(call: Request, answer: Response, post: Background) -> Response | None:
    found = TOLD_ARN.search(answer.body)
    one = _backend(call.region).subscriptions.get(found[0].decode()) if found else None
    if one is None or one.protocol not in (*MAIL, *WEB):
        return None
    if not hasattr(one, "token"):
        one.token, one.asked_at = secrets.token_hex(32), time.time()
        one.attributes["PendingConfirmation"] = True
    if not _is_pending(one):
        return None
    if one.protocol in WEB:
        _ask(one, f"http://{call.environ.get('HTTP_HOST', '127.0.0.1')}{CONFIRM_PATH}", post)
    if call.form.get("ReturnSubscriptionArn") == "true":
        return None
    return Response(answer.status, TOLD_ARN.sub(b"pending confirmation", answer.body), answer.headers)


def _ask(one: Any, page: str, post: Background) -> None:
    """Send a web address what it needs to confirm."""
    topic, number = one.topic.arn, str(uuid.uuid4())
    link = f"{page}?{urlencode({'TopicArn': topic, 'Token': one.token})}"
    asked = {
        "Type": "SubscriptionConfirmation",
        "MessageId": number,
        "Token": one.token,
        "TopicArn": topic,
        "Message": f"You have chosen to subscribe to the topic {topic}.\nTo confirm, visit the SubscribeURL.",
        "SubscribeURL": link,
        "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": "1",
    }
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "SubscriptionConfirmation",
        "x-amz-sns-message-id": number,
        "x-amz-sns-topic-arn": topic,
    }
    post.post(one.endpoint, content=json.dumps(asked), headers=headers)


def _is_confirmed(call: Request) -> None:
    arn = call.form.get("SubscriptionArn", "")
    if arn.count(":") < 5:
        text = (
            f"Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not {arn.count(':') + 1}"
        )
        raise ApiError("InvalidParameter", text)
    one = _backend(call.region).subscriptions.get(arn)
    if one is not None and _is_pending(one):
        text = (
            "Invalid parameter: SubscriptionArn Reason: Cannot unsubscribe a subscription that is pending confirmation"
        )
        raise ApiError("InvalidParameter", text)


def _token_is_known(call: Request) -> None:
    if _asked(call.region, call.form.get("TopicArn", ""), call.form.get("Token", "")) is None:
        raise ApiError("InvalidParameter", "Invalid parameter: Token")


def _confirmed(call: Request, answer: Response) -> Response:
    one = _asked(call.region, call.form["TopicArn"], call.form["Token"])
    one.attributes["PendingConfirmation"] = False
    return Response(answer.status, TOLD_ARN.sub(one.arn.encode(), answer.body), answer.headers)


def _confirmed_by_link(environ: Environ) -> Response:
    told = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    topic = told.get("TopicArn", "")
    one = _asked(topic.split(":")[3], topic, told.get("Token", "")) if topic.count(":") >= 5 else None
    if one is None:
        return Response(403, b"this link confirms nothing\n", [("Content-Type", "text/plain")])
    one.attributes["PendingConfirmation"] = False
    return Response(200, b"subscription confirmed\n", [("Content-Type", "text/plain")])


def _forget_unconfirmed(call: Request) -> None:
    subscriptions = _backend(call.region).subscriptions
    for arn, one in list(subscriptions.items()):
        if _is_pending(one) and time.time() > one.asked_at + CONFIRMED_WITHIN:
            del subscriptions[arn]


def _hide_arns(call: Request, answer: Response) -> Response:
    """Who has not confirmed has no ARN yet."""
    body = answer.body
    for arn, one in _backend(call.region).subscriptions.items():
        if _is_pending(one):
            body = body.replace(f">{arn}<".encode(), b">PendingConfirmation<")
    return Response(answer.status, body, answer.headers)


def _asked(region: str, topic: str, token: str) -> Any:
    """The subscription that was given this token."""
    found = (one for one in _backend(region).subscriptions.values() if one.topic.arn == topic)
    return next((one for one in found if token and getattr(one, "token", None) == token), None)


def _is_pending(one: Any) -> bool:
    return one.attributes.get("PendingConfirmation") is True


def _backend(region: str) -> Any:
    return get_backend("sns")[DEFAULT_ACCOUNT_ID][region]
