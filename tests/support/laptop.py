"""Local environment for tests, used through boto3."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError

from orderops import local
from orderops.local.keys import AccessKey
from orderops.local.ports import free_port

T = TypeVar("T")
Headers = Mapping[str, str] | None


def until(condition: Callable[[], T], timeout: float = 60, what: str = "") -> T:
    """Call a function until it returns a true value, and return that. Fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return result


@dataclass
class Laptop:
    """Running local environment."""

    region: ClassVar[str] = "ap-southeast-2"
    directory: Path
    endpoint: local.LocalEndpoint
    names: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return _client(service, self.endpoint.url, self.endpoint.key)

    def give_rds_its_role(self) -> None:
        """Create RDS's service-linked role and wait until RDS knows it, by the first request that needs it."""
        with suppress(self.client("iam").exceptions.InvalidInputException):
            self.client("iam").create_service_linked_role(AWSServiceName="rds.amazonaws.com")

        def known() -> bool:
            try:
                self.client("rds").create_db_subnet_group(
                    DBSubnetGroupName="probe", DBSubnetGroupDescription="probe", SubnetIds=["subnet-0"]
                )
            except ClientError as error:
                return bool(error.response["Error"]["Code"] != "InvalidParameterValue")
            return True

        until(known, what="RDS knows its role")

    def name(self, kind: str) -> str:
        return f"{kind}-{uuid.uuid4().hex[:8]}"

    def start(self) -> None:
        self.endpoint = local.start(self.region, self.directory)

    def kill(self) -> None:
        """Kill the daemon with SIGKILL."""
        pid = json.loads((self.directory / "daemon.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not self.status()["running"], what="the daemon is dead")

    def status(self) -> dict[str, Any]:
        return local.status(self.directory)

    def remembered(self) -> None:
        """Wait until the state file contains everything done so far."""
        marker = self.name("marker")
        self.client("sqs").create_queue(QueueName=marker)
        state = self.directory / "emulator.state"
        until(lambda: state.exists() and marker.encode() in state.read_bytes(), what="the state is written")

    def database_port(self) -> int:
        return free_port()

    def create_database(self, **settings: Any) -> dict[str, Any]:
        """Create a database and wait until it is available."""
        name = settings.get("DBInstanceIdentifier", self.name("db"))
        self.client("rds").create_db_instance(
            **{
                "DBInstanceIdentifier": name,
                "DBInstanceClass": "db.t3.micro",
                "Engine": "postgres",
                "MasterUsername": "orders_admin",
                "ManageMasterUserPassword": True,
                "AllocatedStorage": 20,
                "DBName": "orders",
                "Port": free_port(),
                **settings,
            }
        )
        return self.wait_for_database(name, "available")

    def database(self, name: str) -> dict[str, Any]:
        instance: dict[str, Any] = self.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return instance

    def wait_for_database(self, name: str, status: str) -> dict[str, Any]:
        until(lambda: self.database(name)["DBInstanceStatus"] == status, what=f"{name} is {status}")
        return self.database(name)

    def connect(self, instance: dict[str, Any], dbname: str = "orders") -> psycopg.Connection:
        arn = instance["MasterUserSecret"]["SecretArn"]
        secret = json.loads(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
        endpoint = instance["Endpoint"]
        return psycopg.connect(
            host=endpoint["Address"],
            port=endpoint["Port"],
            user=secret["username"],
            password=secret["password"],
            dbname=dbname,
        )


@dataclass
class Stack:
    """Service behind a balancer, with the minimum of resources that AWS requires."""

    laptop: Laptop
    desired: int = 2
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.laptop.name("svc")
        ec2, elb = self.laptop.client("ec2"), self.laptop.client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zones = [f"{Laptop.region}{letter}" for letter in "ab"]
        self.subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones)
        ]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        self.port = free_port()
        self.balancer = elb.create_load_balancer(Name=self.name, Subnets=self.subnets, Scheme="internet-facing")[
            "LoadBalancers"
        ][0]
        self.group = elb.create_target_group(
            Name=self.name,
            Protocol="HTTP",
            Port=80,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckPath="/health",
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.listener = elb.create_listener(
            LoadBalancerArn=self.balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]
        self.laptop.client("ecs").create_cluster(clusterName=self.name)
        self.laptop.client("logs").create_log_group(logGroupName=f"/ecs/{self.name}")

    def register(
        self, image: str = "process://tiny_service", secrets: Any = (), check: Any = None, **environment: str
    ) -> str:
        """Register a revision of the task definition and return its ARN."""
        log = {"awslogs-group": f"/ecs/{self.name}", "awslogs-stream-prefix": "orders", "awslogs-region": Laptop.region}
        definition = self.laptop.client("ecs").register_task_definition(
            family=self.name,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[
                {
                    "name": "app",
                    "image": image,
                    "stopTimeout": 5,
                    "portMappings": [{"containerPort": 8080}],
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                    "secrets": list(secrets),
                    **({"healthCheck": check} if check else {}),
                    "logConfiguration": {"logDriver": "awslogs", "options": log},
                }
            ],
        )["taskDefinition"]
        return str(definition["taskDefinitionArn"])

    def create(self, definition: str, **settings: Any) -> dict[str, Any]:
        load_balancer = {"targetGroupArn": self.group, "containerName": "app", "containerPort": 8080}
        service: dict[str, Any] = self.laptop.client("ecs").create_service(
            **{
                "cluster": self.name,
                "serviceName": self.name,
                "taskDefinition": definition,
                "desiredCount": self.desired,
                "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": []}},
                "loadBalancers": [load_balancer],
                "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
                **settings,
            }
        )["service"]
        return service

    def update(self, **settings: Any) -> dict[str, Any]:
        service: dict[str, Any] = self.laptop.client("ecs").update_service(
            cluster=self.name, service=self.name, **settings
        )["service"]
        return service

    def service(self) -> dict[str, Any]:
        response: dict[str, Any] = self.laptop.client("ecs").describe_services(cluster=self.name, services=[self.name])
        service: dict[str, Any] = response["services"][0]
        return service

    def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        ecs = self.laptop.client("ecs")
        arns = ecs.list_tasks(cluster=self.name, **filters)["taskArns"]
        return list(ecs.describe_tasks(cluster=self.name, tasks=arns)["tasks"]) if arns else []

    def completed(self) -> dict[str, Any]:
        """Wait until the newest deployment is complete and the only one."""

        def steady() -> bool:
            service = self.service()
            alone = len(service["deployments"]) == 1 and service["runningCount"] == service["desiredCount"]
            return alone and service["deployments"][0]["rolloutState"] == "COMPLETED"

        until(steady, what=f"{self.name} is steady")
        return self.service()

    def health(self) -> list[str]:
        response = self.laptop.client("elbv2").describe_target_health(TargetGroupArn=self.group)
        return sorted(description["TargetHealth"]["State"] for description in response["TargetHealthDescriptions"])

    def get(self, path: str = "/", body: bytes | None = None, headers: Headers = None) -> tuple[int, Any]:
        return get(self.port, path, body, headers)

    def pids(self) -> set[int]:
        return {process["pid"] for process in self.laptop.status()["services"].get(self.name, [])}


def get(port: int, path: str = "/", body: bytes | None = None, headers: Headers = None) -> tuple[int, Any]:
    """Return status and JSON (or text) of a response."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


@cache
def _client(service: str, url: str, key: AccessKey) -> Any:
    return boto3.client(
        service,
        region_name=Laptop.region,
        endpoint_url=url,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}),
    )
