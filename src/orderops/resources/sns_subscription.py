"""SNS subscription that orderops made for an address which is no longer in the environment file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership
from orderops.engine.inventory import Owned
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.sns_topic import FORMER, PENDING, SnsTopic, shown_endpoint


class SnsSubscription(Resource):
    """Named by its endpoint, such as `email oncall@example.com`. The topic makes declared ones; this only ends others.

    So it is not a kind of the stack: `down` deletes the topic, and its subscriptions with it.
    """

    topic: SnsTopic

    kind: ClassVar[str] = "sns-subscription"
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"NotFound"})
    untagged: ClassVar[bool] = True

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.sns.list_subscriptions, "Subscriptions"):
            topic = raw["TopicArn"].rpartition(":")[2]
            name = shown_endpoint(raw["Protocol"], raw["Endpoint"])
            if topic.startswith(f"orderops-{owner.environment}-") and owner.name in ("", name):
                yield _observed(owner, name, raw["SubscriptionArn"], raw["TopicArn"])

    def desired(self, outputs: Outputs) -> Properties:
        return {}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        """Do nothing: the topic subscribes what the file declares."""

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Do nothing: a subscription has no settings."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.sns.unsubscribe(SubscriptionArn=observed.id)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        # AWS refuses to unsubscribe it (Unsubscribe in the SNS API reference), and removes it by itself.
        return "a confirmation that is pending, so AWS cannot end it; without one it ends by itself after 48 hours" * (
            observed.status == PENDING
        )


def former_subscriptions(environment: str, topic: Observed) -> Iterator[Owned]:
    """The subscriptions of a topic that orderops made and that the file no longer declares."""
    owner = Ownership(environment)
    for name, arn in topic.properties.get(FORMER, {}).items():
        yield Owned(SnsSubscription, _observed(owner, name, arn, topic.id), f"{SnsSubscription.kind}/{name}")


def _observed(owner: Ownership, name: str, arn: str, topic: str) -> Observed:
    # A subscription that is pending has no ARN of its own.
    key: Any = f"{topic} {name}" if arn == PENDING else arn
    return Observed(
        key, tags=owner.named(SnsSubscription.kind, name), name=name, status=PENDING if arn == PENDING else ""
    )
