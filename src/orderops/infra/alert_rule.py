"""What a rule for alarms consists of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from orderops.frozen import Frozen, field


class Priority(StrEnum):
    """How soon an operator has to act: now, within 30 minutes, on the next business day."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"


class RuleSubject(StrEnum):
    """What a rule is applied to."""

    SERVICE = "each service"
    TASKS = "each service and worker"
    BALANCER = "the load balancer"
    DATABASE = "the database"
    REPLICA = "each read replica"
    CERTIFICATE = "the certificate"
    FIREWALL = "the firewall"
    SCHEDULES = "the schedules"


class Source(StrEnum):
    """What a metric is measured on; it decides the dimensions."""

    GROUPS = "target groups"
    BALANCER = "load balancer"
    TASKS = "tasks"
    LOGS = "log lines of the service"
    QUEUE = "queue"
    DEAD_LETTERS = "dead-letter queue"
    DATABASE = "database"
    REPLICA = "read replica"
    CERTIFICATE = "certificate"
    FIREWALL = "web ACL"
    SCHEDULES = "schedule group"
    FAILED_SCHEDULES = "queue of failed starts"


class Need(StrEnum):
    """What the environment file has to declare for a rule to have data."""

    INSIGHTS = "[cluster] container_insights = true"
    NO_INSIGHTS = "[cluster] container_insights = false"
    SCALING = "max_tasks above min_tasks"
    KNOWN_CLASS = "an instance_class under [database] whose memory is known"
    PERFORMANCE_INSIGHTS = "[database] performance_insights = true"
    REPLICAS = "[database] replicas above 0"
    ANOMALY_DETECTION = "[alerts] anomaly_detection = true"
    CERTIFICATE = "a name under [domain]"
    FIREWALL = "[waf] enabled = true"
    SCHEDULES = "publish_every under [board], or rotate_days under [database]"


# What an environment does without on purpose, so that nothing is wrong with a rule that has no alarm.
CHOICES = frozenset(
    {
        Need.SCALING,
        Need.REPLICAS,
        Need.ANOMALY_DETECTION,
        Need.CERTIFICATE,
        Need.FIREWALL,
        Need.SCHEDULES,
    }
)


class Measure(Frozen):
    """A metric, the statistic of each period, and what it is measured on."""

    namespace: str
    metric: str
    statistic: str
    source: Source


class AlertRule(Frozen):
    """A line of the policy. `{name}`, `{limit}` and `{env}` in its texts are filled in for each alarm."""

    key: str
    priority: Priority
    subject: RuleSubject
    sentence: str
    limit: float | str
    """The threshold, or the key of the service, the database or the firewall that declares it.

    With a band, how many standard deviations its edge is away.
    """
    measures: Mapping[str, Measure]
    missing: str
    missing_because: str
    runbook: str
    expression: str = ""
    below: bool = False
    reached: bool = False
    """Whether the limit itself raises the alarm."""
    band: bool = False
    """Whether the one measure is compared with what CloudWatch learned to be usual for it."""
    period: int = 60
    periods: int = 5
    datapoints: int | None = None
    needs: tuple[Need, ...] = field(default=())

    @property
    def comparison(self) -> str:
        """The comparison in CloudWatch's words."""
        if self.band:
            return "GreaterThanUpperThreshold"
        return f"{'LessThan' if self.below else 'GreaterThan'}{'OrEqualTo' if self.reached else ''}Threshold"
