"""The alarms of an environment: its rules applied to each service, to the load balancer and to the database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from orderops.config.database import DatabaseConfig
from orderops.config.environment import Environment
from orderops.config.service import ServiceConfig
from orderops.config.waf import WafConfig
from orderops.engine.resource import Output
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field
from orderops.infra.alert_rule import AlertRule, Measure, Need, Priority, RuleSubject, Source
from orderops.infra.alert_rules import RULES
from orderops.infra.failed_schedules import dead_letter_of, schedules_of
from orderops.infra.firewall import acl_name
from orderops.infra.network import replica_names
from orderops.resources.acm_certificate import AcmCertificate
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm, Metric
from orderops.resources.cloudwatch_anomaly_detector import CloudwatchAnomalyDetector
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.rds_read_replica import RdsReadReplica
from orderops.resources.scheduler_group import name_of
from orderops.resources.sns_topic import SnsTopic
from orderops.resources.sqs_queue import SqsQueue

Dimensions = Mapping[str, str | Output]
Routes = Mapping[Priority, SnsTopic]
# [x] and [x?] in an expression.
GROUPS = re.compile(r"\[(\w+)(\??)\]")


class WatchedPart(Frozen):
    """A service, or a part that all services share, with what its metrics are measured on."""

    name: str
    subjects: tuple[RuleSubject, ...]
    dimensions: Mapping[Source, Dimensions] = field(default_factory=dict)
    groups: tuple[Dimensions, ...] = ()
    sources: Mapping[Source, SqsQueue | Elbv2LoadBalancer] = field(default_factory=dict)
    """The resources behind the dimensions, which anomaly detectors belong to."""
    key: str = ""
    """The service's key in the environment file, or the number of a replica."""
    declared: ServiceConfig | DatabaseConfig | WafConfig | None = None


def routes_of(environment: Environment) -> dict[Priority, SnsTopic]:
    """The topic of each priority; one without receivers of its own shares that of the environment, which is P1's."""
    alerts = environment.alerts
    shared = SnsTopic(f"{environment.prefix}-alarms", tuple(alerts.emails), tuple(alerts.https), tuple(alerts.sms))
    own = {Priority.P0: alerts.p0, Priority.P2: alerts.p2}
    return {
        priority: SnsTopic(
            f"{shared.name}-{priority.lower()}", tuple(route.emails), tuple(route.https), tuple(route.sms)
        )
        if (route := own.get(priority)) and route.any
        else shared
        for priority in Priority
    }


def check_pages(environment: Environment) -> None:
    """Raise OrderopsError for a protected environment whose P0 alarms reach no operator, unless its file says why."""
    alerts = environment.alerts
    if not environment.protected or alerts.p0.any or alerts.no_pages_because:
        return
    raise OrderopsError(
        f"no operator is paged for P0 alarms of {environment.name}: [alerts.p0] has no receiver",
        f"add a receiver to {environment.name}.toml, such as [alerts.p0] https = [URL], or say in [alerts] why there "
        "is none: no_pages_because = REASON",
    )


def watched_service(
    environment: Environment,
    key: str,
    *,
    balancer: Elbv2LoadBalancer,
    cluster: str,
    groups: Iterable[Elbv2TargetGroup] = (),
    queues: tuple[SqsQueue, SqsQueue] | None = None,
) -> WatchedPart:
    """A service, or a worker if there are no `queues`: its queue and its dead-letter queue."""
    name = environment.service_name(key)
    dimensions: dict[Source, Dimensions] = {
        Source.TASKS: {"ClusterName": cluster, "ServiceName": name},
        # The dimensions that the service writes into its log lines.
        Source.LOGS: {"Environment": environment.name, "Service": key},
    }
    if queues:
        dimensions[Source.QUEUE], dimensions[Source.DEAD_LETTERS] = ({"QueueName": queue.name} for queue in queues)
    return WatchedPart(
        name,
        (RuleSubject.SERVICE, RuleSubject.TASKS) if queues else (RuleSubject.TASKS,),
        dimensions,
        tuple({**_balancer(balancer), "TargetGroup": Output(group, "ArnSuffix")} for group in groups),
        {Source.QUEUE: queues[0]} if queues else {},
        key,
        environment.services[key],
    )


def shared_parts(
    environment: Environment,
    balancer: Elbv2LoadBalancer,
    instance: str,
    replicas: Iterable[RdsReadReplica],
    certificate: AcmCertificate | None,
) -> list[WatchedPart]:
    """What all services share: the entrance, the database instance of this name, and its replicas."""
    database = {"DBInstanceIdentifier": instance}
    return [
        WatchedPart(
            environment.prefix,
            (RuleSubject.BALANCER,),
            {Source.BALANCER: _balancer(balancer)},
            sources={Source.BALANCER: balancer},
        ),
        *_entrance_parts(environment, certificate),
        *_schedule_parts(environment),
        WatchedPart(
            environment.prefix,
            (RuleSubject.DATABASE,),
            {Source.DATABASE: database},
            declared=environment.database,
        ),
        *(
            WatchedPart(
                replica.name,
                (RuleSubject.REPLICA,),
                # Made once the replica replicates: until then it sends no data, which counts as late.
                {Source.DATABASE: database, Source.REPLICA: {"DBInstanceIdentifier": Output(replica, "id")}},
                key=str(replica.number),
                declared=environment.database,
            )
            for replica in replicas
        ),
    ]


def _entrance_parts(environment: Environment, certificate: AcmCertificate | None) -> Iterator[WatchedPart]:
    """The certificate and the firewall, as far as they are declared."""
    if certificate:
        dimensions: Dimensions = {"CertificateArn": Output(certificate, "arn")}
        yield WatchedPart(environment.prefix, (RuleSubject.CERTIFICATE,), {Source.CERTIFICATE: dimensions})
    if environment.firewall:
        # The name that the web ACL has in metrics is its own; ALL stands for its rules together.
        dimensions = {"WebACL": acl_name(environment), "Region": environment.region, "Rule": "ALL"}
        subjects = (RuleSubject.FIREWALL,)
        yield WatchedPart(environment.prefix, subjects, {Source.FIREWALL: dimensions}, declared=environment.waf)


def _schedule_parts(environment: Environment) -> Iterator[WatchedPart]:
    """The schedules, if there are any."""
    if schedules_of(environment):
        yield WatchedPart(
            environment.prefix,
            (RuleSubject.SCHEDULES,),
            {
                Source.FAILED_SCHEDULES: {"QueueName": dead_letter_of(environment).name},
                Source.SCHEDULES: {"ScheduleGroup": name_of(environment.name)},
            },
        )


def shared_alarms_of(
    environment: Environment,
    routes: Routes,
    balancer: Elbv2LoadBalancer,
    instance: str,
    replicas: Iterable[RdsReadReplica] = (),
    certificate: AcmCertificate | None = None,
) -> tuple[CloudwatchAlarm, ...]:
    """The alarms of what all services share."""
    parts = shared_parts(environment, balancer, instance, replicas, certificate)
    return tuple(alarm for part in parts for alarm in alarms_of(environment, part, routes))


def alarms_of(environment: Environment, watched: WatchedPart, routes: Routes) -> tuple[CloudwatchAlarm, ...]:
    """The alarms of what is watched."""
    return tuple(
        # A P0 alarm is a child of a composite alarm, which pages.
        _alarm(environment, watched, rule, None if rule.priority is Priority.P0 else routes[rule.priority])
        for rule in rules_of(watched)
        if not lacking(environment, watched, rule)
    )


def rules_of(watched: WatchedPart) -> Iterator[AlertRule]:
    """The rules for what is watched."""
    return (rule for rule in RULES if rule.subject in watched.subjects)


def lacking(environment: Environment, watched: WatchedPart, rule: AlertRule) -> list[Need]:
    """What the environment file does not declare and the rule needs."""
    insights, service = environment.cluster.container_insights, watched.declared
    declares = {
        Need.INSIGHTS: insights,
        Need.NO_INSIGHTS: not insights,
        Need.SCALING: isinstance(service, ServiceConfig) and service.max_tasks > service.min_tasks,
        Need.KNOWN_CLASS: environment.database.many_connections > 0,
        Need.PERFORMANCE_INSIGHTS: environment.database.performance_insights,
        Need.REPLICAS: environment.database.replicas > 0,
        Need.ANOMALY_DETECTION: environment.anomaly_detection,
        Need.CERTIFICATE: bool(environment.domain.name),
        Need.FIREWALL: environment.firewall,
        Need.SCHEDULES: bool(schedules_of(environment)),
    }
    return [need for need in rule.needs if not declares[need]]


def _alarm(environment: Environment, watched: WatchedPart, rule: AlertRule, topic: SnsTopic | None) -> CloudwatchAlarm:
    limit = limit_of(watched, rule)
    words = {"name": watched.name, "limit": f"{limit:g}", "env": environment.name, "service": watched.key}
    text = f"{rule.priority}: {rule.sentence}; next: {rule.runbook}".format(**words)
    metrics = {key: metric for id_, measure in rule.measures.items() for key, metric in _metrics(watched, id_, measure)}
    (first, *_) = metrics.values()
    band = _detector(environment, watched, rule)
    plain = not rule.expression and band is None
    return CloudwatchAlarm(
        f"{watched.name}-{rule.key}",
        text,
        namespace=first.namespace if plain else "",
        metric=first.name if plain else "",
        statistic=first.statistic if plain else "",
        dimensions=first.dimensions if plain else {},
        threshold=limit,
        comparison=rule.comparison,
        period=rule.period,
        periods=rule.periods,
        datapoints=rule.datapoints,
        missing=rule.missing,
        expression=GROUPS.sub(lambda match: _listed(match, watched), rule.expression),
        metrics=metrics if rule.expression else {},
        band=band,
        topic=topic,
    )


def _detector(environment: Environment, watched: WatchedPart, rule: AlertRule) -> CloudwatchAnomalyDetector | None:
    if not rule.band:
        return None
    (measure,) = rule.measures.values()
    source, zone = watched.sources[measure.source], environment.alerts.time_zone
    return CloudwatchAnomalyDetector.on(source, measure.namespace, measure.metric, measure.statistic, zone)


def detectors_of(alarms: Iterable[CloudwatchAlarm]) -> Iterator[CloudwatchAnomalyDetector]:
    """The anomaly detectors whose bands these alarms use."""
    return (alarm.band for alarm in alarms if alarm.band)


def limit_of(watched: WatchedPart, rule: AlertRule) -> float:
    """The threshold of a rule for what is watched."""
    if not isinstance(rule.limit, str):
        return rule.limit
    value: object = watched.declared
    for key in rule.limit.split("."):
        value = getattr(value, key)
    return float(str(value))


def _metrics(watched: WatchedPart, id_: str, measure: Measure) -> Iterator[tuple[str, Metric]]:
    if measure.source is Source.GROUPS:
        for index, dimensions in enumerate(watched.groups, 1):
            yield f"{id_}{index}", Metric(measure.namespace, measure.metric, measure.statistic, dimensions)
    else:
        yield id_, Metric(measure.namespace, measure.metric, measure.statistic, watched.dimensions[measure.source])


def _listed(match: re.Match[str], watched: WatchedPart) -> str:
    ids = [f"{match[1]}{index}" for index in range(1, len(watched.groups) + 1)]
    return f"[{', '.join(ids if match[2] else [f'FILL({id_}, 0)' for id_ in ids])}]"


def _balancer(balancer: Elbv2LoadBalancer) -> dict[str, str | Output]:
    return {"LoadBalancer": Output(balancer, "ArnSuffix")}


def rules_in(environment: Environment) -> Iterator[tuple[str, WatchedPart, AlertRule]]:
    """Every rule for an environment, with the name of its alarm and what is watched, also where it has no alarm."""
    shared = (RuleSubject.BALANCER, RuleSubject.DATABASE, RuleSubject.CERTIFICATE, RuleSubject.SCHEDULES)
    parts = [
        WatchedPart(environment.prefix, shared, declared=environment.database),
        WatchedPart(environment.prefix, (RuleSubject.FIREWALL,), declared=environment.waf),
    ]
    for number, name in enumerate(replica_names(environment), 1):
        parts.append(WatchedPart(name, (RuleSubject.REPLICA,), key=str(number), declared=environment.database))
    for key, declared in environment.services.items():
        subjects = (RuleSubject.TASKS,) if declared.works_for else (RuleSubject.SERVICE, RuleSubject.TASKS)
        parts.append(WatchedPart(environment.service_name(key), subjects, key=key, declared=declared))
    for part in parts:
        for rule in rules_of(part):
            yield f"{part.name}-{rule.key}", part, rule


def runbook_of(environment: Environment, part: WatchedPart, rule: AlertRule) -> str:
    """The command to type when the alarm is raised."""
    return rule.runbook.format(service=part.key, env=environment.name)
