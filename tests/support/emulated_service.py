"""The resources that an ECS service needs, in an emulated account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.strict_clients import Client

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@dataclass
class System:
    """Cluster, balanced target group and network, created with this client."""

    client: Client

    def __post_init__(self) -> None:
        ec2, elb, ecs = self.client("ec2"), self.client("elbv2"), self.client("ecs")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"ap-southeast-2{zone}")["Subnet"]
            for n, zone in enumerate("ab")
        ]
        ids = [subnet["SubnetId"] for subnet in self.subnets]
        self.network = {"awsvpcConfiguration": {"subnets": ids, "securityGroups": []}}
        self.group = elb.create_target_group(Name="app", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
        self.arn = self.group["TargetGroups"][0]["TargetGroupArn"]
        self.balancer = elb.create_load_balancer(Name="app", Subnets=ids)["LoadBalancers"][0]["LoadBalancerArn"]
        ecs.create_cluster(clusterName="dev")

    def listen(self) -> None:
        actions = [{"Type": "forward", "TargetGroupArn": self.arn}]
        self.client("elbv2").create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80, DefaultActions=actions
        )

    def define(self, cpu: str = "256", memory: str = "512", *, role: str = "", **container: Any) -> str:
        base = {"name": "app", "image": "app", "portMappings": [{"containerPort": 80}]}
        response = self.client("ecs").register_task_definition(
            family="app",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=cpu,
            memory=memory,
            containerDefinitions=[{**base, **container}],
            **({"executionRoleArn": role} if role else {}),
        )
        return str(response["taskDefinition"]["taskDefinitionArn"])

    def create(self, definition: str, **settings_: Any) -> Any:
        load_balancer = {"targetGroupArn": self.arn, "containerName": "app", "containerPort": 80}
        settings: dict[str, Any] = {
            "cluster": "dev",
            "serviceName": "app",
            "taskDefinition": definition,
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": self.network,
            "loadBalancers": [load_balancer],
            "deploymentConfiguration": BREAKER,
            **settings_,
        }
        return self.client("ecs").create_service(**settings)["service"]

    def service(self) -> Any:
        return self.client("ecs").describe_services(cluster="dev", services=["app"])["services"][0]

    def steady(self) -> bool:
        deployments = self.service()["deployments"]
        return len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"

    def health(self) -> list[str]:
        response = self.client("elbv2").describe_target_health(TargetGroupArn=self.arn)
        return [description["TargetHealth"]["State"] for description in response["TargetHealthDescriptions"]]
