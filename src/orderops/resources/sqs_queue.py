"""SQS queue, with an optional dead-letter queue behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.resource import Observed, Outputs, Properties, Resource

GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


@dataclass(frozen=True, eq=False)
class SqsQueue(Resource):
    """Messages received `max_receives` times without success move to `dead_letter`; times are in seconds."""

    visibility_timeout: int = 30
    retention: int = 345_600
    dead_letter: SqsQueue | None = None
    max_receives: int = 5

    kind: ClassVar[str] = "sqs-queue"
    arn_form: ClassVar[str] = "arn:{partition}:sqs:{region}:{account}:{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            *GONE,
            "QueueDeletedRecently",
            "AWS.SimpleQueueService.QueueDeletedRecently",
            "QueueNameExists",
            "QueueAlreadyExists",
            "InternalFailure",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for url in every(aws.sqs.list_queues, "QueueUrls", QueueNamePrefix=owner.prefix, MaxResults=1000):
            account, name = url.split("/")[-2:]
            yield Observed(url, name=name, arn=f"arn:aws:sqs:{aws.region}:{account}:{name}")

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        raw = aws.sqs.get_queue_attributes(QueueUrl=observed.id, AttributeNames=["All"])["Attributes"]
        redrive = json.loads(raw["RedrivePolicy"]) if raw.get("RedrivePolicy") else None
        if redrive:
            redrive["maxReceiveCount"] = int(redrive["maxReceiveCount"])  # AWS answers it as number or as text
        return replace(
            observed,
            properties={
                "VisibilityTimeout": int(raw["VisibilityTimeout"]),
                "MessageRetentionPeriod": int(raw["MessageRetentionPeriod"]),
                "RedrivePolicy": redrive,
            },
        )

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return dict(aws.sqs.list_queue_tags(QueueUrl=observed.id).get("Tags", {}))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.sqs.tag_queue(QueueUrl=observed.id, Tags=dict(tags))

    def desired(self, outputs: Outputs) -> Properties:
        dead = self.dead_letter
        redrive = dead and {"deadLetterTargetArn": outputs[dead].arn, "maxReceiveCount": self.max_receives}
        return {
            "VisibilityTimeout": self.visibility_timeout,
            "MessageRetentionPeriod": self.retention,
            "RedrivePolicy": redrive,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        given = {key: value for key, value in desired.items() if value is not None}
        aws.sqs.create_queue(QueueName=self.name, Attributes=_encode(given), tags=owner.tags)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        aws.sqs.set_queue_attributes(QueueUrl=observed.id, Attributes=_encode(changed))

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.sqs.delete_queue(QueueUrl=observed.id)

    @classmethod
    def holds(cls, aws: Aws, observed: Observed) -> str:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        raw = aws.sqs.get_queue_attributes(QueueUrl=observed.id, AttributeNames=names)["Attributes"]
        count = sum(int(raw.get(name, 0)) for name in names)
        return f"{count} message{'s' * (count > 1)}" if count else ""


def _encode(attributes: Properties) -> dict[str, str]:
    """SQS takes every attribute as text, and an empty text to remove one."""
    return {key: _text(value) for key, value in attributes.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
