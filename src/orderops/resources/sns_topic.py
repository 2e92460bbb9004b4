"""SNS topic for alarms and database events, with its declared subscriptions."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urlsplit

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace

PUBLISHERS = ("cloudwatch.amazonaws.com", "events.rds.amazonaws.com")
THIS_TOPIC = "(this topic)"
THIS_ACCOUNT = "(this account)"
PENDING = "PendingConfirmation"
DELETED = "Deleted"
FORMER = "FormerSubscriptions"
"""Name and ARN of each subscription that orderops has made and the file no longer declares."""
SUBSCRIBED = "Subscribed"
MARKS = "orderops:subscriptions"
# As many marks as the value of a tag has room for; the file allows 32 addresses of each kind.
MARK_LENGTH, MOST_MARKS = 4, 64


class SnsTopic(Resource):
    """Alarms and database events go to `emails`, `https` and `sms`; all but the last confirm their subscription.

    A subscription that waits for its confirmation counts as existing. A tag holds the marks of those that orderops has
    made, so that one taken out of the file is known from one added by hand, which is kept.
    """

    emails: tuple[str, ...] = ()
    https: tuple[str, ...] = ()
    sms: tuple[str, ...] = ()

    kind: ClassVar[str] = "sns-topic"
    name_rule: ClassVar[NameRule | None] = NameRule(256, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    arn_form: ClassVar[str] = "arn:{partition}:sns:{region}:{account}:{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        # A principal in the topic's policy may be only seconds old (PrincipalNotFound).
        {"NotFound", "InvalidParameter: already exists", "InvalidParameter: PrincipalNotFound"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.sns.list_topics, "Topics"):
            name = raw["TopicArn"].rpartition(":")[2]
            if name.startswith(owner.prefix):
                yield Observed(raw["TopicArn"], name=name, arn=raw["TopicArn"])

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        raw = aws.sns.get_topic_attributes(TopicArn=observed.id)["Attributes"]
        ends = {
            shown_endpoint(subscription["Protocol"], subscription["Endpoint"]): subscription["SubscriptionArn"]
            for subscription in self._subscriptions(aws, raw)
            if subscription["TopicArn"] == observed.id and subscription["SubscriptionArn"] != DELETED
        }
        marks, declared = _marks(observed), self._ends().keys()
        return replace(
            observed,
            properties={
                "Policy": _with_placeholders(json.loads(raw["Policy"]), observed.arn) if raw.get("Policy") else None,
                "Subscriptions": sorted(end for end in ends.keys() & declared if _mark(end) in marks),
                SUBSCRIBED: sorted(ends),
                FORMER: {end: ends[end] for end in sorted(ends.keys() - declared) if _mark(end) in marks},
                PENDING: sorted(end for end, arn in ends.items() if arn == PENDING),
            },
        )

    def _subscriptions(self, aws: Aws, attributes: Mapping[str, str]) -> Iterator[dict[str, str]]:
        # Not asked for where none is declared and the topic counts none.
        counted = {attributes.get(f"Subscriptions{state}", "?") for state in ("Confirmed", "Pending")}
        if self._ends() or counted != {"0"}:
            yield from every(aws.sns.list_subscriptions, "Subscriptions")

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.sns.list_tags_for_resource(ResourceArn=observed.arn).get("Tags"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.sns.tag_resource(ResourceArn=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"Policy": POLICY, "Subscriptions": sorted(self._ends())}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.sns.create_topic(Name=self.name, Tags=to_pairs({**owner.tags, **self._marked(())}))

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        if "Policy" in changed:
            policy = json.dumps(_without_placeholders(changed["Policy"], observed.arn))
            aws.sns.set_topic_attributes(TopicArn=observed.id, AttributeName="Policy", AttributeValue=policy)
        if "Subscriptions" in changed:
            self._subscribe(aws, observed)

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.sns.delete_topic(TopicArn=observed.id)

    def _subscribe(self, aws: Aws, observed: Observed) -> None:
        # The marks first: an interruption leaves a mark without a subscription, which means nothing.
        marks = self._marked(observed.properties[FORMER])
        if marks != {MARKS: (observed.tags or {}).get(MARKS)}:
            self.retag(aws, observed, marks)
        for end, (protocol, endpoint) in self._ends().items():
            if end not in observed.properties[SUBSCRIBED]:
                aws.sns.subscribe(
                    TopicArn=observed.id,
                    Protocol=protocol,
                    Endpoint=endpoint,
                    # Without it the response is "pending confirmation", which cannot be found again.
                    ReturnSubscriptionArn=True,
                )

    def _marked(self, others: Iterable[str]) -> dict[str, str]:
        """The tag with the marks of all declared subscriptions and of these."""
        marks = list(dict.fromkeys(_mark(end) for end in (*self._ends(), *others)))[:MOST_MARKS]
        return {MARKS: "".join(sorted(marks))} if marks else {}

    def _ends(self) -> dict[str, tuple[str, str]]:
        ends = [
            *(("email", email) for email in self.emails),
            *((url.partition(":")[0], url) for url in self.https),
            *(("sms", number) for number in self.sms),
        ]
        return {shown_endpoint(*end): end for end in ends}


# Only AWS knows the topic's ARN and account beforehand. With placeholders, policies can be compared and read.
POLICY: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Publish",
            "Effect": "Allow",
            "Principal": {"Service": list(PUBLISHERS)},
            "Action": "sns:Publish",
            "Resource": THIS_TOPIC,
            "Condition": {"StringEquals": {"aws:SourceAccount": THIS_ACCOUNT}},
        }
    ],
}


def shown_endpoint(protocol: str, endpoint: str) -> str:
    """The name of an endpoint in plans. The path of a paging URL is a secret key, so only its hash is shown."""
    if protocol in ("http", "https"):
        endpoint = f"{urlsplit(endpoint).hostname} ({sha256(endpoint.encode()).hexdigest()[:8]})"
    return f"{protocol} {endpoint}"


def _mark(end: str) -> str:
    return urlsafe_b64encode(sha256(end.encode()).digest())[:MARK_LENGTH].decode()


def _marks(observed: Observed) -> set[str]:
    text = (observed.tags or {}).get(MARKS, "")
    return {text[start : start + MARK_LENGTH] for start in range(0, len(text), MARK_LENGTH)}


def _with_placeholders(policy: Any, arn: str) -> Any:
    replacements = {arn: THIS_TOPIC, arn.split(":")[4]: THIS_ACCOUNT}
    return _replaced(policy, replacements)


def _without_placeholders(policy: Any, arn: str) -> Any:
    return _replaced(policy, {THIS_TOPIC: arn, THIS_ACCOUNT: arn.split(":")[4]})


def _replaced(value: Any, replacements: Mapping[str, str]) -> Any:
    """The value with texts replaced, and with lists of texts sorted: AWS keeps no order."""
    if isinstance(value, Mapping):
        return {key: _replaced(part, replacements) for key, part in value.items()}
    if isinstance(value, list):
        parts = [_replaced(part, replacements) for part in value]
        return sorted(parts) if all(isinstance(part, str) for part in parts) else parts
    return replacements.get(value, value) if isinstance(value, str) else value
