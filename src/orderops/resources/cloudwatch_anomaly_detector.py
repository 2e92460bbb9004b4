"""CloudWatch anomaly detector: the model that gives a metric its band of usual values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.features import Feature
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.sqs_queue import SqsQueue

FEATURE = Feature("anomaly-detection")
TRAINED = "TRAINED"
"""The state of a detector that knows enough to give a band."""
QUEUE, BALANCER = "QueueName", "LoadBalancer"
# What orderops has bands for. A detector on another metric or statistic was made by somebody else, also on our queue.
MADE = frozenset(
    {
        ("AWS/ApplicationELB", "TargetResponseTime", "p95", BALANCER),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "Minimum", QUEUE),
    }
)


class CloudwatchAnomalyDetector(Resource):
    """Learns what is usual for a metric of `source`, by the hours of `time_zone`; AWS takes UTC without one.

    AWS knows it by namespace, metric, dimensions and statistic, and keeps no tags for it: it belongs to whom the queue
    or the load balancer in its dimensions belongs. Its name is made of these. Times that an operator excluded from its
    training stay excluded.
    """

    namespace: str
    metric: str
    statistic: str
    source: SqsQueue | Elbv2LoadBalancer
    time_zone: str | None = None

    kind: ClassVar[str] = "cloudwatch-anomaly-detector"
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
    untagged: ClassVar[bool] = True

    @classmethod
    def on(
        cls, source: SqsQueue | Elbv2LoadBalancer, namespace: str, metric: str, statistic: str, time_zone: str | None
    ) -> CloudwatchAnomalyDetector:
        """The detector of a metric of a queue or a load balancer."""
        return cls(name_of(source.name, metric), namespace, metric, statistic, source, time_zone)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.cloudwatch.describe_anomaly_detectors, "AnomalyDetectors", MaxResults=100):
            # Older detectors are described by members of their own.
            single = raw.get("SingleMetricAnomalyDetector") or raw
            if single.get("AccountId", aws.account) != aws.account:
                continue
            source = _source_of(aws, owner, single)
            name = source and name_of(source, single["MetricName"])
            if name and owner.name in ("", name):
                properties, tags = _properties_of(raw, single), owner.named(cls.kind, name)
                (value,) = properties["Dimensions"].values()
                yield Observed(value, properties, tags, name, status=raw.get("StateValue", ""))

    def desired(self, outputs: Outputs) -> Properties:
        value = self.source.name if isinstance(self.source, SqsQueue) else _suffix(outputs[self.source])
        return {
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Stat": self.statistic,
            "Dimensions": {QUEUE if isinstance(self.source, SqsQueue) else BALANCER: value},
            "MetricTimezone": self.time_zone,
        }

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, desired)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        _put(aws, {**observed.properties, **changed})

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.cloudwatch.delete_anomaly_detector(SingleMetricAnomalyDetector=_metric(observed.properties))


def name_of(source: str, metric: str) -> str:
    """The name of the detector of a metric of this queue or load balancer."""
    return f"{source}/{metric}"


def _source_of(aws: Aws, owner: Ownership, single: Mapping[str, Any]) -> str:
    """The name of the queue or load balancer of the environment that a detector is for; "" for any other one."""
    dimensions = from_pairs(single.get("Dimensions"), "Name")
    ((key, value),) = dimensions.items() if len(dimensions) == 1 else (("", ""),)
    if (single.get("Namespace"), single.get("MetricName"), single.get("Stat"), key) not in MADE:
        return ""
    found = _queues(aws, owner, value) if key == QUEUE else _balancers(aws, owner, value)
    # Names alone would not do: orderops-dev-two-x-queue may be of dev and of dev-two.
    return next((name for name, tags in found if tags.get(ENVIRONMENT) == owner.environment), "")


def _queues(aws: Aws, owner: Ownership, name: str) -> Iterator[tuple[str, Tags]]:
    if name.startswith(Ownership(owner.environment).prefix):
        # By its name, since the listing of all queues is late.
        for queue in SqsQueue.listing(aws, Ownership(owner.environment, f"{SqsQueue.kind}/{name}", name)):
            yield queue.name, SqsQueue.tags(aws, queue)


def _balancers(aws: Aws, owner: Ownership, suffix: str) -> Iterator[tuple[str, Tags]]:
    for balancer in Elbv2LoadBalancer.listing(aws, Ownership(owner.environment)):
        if _suffix(balancer) == suffix:
            yield balancer.name, Elbv2LoadBalancer.tags(aws, balancer)


def _suffix(balancer: Observed) -> str:
    """What CloudWatch knows a load balancer by: the end of its ARN."""
    return str(balancer.properties["ArnSuffix"])


def _put(aws: Aws, properties: Properties) -> None:
    # PutAnomalyDetector replaces the whole configuration: what it is not given is forgotten.
    configuration = dict(properties.get("Configuration", {}))
    configuration.pop("MetricTimezone", None)
    if properties["MetricTimezone"]:
        configuration["MetricTimezone"] = properties["MetricTimezone"]
    aws.cloudwatch.put_anomaly_detector(SingleMetricAnomalyDetector=_metric(properties), Configuration=configuration)


def _metric(properties: Properties) -> dict[str, Any]:
    keys = ("Namespace", "MetricName", "Stat")
    dimensions = to_pairs(properties["Dimensions"], "Name")
    return {**{key: properties[key] for key in keys}, "Dimensions": dimensions}


def _properties_of(raw: Mapping[str, Any], single: Mapping[str, Any]) -> dict[str, Any]:
    configuration = raw.get("Configuration", {})
    return {
        "Namespace": single["Namespace"],
        "MetricName": single["MetricName"],
        "Stat": single["Stat"],
        "Dimensions": from_pairs(single.get("Dimensions"), "Name"),
        "MetricTimezone": configuration.get("MetricTimezone"),
        "Configuration": configuration,
    }
