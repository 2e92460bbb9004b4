"""A declared service: an example of each resource from the network to the scaling."""

from __future__ import annotations

from orderops.resources.autoscaling_target import AutoscalingTarget
from orderops.resources.ec2_security_group import Ec2SecurityGroup
from orderops.resources.ec2_subnet import Ec2Subnet
from orderops.resources.ec2_vpc import Ec2Vpc
from orderops.resources.ecs_cluster import EcsCluster
from orderops.resources.ecs_service import EcsService
from orderops.resources.ecs_task_definition import EcsTaskDefinition
from orderops.resources.elbv2_listener import Elbv2Listener
from orderops.resources.elbv2_load_balancer import Elbv2LoadBalancer
from orderops.resources.elbv2_rule import Elbv2Rule
from orderops.resources.elbv2_target_group import Elbv2TargetGroup
from orderops.resources.iam_role import Allow, IamRole
from orderops.resources.logs_group import LogsGroup
from orderops.resources.s3_bucket import S3Bucket

ZONES = {"a": "10.0.0.0/24", "b": "10.0.1.0/24"}
ECS_TASKS = "ecs-tasks.amazonaws.com"

VPC = Ec2Vpc("orderops-dev-vpc", "10.0.0.0/16")
SUBNETS = tuple(
    Ec2Subnet(f"orderops-dev-public-{zone}", VPC, cidr, f"ap-southeast-2{zone}") for zone, cidr in ZONES.items()
)
GROUP = Ec2SecurityGroup("orderops-dev-balancer", VPC, "what reaches it")
BUCKET = S3Bucket("orderops-dev-access-logs-123456789012", log_days=30)
BALANCER = Elbv2LoadBalancer("orderops-dev-balancer", SUBNETS, (GROUP,))
LISTENER = Elbv2Listener(f"{BALANCER.name}:80", BALANCER)
TARGETS = Elbv2TargetGroup("orderops-dev-shop", VPC, 8080)
RULE = Elbv2Rule("orderops-dev-shop", LISTENER, TARGETS, 100)
LOGS = LogsGroup("/orderops/dev/shop", 7)
EXECUTION = IamRole("orderops-dev-shop-execution", ECS_TASKS, (Allow(("logs:PutLogEvents",), (LOGS,), suffix=":*"),))
TASK = IamRole("orderops-dev-shop-task", ECS_TASKS)
CLUSTER = EcsCluster("orderops-dev-cluster")
DEFINITION = EcsTaskDefinition(
    "orderops-dev-shop",
    container="shop",
    image="shop:1",
    port=8080,
    log_group=LOGS,
    execution_role=EXECUTION,
    task_role=TASK,
    environment={"A": "1"},
)
SERVICE = EcsService("orderops-dev-shop", CLUSTER, DEFINITION, SUBNETS, (GROUP,), RULE)
SCALING = AutoscalingTarget(SERVICE.name, SERVICE, least=1, most=5, cpu_percent=60)
