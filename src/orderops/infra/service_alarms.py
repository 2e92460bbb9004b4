"""The alarms of a service: use of its tasks, and depth of its queues."""

from __future__ import annotations

from orderops.config.service import ServiceConfig
from orderops.resources.cloudwatch_alarm import CloudwatchAlarm
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.sns_topic import SnsTopic
from orderops.resources.sqs_queue import SqsQueue


def usage_alarms_of(
    declared: ServiceConfig, name: str, cluster: EcsCluster, topic: SnsTopic
) -> tuple[CloudwatchAlarm, ...]:
    tasks = {"ClusterName": cluster.name, "ServiceName": name}

    def usage_alarm(measure: str, metric: str, percent: int) -> CloudwatchAlarm:
        return CloudwatchAlarm(
            f"{name}-{measure}",
            f"the tasks of {name} use more than {percent} % of their {measure}",
            namespace="AWS/ECS",
            metric=metric,
            statistic="Average",
            threshold=percent,
            dimensions=tasks,
            topic=topic,
        )

    limits = declared.alarms
    return (
        usage_alarm("cpu", "CPUUtilization", limits.cpu_percent),
        usage_alarm("memory", "MemoryUtilization", limits.memory_percent),
    )


def depth_alarms_of(
    declared: ServiceConfig, name: str, queue: SqsQueue, dead_letters: SqsQueue, topic: SnsTopic
) -> tuple[CloudwatchAlarm, ...]:
    def depth_alarm(queue: SqsQueue, suffix: str, more_than: int, periods: int) -> CloudwatchAlarm:
        return CloudwatchAlarm(
            f"{name}-{suffix}",
            f"more than {more_than} messages are in {queue.name}",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            statistic="Maximum",
            threshold=more_than,
            periods=periods,
            dimensions={"QueueName": queue.name},
            # SQS sends no metrics for a queue that was empty and unused for six hours: no data means no messages.
            missing="notBreaching",
            topic=topic,
        )

    limits = declared.alarms
    return (
        depth_alarm(dead_letters, "dead-letters", limits.dead_letters, periods=1),
        depth_alarm(queue, "queue-depth", limits.queue_depth, periods=5),
    )
