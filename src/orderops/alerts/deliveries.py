"""Whether the messages of a fire drill arrived, as the metrics of SNS say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

from orderops.alerts.fire_drill import DrillTarget, MessagesTaken
from orderops.alerts.fire_drill_record import EndReached
from orderops.aws.client import Aws
from orderops.aws.metrics import MetricQuery, read_metrics

MINUTE = timedelta(minutes=1)
METRICS = ("NumberOfNotificationsDelivered", "NumberOfNotificationsFailed")


class DeliveryWatch:
    """Counts the deliveries of a drill's topics from now on; SNS counts by topic and minute, not by receiver."""

    def __init__(self, aws: Aws, target: DrillTarget) -> None:
        self._aws = aws
        self._target = target
        self._began, self._since = monotonic(), datetime.now(UTC)
        self._before = {topic: self._counts(topic) for topic in target.ends}
        self._failed: set[str] = set()
        self._seconds: dict[str, float] = {}

    def missing(self, accepted: MessagesTaken) -> list[str]:
        """The confirmed ends that may still be reached."""
        return [end for topic in self._target.ends for end in self._missing(topic, accepted)]

    def _missing(self, topic: str, accepted: MessagesTaken) -> list[str]:
        confirmed = [end for end, has_confirmed in self._target.ends[topic].items() if has_confirmed]
        messages = len(accepted.accepted.get(topic, []))
        if not messages or topic in self._seconds or topic in self._failed:
            return []
        delivered, failed = self._counts(topic)
        delivered_before, failed_before = self._before[topic]
        if failed > failed_before:
            self._failed.add(topic)
        elif delivered - delivered_before >= messages * len(confirmed):
            self._seconds[topic] = monotonic() - self._began
        else:
            return confirmed
        return []

    def ends(self, accepted: MessagesTaken) -> tuple[EndReached, ...]:
        """Every end of the route, and what is known of it."""
        return tuple(
            EndReached(
                topic.rpartition(":")[2],
                end,
                confirmed,
                _seconds(next(iter(accepted.accepted.get(topic, [])), None)) if confirmed else None,
                _seconds(self._seconds.get(topic)) if confirmed else None,
            )
            for topic, ends in self._target.ends.items()
            for end, confirmed in sorted(ends.items())
        )

    def _counts(self, topic: str) -> tuple[int, int]:
        """How many messages SNS has delivered since the minute in which the watch began, and how many not."""
        name = {"TopicName": topic.rpartition(":")[2]}
        found = read_metrics(
            self._aws,
            [MetricQuery("AWS/SNS", metric, "Sum", name) for metric in METRICS],
            period=MINUTE,
            start=self._since.replace(second=0, microsecond=0),
            end=datetime.now(UTC) + MINUTE,
        )
        delivered, failed = (int(sum(value for _, value in points)) for points in found)
        return delivered, failed


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
