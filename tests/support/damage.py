"""Changes of an environment out of band, as by hand in the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]


def damage(client: Client, prefix: str) -> dict[str, set[str]]:
    """Change the account without orderops; return the addresses with the properties that the plan must show."""
    service = f"{prefix}-order-processor"
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=f"{service}-queue")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "99"})
    env = prefix.removeprefix("orderops-")
    group = f"/orderops/{env}/order-processor"
    client("logs").put_retention_policy(logGroupName=group, retentionInDays=3653)
    client("logs").delete_log_group(logGroupName=f"/orderops/{env}/flow-log")
    client("rds").modify_db_instance(
        DBInstanceIdentifier=f"{prefix}-database", BackupRetentionPeriod=3, ApplyImmediately=True
    )
    ec2 = client("ec2")
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"{prefix}-database"]}])
    ec2.authorize_security_group_ingress(
        GroupId=groups["SecurityGroups"][0]["GroupId"], IpProtocol="tcp", FromPort=5432, ToPort=5432, CidrIp="0.0.0.0/0"
    )
    alarm = client("cloudwatch").describe_alarms(AlarmNames=[f"{service}-cpu"])["MetricAlarms"][0]
    kept: tuple[str, ...] = (
        "AlarmName",
        "AlarmDescription",
        "Namespace",
        "MetricName",
        "Statistic",
        "Dimensions",
        "Period",
    )
    kept += ("EvaluationPeriods", "ComparisonOperator", "AlarmActions", "OKActions", "TreatMissingData")
    client("cloudwatch").put_metric_alarm(**{key: alarm[key] for key in kept if key in alarm}, Threshold=12.0)
    subnets = ec2.describe_subnets(Filters=[{"Name": "tag:Name", "Values": [f"{prefix}-private-a"]}])["Subnets"]
    ec2.delete_tags(Resources=[subnets[0]["SubnetId"]], Tags=[{"Key": "Name"}])
    elbv2 = client("elbv2")
    balancer = elbv2.describe_load_balancers(Names=[f"{prefix}-balancer"])["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"]
    rules = [rule for rule in elbv2.describe_rules(ListenerArn=listener)["Rules"] if rule["Priority"] != "default"]
    elbv2.delete_rule(RuleArn=rules[0]["RuleArn"])
    return {
        f"sqs-queue/{service}-queue": {"VisibilityTimeout"},
        f"logs-group/{group}": {"retentionInDays"},
        f"logs-group//orderops/{env}/flow-log": {"retentionInDays"},
        f"rds-instance/{prefix}-database": {"BackupRetentionPeriod"},
        f"ec2-security-group/{prefix}-database": {"Ingress"},
        f"cloudwatch-alarm/{service}-cpu": {"Threshold"},
        f"ec2-subnet/{prefix}-private-a": {"Tags"},
        f"elbv2-rule/{service}:80": {"Priority"},
    }
