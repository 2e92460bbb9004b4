"""SQS queue, with an optional dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every, if_found
from orderops.aws.ownership import Ownership, Tags
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import replace
from orderops.text.lists import counted

GONE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


class SqsQueue(Resource):
    """A message received `max_receives` times without success moves to `dead_letter`. Times are in seconds."""

    visibility_timeout: int = 30
    retention: int = 345_600
    dead_letter: SqsQueue | None = None
    max_receives: int = 5

    kind: ClassVar[str] = "sqs-queue"
    name_rule: ClassVar[NameRule | None] = NameRule(80, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    # A queue just created or deleted shows in ListQueues only after up to a minute.
    lists_late: ClassVar[bool] = True
    arn_form: ClassVar[str] = "arn:{partition}:sqs:{region}:{account}:{name}"
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            *GONE,
            # SQS blocks the name of a deleted queue for 60 seconds.
            "QueueDeletedRecently",
            "AWS.SimpleQueueService.QueueDeletedRecently",
            "QueueNameExists",
            "QueueAlreadyExists",
            # SQS may respond with status 500 while a change spreads.
            "InternalFailure",
        }
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for url in _url_of(aws, owner.name) if owner.name else _urls(aws, owner.prefix):
            account, name = url.split("/")[-2:]
            yield Observed(url, name=name, arn=f"arn:{aws.partition}:sqs:{aws.region}:{account}:{name}")

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        attributes = aws.sqs.get_queue_attributes(QueueUrl=observed.id, AttributeNames=["All"])["Attributes"]
        return replace(observed, properties=_decode(attributes))

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
        return counted(count, "message") if count else ""


def _urls(aws: Aws, prefix: str) -> Iterator[str]:
    return every(aws.sqs.list_queues, "QueueUrls", QueueNamePrefix=prefix, MaxResults=1000)


def _url_of(aws: Aws, name: str) -> Iterator[str]:
    response = if_found(aws.sqs.get_queue_url, *GONE, QueueName=name)
    if response:
        yield response["QueueUrl"]


def _decode(attributes: Mapping[str, str]) -> Properties:
    redrive = json.loads(attributes.get("RedrivePolicy") or "null")
    if redrive:
        # SQS returns maxReceiveCount as a number or as a string.
        redrive["maxReceiveCount"] = int(redrive["maxReceiveCount"])
    return {
        "VisibilityTimeout": int(attributes["VisibilityTimeout"]),
        "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
        "RedrivePolicy": redrive,
    }


def _encode(attributes: Properties) -> dict[str, str]:
    """SQS takes every attribute as text; an empty text removes one."""
    return {key: _text(value) for key, value in attributes.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
