"""CloudWatch dashboard: graphs of metrics, and the states of alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import Frozen
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm, Metric
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm

FEATURE = Feature("dashboard", ":dashboard/")
# A dashboard is 24 columns wide.
COLUMNS = 24
# An alarm widget shows at most 100.
MOST_ALARMS = 100


class DashboardWidget(Frozen):
    """A graph of `metrics` or of one `alarm` with its limit, or the states of `alarms`. Three graphs fit in a row."""

    title: str
    metrics: tuple[Metric, ...] = ()
    alarms: tuple[CloudwatchAlarm | CloudwatchCompositeAlarm, ...] = ()
    alarm: CloudwatchAlarm | None = None
    width: int = 8
    height: int = 6

    def desired(self, outputs: Outputs, region: str) -> dict[str, Any]:
        """The widget in the form of a dashboard's body, without its place."""
        if self.alarms:
            arns = [outputs[alarm].arn for alarm in self.alarms[:MOST_ALARMS]]
            return {"type": "alarm", "properties": {"title": self.title, "alarms": arns}}
        if self.alarm:
            # CloudWatch draws the metric of the alarm, and its band.
            properties = {"title": self.title, "region": region, "view": "timeSeries"}
            return {
                "type": "metric",
                "properties": {**properties, "annotations": {"alarms": [outputs[self.alarm].arn]}},
            }
        return {
            "type": "metric",
            "properties": {
                "title": self.title,
                "region": region,
                "view": "timeSeries",
                "period": 60,
                "metrics": [_shown(metric, outputs) for metric in self.metrics],
            },
        }


class CloudwatchDashboard(Resource):
    """Visible from every region of the account, so its name says environment and region."""

    region: str
    widgets: tuple[DashboardWidget, ...]

    kind: ClassVar[str] = "cloudwatch-dashboard"
    name_rule: ClassVar[NameRule | None] = NameRule(255, r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"ResourceNotFound", "DashboardNotFoundError", "ResourceNotFoundException", "ConflictException"}
    )

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        # The same environment may have a dashboard in another region.
        own = owner.name or name_of(owner.environment, aws.region)
        for raw in every(aws.cloudwatch.list_dashboards, "DashboardEntries", DashboardNamePrefix=own):
            if raw["DashboardName"] == own:
                yield Observed(own, name=own, arn=raw["DashboardArn"])

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        raw = aws.cloudwatch.get_dashboard(DashboardName=observed.name)
        return Observed(
            observed.id, {"Body": json.loads(raw["DashboardBody"])}, observed.tags, observed.name, observed.arn
        )

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.cloudwatch.list_tags_for_resource(ResourceARN=observed.arn).get("Tags"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.cloudwatch.tag_resource(ResourceARN=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        placed, x, y, row = [], 0, 0, 0
        for widget in self.widgets:
            if x + widget.width > COLUMNS:
                x, y, row = 0, y + row, 0
            place = {"x": x, "y": y, "width": widget.width, "height": widget.height}
            placed.append({**widget.desired(outputs, self.region), **place})
            x, row = x + widget.width, max(row, widget.height)
        return {"Body": {"start": "-PT24H", "periodOverride": "inherit", "widgets": placed}}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        _put(aws, self.name, desired["Body"], Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        # AWS takes tags only when a dashboard is created.
        _put(aws, observed.name, changed["Body"])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.cloudwatch.delete_dashboards(DashboardNames=[observed.name])


def name_of(environment: str, region: str) -> str:
    """The name of an environment's dashboard."""
    return f"orderops-{environment}-{region}"


def _put(aws: Aws, name: str, body: Mapping[str, Any], **more: Any) -> None:
    aws.cloudwatch.put_dashboard(DashboardName=name, DashboardBody=json.dumps(body), **more)


def _shown(metric: Metric, outputs: Outputs) -> list[Any]:
    shown = metric.desired(outputs, 60)
    pairs = [word for pair in shown["Dimensions"].items() for word in pair]
    return [shown["Namespace"], shown["MetricName"], *pairs, {"stat": shown["Stat"]}]
