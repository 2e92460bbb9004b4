"""The rules for alarms, as data: what is judged, from which value on, how urgent it is, and what to type next.

`[x]` in an expression stands for the metric x of all target groups of a service, with 0 where a group has no data;
`[x?]` for the same without the 0. The load balancer sends no data point for a count of zero.
"""

from __future__ import annotations

from orderops.infra.alert_rule import CHOICES as CHOICES
from orderops.infra.alert_rule import AlertRule as AlertRule
from orderops.infra.alert_rule import Measure as Measure
from orderops.infra.alert_rule import Need as Need
from orderops.infra.alert_rule import Priority as Priority
from orderops.infra.alert_rule import RuleSubject as RuleSubject
from orderops.infra.alert_rule import Source as Source

ELB, ECS, SQS, RDS = "AWS/ApplicationELB", "AWS/ECS", "AWS/SQS", "AWS/RDS"
INSIGHTS = "ECS/ContainerInsights"
QUIET = "no data means no request, and without requests nothing is wrong"
STATUS = "orderops status --env {env}"
LOGS = "orderops service logs {service} --env {env}"
WAITING = "ApproximateNumberOfMessagesVisible"
REQUESTS = Measure(ELB, "RequestCount", "Sum", Source.GROUPS)
HEALTHY = Measure(ELB, "HealthyHostCount", "Minimum", Source.GROUPS)
WANTED = Measure(INSIGHTS, "DesiredTaskCount", "Minimum", Source.TASKS)

ROOT_CAUSES = ("no-healthy-task", "database-away")
"""The P0 rules that name a cause. The other ones are what clients see of it, or of something else."""

RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "no-healthy-task",
        Priority.P0,
        RuleSubject.SERVICE,
        "{name} has no healthy task",
        1,
        # The idle group of a blue/green service has no target, so the highest of both counts.
        {"h": HEALTHY, "d": WANTED},
        "notBreaching",
        "no data at all means that the service was never released; while ECS wants tasks, missing hosts count as 0",
        STATUS,
        expression="IF(FILL(d, 0) > 0, MAX([h]), FILL(MAX([h?]), 1))",
        below=True,
        periods=3,
        needs=(Need.INSIGHTS,),
    ),
    AlertRule(
        "no-healthy-task",
        Priority.P0,
        RuleSubject.SERVICE,
        "{name} has no healthy task",
        1,
        {"h": HEALTHY},
        "breaching",
        "a target group without registered targets sends no data",
        STATUS,
        expression="MAX([h?])",
        below=True,
        periods=3,
        needs=(Need.NO_INSIGHTS,),
    ),
    AlertRule(
        "database-away",
        Priority.P0,
        RuleSubject.TASKS,
        "{name} cannot reach its database",
        0,
        {"b": Measure("orderops", "BreakerOpen", "Maximum", Source.LOGS)},
        "notBreaching",
        "an image of its own may not log this count, and a service without tasks is the matter of no-healthy-task",
        STATUS,
        periods=2,
    ),
    AlertRule(
        "5xx",
        Priority.P0,
        RuleSubject.SERVICE,
        "{name} answers more than {limit} % of its requests with 5xx",
        5,
        {"t": Measure(ELB, "HTTPCode_Target_5XX_Count", "Sum", Source.GROUPS), "r": REQUESTS},
        "notBreaching",
        QUIET,
        LOGS,
        # With few requests, a single error would be a high share.
        expression="IF(SUM([r]) > 20, 100 * SUM([t]) / SUM([r]), 0)",
        datapoints=3,
    ),
    AlertRule(
        "balancer-5xx-rate",
        Priority.P0,
        RuleSubject.BALANCER,
        "the load balancer answers more than {limit} % of all requests with 5xx of its own",
        5,
        {
            "l": Measure(ELB, "HTTPCode_ELB_5XX_Count", "Sum", Source.BALANCER),
            "r": Measure(ELB, "RequestCount", "Sum", Source.BALANCER),
        },
        "notBreaching",
        QUIET,
        STATUS,
        # RequestCount leaves out requests for which there was no target, which is all of them in an outage.
        expression="IF(FILL(r, 0) + FILL(l, 0) > 20, 100 * FILL(l, 0) / (FILL(r, 0) + FILL(l, 0)), 0)",
        datapoints=3,
    ),
    AlertRule(
        "slow",
        Priority.P0,
        RuleSubject.SERVICE,
        "one of twenty requests to {name} takes longer than {limit} seconds",
        10,
        {"p": Measure(ELB, "TargetResponseTime", "p95", Source.GROUPS), "r": REQUESTS},
        "notBreaching",
        QUIET,
        LOGS,
        expression="IF(SUM([r]) > 20, MAX([p]), 0)",
        datapoints=3,
    ),
    AlertRule(
        "max-capacity",
        Priority.P1,
        RuleSubject.TASKS,
        "{name} has wanted its maximum of {limit} tasks for more than 5 minutes",
        "max_tasks",
        {"d": WANTED},
        "notBreaching",
        "a service that was not released yet has no tasks",
        STATUS,
        reached=True,
        periods=6,
        needs=(Need.INSIGHTS, Need.SCALING),
    ),
    AlertRule(
        "database-cpu-high",
        Priority.P1,
        RuleSubject.DATABASE,
        "the database uses more than {limit} % of its CPU for 10 minutes",
        80,
        {"c": Measure(RDS, "CPUUtilization", "Average", Source.DATABASE)},
        "ignore",
        "an overloaded instance may skip a point, which must not end the alarm",
        STATUS,
        periods=10,
    ),
    AlertRule(
        "database-storage-low",
        Priority.P1,
        RuleSubject.DATABASE,
        "less than {limit} GB of the database's storage are free",
        "low_storage_gb",
        {"s": Measure(RDS, "FreeStorageSpace", "Minimum", Source.DATABASE)},
        "ignore",
        "a database with full storage stops, and its last measured value stays the best one known",
        STATUS,
        # RDS measures bytes.
        expression="s / 1073741824",
        below=True,
    ),
    AlertRule(
        "database-connections-high",
        Priority.P1,
        RuleSubject.DATABASE,
        "the database has more than {limit} connections, nine tenths of what its class surely allows",
        "many_connections",
        {"c": Measure(RDS, "DatabaseConnections", "Maximum", Source.DATABASE)},
        "ignore",
        "an overloaded instance may skip a point, which must not end the alarm",
        STATUS,
        needs=(Need.KNOWN_CLASS,),
    ),
    AlertRule(
        "database-log-kept",
        Priority.P1,
        RuleSubject.DATABASE,
        "the database keeps more than {limit} GB of its log for a read replica that does not fetch it",
        "much_log_gb",
        {"k": Measure(RDS, "OldestReplicationSlotLag", "Maximum", Source.DATABASE)},
        "notBreaching",
        "no data means no replication slot, for which nothing is kept",
        STATUS,
        # RDS measures bytes.
        expression="k / 1073741824",
        needs=(Need.REPLICAS,),
    ),
    AlertRule(
        "queue-depth",
        Priority.P1,
        RuleSubject.SERVICE,
        "more than {limit} messages wait in the queue of {name}",
        "alarms.queue_depth",
        {"q": Measure(SQS, WAITING, "Maximum", Source.QUEUE)},
        "notBreaching",
        "SQS sends no metrics for a queue that was empty and unused for six hours",
        "orderops queue status --service {service} --env {env}",
    ),
    AlertRule(
        "4xx",
        Priority.P2,
        RuleSubject.SERVICE,
        "{name} answers more than {limit} % of its requests with 4xx",
        25,
        {"t": Measure(ELB, "HTTPCode_Target_4XX_Count", "Sum", Source.GROUPS), "r": REQUESTS},
        "notBreaching",
        QUIET,
        LOGS,
        expression="IF(SUM([r]) > 100, 100 * SUM([t]) / SUM([r]), 0)",
        period=300,
        periods=3,
    ),
    AlertRule(
        "database-load-high",
        Priority.P2,
        RuleSubject.DATABASE,
        "slow queries: more sessions are active in the database than it has CPUs, for 15 minutes",
        1,
        {"q": Measure(RDS, "DBLoadRelativeToNumVCPUs", "Average", Source.DATABASE)},
        "ignore",
        "an overloaded instance may skip a point, which must not end the alarm",
        STATUS,
        period=300,
        periods=3,
        needs=(Need.PERFORMANCE_INSIGHTS,),
    ),
    AlertRule(
        "lag",
        Priority.P2,
        RuleSubject.REPLICA,
        "{name} is more than {limit} seconds behind the database for 5 minutes, or does not replicate",
        60,
        {
            "l": Measure(RDS, "ReplicaLag", "Average", Source.REPLICA),
            "w": Measure(RDS, "WriteIOPS", "Average", Source.DATABASE),
        },
        "breaching",
        "RDS sends no lag of a replica that does not replicate",
        STATUS,
        # -1 says the same as no data. While the database commits nothing, the lag climbs to the five minutes between
        # two writes of RDS itself, so a lag up to six counts only beside more writes than an idle database makes.
        expression="IF(l < 0, 86400, IF(FILL(w, 0) > 5, l, IF(l > 360, l, 0)))",
    ),
    AlertRule(
        "cpu",
        Priority.P2,
        RuleSubject.TASKS,
        "the tasks of {name} use more than {limit} % of their CPU",
        "alarms.cpu_percent",
        {"c": Measure(ECS, "CPUUtilization", "Average", Source.TASKS)},
        "notBreaching",
        "no data means no task, which is the matter of no-healthy-task",
        LOGS,
    ),
    AlertRule(
        "memory",
        Priority.P2,
        RuleSubject.TASKS,
        "the tasks of {name} use more than {limit} % of their memory",
        "alarms.memory_percent",
        {"m": Measure(ECS, "MemoryUtilization", "Average", Source.TASKS)},
        "notBreaching",
        "no data means no task, which is the matter of no-healthy-task",
        LOGS,
    ),
    AlertRule(
        "dead-letters",
        Priority.P2,
        RuleSubject.SERVICE,
        "more than {limit} messages are in the dead-letter queue of {name}",
        "alarms.dead_letters",
        {"q": Measure(SQS, WAITING, "Maximum", Source.DEAD_LETTERS)},
        "notBreaching",
        "SQS sends no metrics for a queue that was empty and unused for six hours",
        "orderops queue dlq list --service {service} --env {env}",
        periods=1,
    ),
    AlertRule(
        "balancer-latency-unusual",
        Priority.P2,
        RuleSubject.BALANCER,
        "one of twenty requests has taken longer than is usual at this hour, for 15 minutes",
        3,
        # Of the load balancer, and not of a target group: a blue/green release moves all requests to the other group,
        # whose band would be one of weeks ago or of no requests at all.
        {"p": Measure(ELB, "TargetResponseTime", "p95", Source.BALANCER)},
        "notBreaching",
        QUIET,
        STATUS,
        # No minimum of requests: hours with few of them have a wide band, since they were as uneven on other days,
        # and a single slow request fills one period of the three.
        band=True,
        period=300,
        periods=3,
        needs=(Need.ANOMALY_DETECTION,),
    ),
    AlertRule(
        "queue-age-unusual",
        Priority.P2,
        RuleSubject.SERVICE,
        "messages of {name} have waited longer than is usual at this hour, for 15 minutes",
        3,
        # The lowest age of each period: a queue that is emptied in between is none that falls behind, however long
        # a message waited. This takes the place of a minimum of messages.
        {"a": Measure(SQS, "ApproximateAgeOfOldestMessage", "Minimum", Source.QUEUE)},
        "notBreaching",
        "SQS sends no metrics for a queue that was empty and unused for six hours",
        "orderops queue status --service {service} --env {env}",
        band=True,
        period=300,
        periods=3,
        needs=(Need.ANOMALY_DETECTION,),
    ),
)
