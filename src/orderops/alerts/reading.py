"""The alarms of an environment, and the ends of their topics, as AWS describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from orderops.aws.client import Aws, every
from orderops.config.environment import Environment
from orderops.frozen import Frozen
from orderops.resources.cloudwatch_mark import described
from orderops.resources.sns_topic import DELETED, PENDING, shown_endpoint

# An alarm in the rule of a composite alarm: in quotes, or as it is.
NAMED = re.compile(r'(?:ALARM|OK|INSUFFICIENT_DATA)\(\s*(?:"([^"]+)"|([^()"\s]+))\s*\)')
# The second argument of the expression of a band.
WIDTH = re.compile(r"ANOMALY_DETECTION_BAND\(\s*\w+\s*,\s*([\d.]+)\s*\)")
Raw = Mapping[str, Any]


class AlertsRead(Frozen):
    """All alarms of an environment, and where their topics lead."""

    alarms: Mapping[str, Raw]
    ends: Mapping[str, Mapping[str, str]]
    """By ARN of the topic: each endpoint as it is shown, and the ARN of its subscription."""
    composites: Mapping[str, Raw]

    @classmethod
    def of(cls, aws: Aws, environment: Environment) -> AlertsRead:
        """Read both."""
        alarms, composites = alarms_in(aws, environment)
        ends: dict[str, dict[str, str]] = {}
        for raw in every(aws.sns.list_subscriptions, "Subscriptions"):
            if raw["SubscriptionArn"] != DELETED:
                shown = shown_endpoint(raw["Protocol"], raw["Endpoint"])
                ends.setdefault(raw["TopicArn"], {})[shown] = raw["SubscriptionArn"]
        return cls(alarms, ends, composites)

    @cached_property
    def parents(self) -> Mapping[str, list[str]]:
        """The composite alarms whose rules name an alarm, by its name."""
        found: dict[str, list[str]] = {}
        for name, raw in self.composites.items():
            for child in children_of(raw):
                found.setdefault(child, []).append(name)
        return found

    def topics(self, name: str) -> list[str]:
        """The topics that an alarm notifies, by itself or through composite alarms."""
        return sorted(set(self._topics(name, set())))

    def _topics(self, name: str, seen: set[str]) -> Iterator[str]:
        if name in seen:
            # Composite alarms may name each other.
            return
        seen.add(name)
        raw = self.alarms.get(name) or self.composites.get(name) or {}
        yield from raw.get("AlarmActions", [])
        for parent in self.parents.get(name, []):
            yield from self._topics(parent, seen)

    def route(self, name: str) -> list[str]:
        """The confirmed ends of an alarm's topics."""
        return sorted(end for topic in self.topics(name) for end in self.confirmed(topic))

    def confirmed(self, topic: str) -> list[str]:
        """The ends of a topic that have confirmed their subscription."""
        return sorted(end for end, arn in self.ends.get(topic, {}).items() if arn != PENDING)

    def raised(self, name: str) -> list[str]:
        """The metric alarms in ALARM below an alarm, which may be one itself."""
        return sorted(set(self._raised(name, set())))

    def _raised(self, name: str, seen: set[str]) -> Iterator[str]:
        if name in seen:
            return
        seen.add(name)
        if self.alarms.get(name, {}).get("StateValue") == "ALARM":
            yield name
        for child in children_of(self.composites.get(name, {})):
            yield from self._raised(child, seen)


def alarms_in(aws: Aws, environment: Environment) -> tuple[dict[str, Raw], dict[str, Raw]]:
    """The metric alarms and the composite alarms of an environment, by name."""
    once = aws.remembering()
    return alarms_of(once, environment, "MetricAlarms"), alarms_of(once, environment, "CompositeAlarms")


def alarms_of(aws: Aws, environment: Environment, sort: Literal["MetricAlarms", "CompositeAlarms"]) -> dict[str, Raw]:
    """The alarms of an environment of one sort, by name."""
    return {raw["AlarmName"]: raw for raw in described(aws, f"{environment.prefix}-", sort)}


def children_of(composite: Raw) -> list[str]:
    """The names of the alarms in a composite alarm's rule."""
    names = (quoted or plain for quoted, plain in NAMED.findall(composite.get("AlarmRule", "")))
    return [name.rpartition(":alarm:")[2] if name.startswith("arn:") else name for name in names]


def band_of(alarm: Raw) -> float | None:
    """How many standard deviations the edge of an alarm's band is away; None for an alarm with a threshold."""
    expressions = (query.get("Expression", "") for query in alarm.get("Metrics", ()))
    widths = [float(found[1]) for expression in expressions if (found := WIDTH.fullmatch(expression))]
    return widths[0] if alarm.get("ThresholdMetricId") and widths else None
