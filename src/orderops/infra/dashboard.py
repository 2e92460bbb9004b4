"""The dashboard of an environment: its alarms, load balancer, services, queues and database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orderops.config.environment import Environment
from orderops.engine.resource import Output
from orderops.infra.alert_rules import ECS, ELB, RDS, SQS, WAITING
from orderops.infra.service import ServiceBase
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm, Metric
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm
from orderops.resources.cloudwatch_dashboard import COLUMNS, CloudwatchDashboard, DashboardWidget, name_of
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer

Alarms = tuple[CloudwatchAlarm | CloudwatchCompositeAlarm, ...]
Dimensions = Mapping[str, str | Output]


def dashboards_of(
    environment: Environment,
    alarms: Alarms,
    balancer: Elbv2LoadBalancer,
    instance: str,
    services: Mapping[str, ServiceBase],
    cluster: str,
) -> tuple[CloudwatchDashboard, ...]:
    """One dashboard, or none where the file declares none."""
    wanted = environment.alerts.dashboard
    if not (environment.protected if wanted is None else wanted):
        return ()
    entrance: dict[str, str | Output] = {"LoadBalancer": Output(balancer, "ArnSuffix")}
    widgets = (
        DashboardWidget("Alarms", alarms=alarms, width=COLUMNS, height=4),
        *_balancer(entrance),
        *(widget for key, base in services.items() for widget in _service(environment, key, base, entrance, cluster)),
        *_database({"DBInstanceIdentifier": instance}),
        *_bands(environment, alarms),
    )
    return (CloudwatchDashboard(name_of(environment.name, environment.region), environment.region, widgets),)


def _balancer(entrance: Dimensions) -> Iterator[DashboardWidget]:
    errors = ("HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_4XX_Count")
    yield DashboardWidget("Requests", (Metric(ELB, "RequestCount", "Sum", entrance),))
    yield DashboardWidget("Errors", tuple(Metric(ELB, name, "Sum", entrance) for name in errors))
    times = tuple(Metric(ELB, "TargetResponseTime", statistic, entrance) for statistic in ("p50", "p95", "p99"))
    yield DashboardWidget("Response time in seconds", times)


def _service(
    environment: Environment, key: str, base: ServiceBase, entrance: Dimensions, cluster: str
) -> Iterator[DashboardWidget]:
    tasks = {"ClusterName": cluster, "ServiceName": environment.service_name(key)}
    used = tuple(Metric(ECS, name, "Average", tasks) for name in ("CPUUtilization", "MemoryUtilization"))
    yield DashboardWidget(f"{key}: CPU and memory of tasks in percent", used)
    # A worker has no targets, and shares the queue of its service.
    if base.routing is None:
        return
    groups = [{**entrance, "TargetGroup": Output(group, "ArnSuffix")} for group in base.routing.target_groups]
    hosts = tuple(Metric(ELB, "HealthyHostCount", "Minimum", group) for group in groups)
    yield DashboardWidget(f"{key}: healthy tasks", hosts)
    queue, dead = {"QueueName": base.queue.name}, {"QueueName": base.dead_letters.name}
    messages = (
        Metric(SQS, WAITING, "Maximum", queue),
        Metric(SQS, "ApproximateAgeOfOldestMessage", "Maximum", queue),
        Metric(SQS, WAITING, "Maximum", dead),
    )
    yield DashboardWidget(f"{key}: messages that wait, age of the oldest in seconds, dead letters", messages)


def _database(instance: Dimensions) -> Iterator[DashboardWidget]:
    for title, name in (
        ("Database: CPU in percent", "CPUUtilization"),
        ("Database: connections", "DatabaseConnections"),
        ("Database: free storage in bytes", "FreeStorageSpace"),
    ):
        yield DashboardWidget(title, (Metric(RDS, name, "Average", instance),))


def _bands(environment: Environment, alarms: Alarms) -> Iterator[DashboardWidget]:
    for alarm in alarms:
        if isinstance(alarm, CloudwatchAlarm) and alarm.band:
            yield DashboardWidget(alarm.name.removeprefix(f"{environment.prefix}-"), alarm=alarm)
