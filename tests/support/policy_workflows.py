"""Workflows of operators: create, release, change, repair, adopt, prune and destroy an environment."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.cli import main
from orderops.config.environment import load_environment
from orderops.iam.persona import Persona
from orderops.iam.policies import policies
from orderops.images.content_hash import content_tag
from orderops.local.emulator.protocol import ApiError
from orderops.remote.follow import FollowTiming, follow
from support.command_line import Said
from support.fake_builders import Bench, put
from support.faulty_proxy import Fate, SeenRequest
from support.laptop import until
from support.paged_environments import RECEIVER
from support.policy_account import Account
from support.policy_evaluation import Document
from support.policy_requests import ACCOUNT
from support.repository import ENVIRONMENTS, ROOT, SQL

IMAGE = f"registry.example.com/orders@sha256:{'1' * 64}"
LOST = ("CreateVpc", "CreateQueue", "CreateRole", "CreateLoadBalancer", "CreateSubnet", "RegisterScalableTarget")
GROUPS = ("alerts", "report", "board", "infra", "service", "migrate", "database", "restore", "queue", "waf")
SECOND = '\n[services.billing]\npaths = ["/billing/*"]\npriority = 50\nmax_tasks = 2\nsecrets = ["TOKEN"]\n'
CHANGES: Mapping[str, str] = {
    "zones = 2": "zones = 3",
    "flow_log_days = 7": "flow_log_days = 14",
    "log_days = 7": 'log_days = 14\nhealth_path = "/ready"\npaths = ["/orders/*", "/users"]\npriority = 300',
    "visibility_timeout = 30": "visibility_timeout = 45",
    "cpu_percent = 90": "cpu_percent = 80",
    "max_tasks = 5": 'max_tasks = 6\nsecrets = ["TOKEN"]',
    "storage_gb = 20": 'storage_gb = 30\nport = 5433\nengine_version = "17"',
}
HEAD = 'tags = { team = "orders" }\n'
# Of the table [alerts], which the file ends with.
TAIL = """
emails = ["ops@example.com"]

[cluster]
container_insights = false

[balancer]
idle_timeout_seconds = 90
allowed_cidrs = ["10.0.0.0/8"]

[images]
keep = 5
"""


@dataclass
class Operator:
    """Runs commands with the permissions of a persona; without a persona, with all permissions."""

    account: Account
    folder: Path
    persona: Persona | None = Persona.OPERATOR
    without: frozenset[str] = frozenset()
    """Actions that are removed from the policies."""
    key: tuple[str, str] = ("testing", "testing")

    def __call__(self, *argv: str, env: str = "dev", expect: int | None = 0) -> Said:
        words = (
            3
            if argv[:2] in (("queue", "dlq"), ("board", "incident"), ("api", "keys"))
            else 2
            if argv[0] in GROUPS
            else 1
        )
        command = [*argv[:words]]
        command = [argument for argument in command if not argument.startswith("-")]
        self.account.command = " ".join([*command, *(argument for argument in argv if argument == "--prune")])
        with self.account.allowing(self.documents(env)), self._environment_variables():
            result = run_quietly(*argv, "--env", env, "--environments", str(self.folder))
        self.account.command = ""
        assert expect in (None, result.code), f"{' '.join(argv)}: {result.code}\n{result.out}{result.err}"
        return result

    @contextlib.contextmanager
    def _environment_variables(self) -> Iterator[None]:
        """Point commands to the account and to an image builder, and their log to the folder of the environments."""
        builders = self.folder / "bin"
        builders.mkdir(exist_ok=True)
        # Without a builder on the machine `doctor` ends with 3.
        Bench(builders).add("docker")
        variables = {
            "PATH": f"{builders}{os.pathsep}{os.environ['PATH']}",
            "ORDEROPS_BUILDER": "docker",
            "AWS_ENDPOINT_URL": self.account.url,
            "AWS_ACCESS_KEY_ID": self.key[0],
            "AWS_SECRET_ACCESS_KEY": self.key[1],
            "MOTO_ECS_SERVICE_RUNNING": "1",
            # No command reaches ECR's registry, on machines with a network too.
            "https_proxy": "http://127.0.0.1:9",
            "ORDEROPS_LOG_DIRECTORY": str(self.folder / "log"),
            "ORDEROPS_BAKE": "1",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            yield

    def documents(self, env: str) -> list[Document]:
        """Return the policies of the persona; [] without a persona."""
        if self.persona is None:
            return []
        return [without_actions(document, self.without) for document in _shipped_documents(env, self.persona)]

    def write(self, env: str, text: str) -> None:
        (self.folder / f"{env}.toml").write_text(text)

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session("testing", "testing", region_name="ap-southeast-2")

    def client(self, service: str) -> Any:
        """Return a client for changes by hand. It bypasses the account, and so IAM."""
        return self._session.client(service, endpoint_url=self.account.proxy.url)


@cache
def _shipped_documents(env: str, persona: Persona) -> tuple[Document, ...]:
    """The policies of a persona in a shipped environment. Cached, since writing them takes half a second."""
    return tuple(policy.document for policy in policies(load_environment(env, ENVIRONMENTS), ACCOUNT, persona))


def run_quietly(*argv: str) -> Said:
    """Run a command in this process and return its output."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(argv))
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def without_actions(document: Document, removed: frozenset[str]) -> Document:
    """Return a policy without some actions."""
    statements = [
        {**statement, "Action": [action for action in statement["Action"] if action not in removed]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in statements if statement["Action"]]}


API = """
[api]
type = "http"
balancer = "both"
authorization = "jwt"
[api.jwt]
issuer = "https://login.example.com/"
audience = ["orders"]
"""


REST_API = """
[waf]
enabled = true
[api]
balancer = "both"
api_keys = true
validate_requests = true
[api.plan]
quota = 1000
[api.routes."GET /orders"]
requests_per_second = 5
burst = 10
"""


def shipped(env: str) -> str:
    """A file as shipped; dev also has what it leaves out to save money."""
    text = (ENVIRONMENTS / f"{env}.toml").read_text()
    return f"{text}\n[alerts]\nanomaly_detection = true\n" if env == "dev" else text


def run_all_workflows(operator: Operator) -> None:
    """Run all workflows in one account, one after the other."""
    for env in ("dev", "prod"):
        operator.write(env, shipped(env) + RECEIVER * (env == "prod"))
    create_from_nothing(operator)
    release(operator)
    rotate(operator)
    look_after_queues(operator)
    publish_a_board(operator)
    put_up_a_firewall(operator)
    give_it_a_name(operator)
    change_the_file(operator)
    damage_and_repair(operator)
    adopt(operator)
    prune(operator)
    replicate(operator)
    change_the_database(operator)
    put_an_api_in_front(operator)
    put_a_rest_api_in_front(operator)
    destroy(operator)
    create_again(operator)
    operate_prod(operator)


def create_from_nothing(operator: Operator) -> None:
    """Create an environment, use its database, and read its status."""
    operator("infra", "plan", expect=3)
    operator("status", expect=3)
    operator("down", "--yes")
    operator("up", "--yes", "--image", IMAGE)
    operator("up", "--yes", "--image", IMAGE)
    migrate(operator)
    restore(operator)
    for argv in (("status",), ("history",), ("doctor",), ("infra", "outputs"), ("infra", "plan"), ("infra", "drift")):
        operator(*argv)


def migrate(operator: Operator) -> None:
    """Run migrations as remote jobs; their tasks are simulated, and end without output."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
        for argv in (("info",), ("apply", "--yes", "--without-rehearsal", "--reason", "a test")):
            result = operator("migrate", *argv, "--sql", str(SQL), expect=1)
            assert "cannot run jobs" in result.err, result.err


def restore(operator: Operator) -> None:
    """Restore, promote, switch back and discard. Tasks are simulated, so jobs that need the databases fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
        operator("restore", "--at", "latest", "--yes")
        operator("restore", "list")
        operator("restore", "points")
        operator("restore", "compare", expect=1)
        operator("restore", "promote", "--yes")
        operator("restore", "back", "--yes")
        instances = operator("restore", "list", "--json").json
        [name] = [instance["name"] for instance in instances if instance["role"] != "primary"]
        operator("restore", "discard", name, "--confirm", name)
        operator("restore", "drill", "--yes", expect=1)
        operator("migrate", "rehearsal", "--sql", str(SQL), "--yes", expect=1)


def release(operator: Operator) -> None:
    """Release images: given by name, already built, and from another repository."""
    session = boto3.Session("testing", "testing")
    aws = Aws("ap-southeast-2", endpoint_url=operator.account.proxy.url, session=session)
    own = "orderops-dev-order-processor"
    host = "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com"
    put(aws, own, "1", content="1")
    put(aws, own, content_tag(ROOT, ROOT / "src/orderops/service/Dockerfile"), content="2")
    put(aws, "orderops-staging-order-processor", "3", content="3")
    # Released long ago: the next release takes the tag away that keeps it.
    put(aws, own, "0", "released-0000000000000000", content="4")
    operator("service", "deploy", "--yes", "--image", f"{host}/{own}:1")
    # Its manifest and its layers are in the registry, whose HTTP API the account does not have.
    operator("service", "build", "--context", str(ROOT), "--allow-dirty", expect=1)
    operator("service", "sbom", expect=1)
    operator("service", "sbom", "1", expect=1)
    operator("service", "deploy", "--dry-run", "--image", f"{host}/orderops-staging-order-processor:3", expect=3)
    operator("infra", "plan", "--image", f"{host}/orderops-staging-order-processor:3", expect=3)
    put(aws, own, "2", content="5")
    operator("up", "--yes", "--image", f"{host}/{own}:2")
    operator("service", "rollback", "--yes")
    operator("service", "restart", "--yes")
    operator("service", "scale", "--tasks", "2", "--yes")
    operator("service", "scale", "--tasks", "1", "--yes")
    for command in ("releases", "explain", "logs"):
        operator("service", command)
    # Its image is in ECR, which knows the version.
    operator("status")


def rotate(operator: Operator) -> None:
    """Take the master user's password into a secret of our own, rotate it with the services', and give it back."""
    rds, secrets = operator.client("rds"), operator.client("secretsmanager")
    arn = secrets.describe_secret(SecretId="orderops/dev/database-login")["ARN"]
    [database] = rds.describe_db_instances(DBInstanceIdentifier="orderops-dev-database")["DBInstances"]
    # As after `migrate grant`, whose task is simulated here.
    rds.add_tags_to_resource(
        ResourceName=database["DBInstanceArn"], Tags=[{"Key": "orderops:service-secret", "Value": arn}]
    )
    operator.write("dev", shipped("dev").replace("multi_az = false", 'multi_az = false\nmaster = "own"'))
    operator("infra", "apply", "--yes")
    operator("database", "rotate", "--dry-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
        operator("database", "rotate", "--yes", expect=1)
    operator.write("dev", shipped("dev"))
    operator("infra", "apply", "--yes")


def look_after_queues(operator: Operator) -> None:
    """Look at messages, send dead letters again, and delete some."""
    sqs, name = operator.client("sqs"), "orderops-dev-order-processor-dlq"
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    ids = [sqs.send_message(QueueUrl=url, MessageBody=str(number))["MessageId"] for number in range(2)]
    operator("queue", "status")
    operator("alerts", "list")
    operator("alerts", "check", expect=None)
    topics = operator.client("sns")
    topic = topics.create_topic(Name="orderops-dev-alarms")["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+61412345678")
    operator("alerts", "fire-drill", "--priority", "P1", "--delivered-within", "5s", "--yes", expect=None)
    operator("alerts", "fire-drill", "--set-back", "--yes")
    operator("report", "weekly")
    operator("queue", "peek")
    operator("queue", "dlq", "list")
    operator("queue", "dlq", "show", ids[0])
    operator("queue", "dlq", "replay", ids[0], "--yes")
    operator("queue", "dlq", "purge", "--all", "--yes", "--confirm", name)


def publish_a_board(operator: Operator) -> None:
    """Make the page, put it into a bucket, and write about an incident."""
    s3, bucket = operator.client("s3"), "orderops-dev-board-acme"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    operator("board", "--detail", "--out", str(operator.folder / "board.html"))
    operator.write("dev", f'{shipped("dev")}\n[board]\nbucket = "{bucket}"\n')
    operator("board", "publish")
    host = f"{ACCOUNT}.dkr.ecr.ap-southeast-2.amazonaws.com"
    for every in ("5m", "10m"):
        operator.write("dev", f'{shipped("dev")}\n[board]\nbucket = "{bucket}"\npublish_every = "{every}"\n')
        operator("up", "--yes", "--image", f"{host}/orderops-dev-order-processor:2")
    # What reads a schedule reads it in every plan.
    operator("infra", "apply", "--yes")
    operator.write("dev", shipped("dev"))
    operator("up", "--yes", "--prune", "--image", f"{host}/orderops-dev-order-processor:2")
    incident = operator("board", "incident", "open", "Orders are late", "--yes").out.strip()
    operator("board", "incident", "update", incident, "Found.", "--yes")
    operator("board", "incident", "close", incident, "--yes")
    operator("board", "incident", "list")
    s3.delete_object(Bucket=bucket, Key="index.html")
    s3.delete_bucket(Bucket=bucket)


def put_up_a_firewall(operator: Operator) -> None:
    """Give dev a web ACL, change it, damage it, look at its log, and take it away."""
    host = f"{ACCOUNT}.dkr.ecr.ap-southeast-2.amazonaws.com"
    image = ("--image", f"{host}/orderops-dev-order-processor:2")
    for mode, cidr, argv in (
        ("count", "203.0.113.0/24", ("up", *image)),
        ("block", "198.51.100.0/24", ("infra", "apply")),
        ("count", "192.0.2.0/24", ("up", *image)),
    ):
        declared = f'\n[waf]\nenabled = true\nmode = "{mode}"\nblocked_cidrs = ["{cidr}"]\nlog_days = 7\n'
        operator.write("dev", f"{shipped('dev')}{declared}")
        operator(*argv, "--yes")
        operator("waf", "report")
        export(operator)
    waf = operator.client("wafv2")
    [ip_set] = waf.list_ip_sets(Scope="REGIONAL")["IPSets"]
    acl = next(one for one in waf.list_web_acls(Scope="REGIONAL")["WebACLs"] if one["Name"].startswith("orderops-dev"))
    for arn in (ip_set["ARN"], acl["ARN"]):
        waf.untag_resource(ResourceARN=arn, TagKeys=["Name"])
    operator("infra", "apply", "--yes")
    for arn in (ip_set["ARN"], acl["ARN"]):
        waf.untag_resource(ResourceARN=arn, TagKeys=["Name"])
    operator("up", "--yes", *image)
    operator.write("dev", shipped("dev"))
    operator("infra", "apply", "--yes", "--prune")
    operator.write("dev", f"{shipped('dev')}{declared}")
    operator("infra", "apply", "--yes")
    operator.write("dev", shipped("dev"))
    operator("up", "--yes", "--prune", *image)


def give_it_a_name(operator: Operator) -> None:
    """Serve it by HTTPS under a name, change that, repair a record, and take the name away."""
    route53 = operator.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="ours")["HostedZone"]["Id"]
    image = f"{ACCOUNT}.dkr.ecr.ap-southeast-2.amazonaws.com/orderops-dev-order-processor:2"
    named = '\n[domain]\nname = "orders.example.com"\nzone = "example.com"\n'
    operator.write("dev", shipped("dev") + named)
    operator("up", "--yes", "--image", image)
    operator.write("dev", HEAD + shipped("dev") + named + "hsts_seconds = 3600\n")
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    [alias] = [record for record in records if record["Type"] == "A"]
    batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": alias}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    for argv in (("infra", "apply", "--yes"), ("status",), ("infra", "plan")):
        operator(*argv, expect=None)
    export(operator)
    lead_it_to_an_api(operator, named, image)
    operator.write("dev", shipped("dev"))
    operator("up", "--yes", "--prune", "--image", image)


def lead_it_to_an_api(operator: Operator, named: str, image: str) -> None:
    """Let an API answer the name, change each part by hand, and repair it with a further name."""
    operator.write("dev", shipped("dev") + named + API)
    operator("up", "--yes", "--image", image)
    apis, name = operator.client("apigatewayv2"), "orders.example.com"
    [api], [mapping] = apis.get_apis()["Items"], apis.get_api_mappings(DomainName=name)["Items"]
    apis.create_stage(ApiId=api["ApiId"], StageName="other")
    apis.update_api_mapping(DomainName=name, ApiMappingId=mapping["ApiMappingId"], ApiId=api["ApiId"], Stage="other")
    apis.untag_resource(ResourceArn=f"arn:aws:apigateway:ap-southeast-2::/domainnames/{name}", TagKeys=["Name"])
    operator.write("dev", f'{shipped("dev")}{named}names = ["shop.example.com"]\n{API}')
    operator("up", "--yes", "--image", image)
    operator("status", expect=None)
    export(operator)


def change_the_database(operator: Operator) -> None:
    """Give it another class, in the window and now, and another version. The task that reads it is simulated."""
    operator("database", "scale", "--class", "db.t3.small", "--at", "window", "--yes")
    operator("database", "scale", "--class", "db.t3.small", "--yes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orderops.remote.job.follow", partial(follow, timing=FollowTiming(log_lag=0.1)))
        operator("database", "extensions", expect=1)
        operator("database", "analyze", expect=1)
        operator("database", "upgrade", "--to", "18", "--rehearse", "--yes", expect=1)
        replicate_by_rows(operator)
        green = ("database", "upgrade", "--to", "18", "--blue-green")
        operator(*green, "--no-switch", "--yes")
        operator(*green, "--abandon", "--yes")
        until(lambda: len(database_names(operator)) == 1, what="green is deleted")
        operator(*green, "--yes")
    old = "orderops-dev-database-old1"
    operator("restore", "discard", old, "--confirm", old)


def replicate_by_rows(operator: Operator) -> None:
    """Put logical replication in force, by a reboot of the operator's own."""
    text, name = (operator.folder / "dev.toml").read_text(), "orderops-dev-database"
    operator.write("dev", text.replace("[database]\n", "[database]\nlogical_replication = true\n"))
    operator("infra", "apply", "--yes")
    rds = operator.client("rds")
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    until(lambda: database_of(rds, name)["DBInstanceStatus"] == "available", what="the database is back")


def database_of(rds: Any, name: str) -> dict[str, Any]:
    """An instance as RDS describes it."""
    found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def database_names(operator: Operator) -> list[str]:
    """The names of all instances of dev."""
    found = operator.client("rds").describe_db_instances()["DBInstances"]
    return [raw["DBInstanceIdentifier"] for raw in found if "-dev-" in raw["DBInstanceIdentifier"]]


def change_the_file(operator: Operator) -> None:
    """Change many settings at once."""
    text = shipped("dev")
    for before, after in CHANGES.items():
        assert before in text, before
        text = text.replace(before, after)
    operator.write("dev", HEAD + text + TAIL + SECOND)
    operator("infra", "plan", expect=3)
    operator("infra", "apply", "--dry-run", expect=3)
    operator("up", "--yes", "--image", f"order-processor={IMAGE}", "--image", f"billing={IMAGE}")


def put_an_api_in_front(operator: Operator) -> None:
    """Add an API, change it by hand, repair it, and take it away."""
    text = (operator.folder / "dev.toml").read_text()
    operator.write("dev", text + API)
    operator("infra", "plan", expect=3)
    operator("infra", "apply", "--yes")
    operator("up", "--yes", "--image", IMAGE)
    export(operator)
    damage_the_api(operator)
    operator("status", expect=None)
    operator("infra", "drift", expect=3)
    operator("up", "--yes", "--image", IMAGE)
    operator.write("dev", text)
    operator("up", "--yes", "--image", IMAGE)
    operator("infra", "apply", "--yes", "--prune")


def export(operator: Operator) -> None:
    """Write what exists as a configuration."""
    operator("infra", "export", "--out", str(operator.folder / "export"), "--force")


def put_a_rest_api_in_front(operator: Operator) -> None:
    """Add a REST API with keys and a firewall, change it by hand, repair it, and take it away with the keys left."""
    text = (operator.folder / "dev.toml").read_text()
    operator.write("dev", text + REST_API)
    operator("infra", "plan", expect=3)
    operator("infra", "apply", "--yes")
    operator("up", "--yes", "--image", IMAGE)
    for name in ("shop", "till"):
        operator("api", "keys", "create", name, "--yes")
    operator("api", "keys", "list")
    export(operator)
    operator("api", "keys", "revoke", "till", "--yes")
    damage_the_rest_api(operator)
    operator("status", expect=None)
    operator("infra", "drift", expect=3)
    operator("up", "--yes", "--image", IMAGE)
    for number in range(1, 12):
        # Beyond ten, an old deployment is deleted.
        operator.write("dev", text + REST_API.replace("[api.plan]", f"timeout_seconds = {number}\n[api.plan]"))
        operator("infra", "apply", "--yes")
    operator.write("dev", text)
    operator("up", "--yes", "--image", IMAGE)
    # The plan stays as long as it has a key.
    operator("infra", "apply", "--yes", "--prune")
    plan = "orderops-dev-api"
    operator("down", "--yes", "--only", f"apigateway-usage-plan/{plan}", "--confirm", plan)


def damage_the_rest_api(operator: Operator) -> None:
    """Change each part of the REST API by hand."""
    apis = operator.client("apigateway")
    [api] = apis.get_rest_apis()["items"]
    disabled = {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}
    apis.update_rest_api(restApiId=api["id"], patchOperations=[disabled])
    apis.untag_resource(resourceArn=f"arn:aws:apigateway:ap-southeast-2::/restapis/{api['id']}", tagKeys=["Name"])
    limit = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "1"}
    apis.update_stage(restApiId=api["id"], stageName="live", patchOperations=[limit])
    stage = f"arn:aws:apigateway:ap-southeast-2::/restapis/{api['id']}/stages/live"
    operator.client("wafv2").disassociate_web_acl(ResourceArn=stage)
    [plan] = apis.get_usage_plans()["items"]
    apis.update_usage_plan(usagePlanId=plan["id"], patchOperations=[{"op": "remove", "path": "/quota"}])


def damage_the_api(operator: Operator) -> None:
    """Change each part of the API by hand."""
    apis = operator.client("apigatewayv2")
    [api] = apis.get_apis()["Items"]
    of = {"ApiId": api["ApiId"]}
    apis.update_api(**of, DisableExecuteApiEndpoint=True)
    apis.untag_resource(ResourceArn=f"arn:aws:apigateway:ap-southeast-2::/apis/{api['ApiId']}", TagKeys=["Name"])
    [link] = apis.get_vpc_links()["Items"]
    apis.update_vpc_link(VpcLinkId=link["VpcLinkId"], Name="other")
    [integration] = apis.get_integrations(**of)["Items"]
    apis.update_integration(**of, IntegrationId=integration["IntegrationId"], TimeoutInMillis=1000)
    [authorizer] = apis.get_authorizers(**of)["Items"]
    other = {"Audience": ["other"], "Issuer": authorizer["JwtConfiguration"]["Issuer"]}
    apis.update_authorizer(**of, AuthorizerId=authorizer["AuthorizerId"], JwtConfiguration=other)
    [route] = [route for route in apis.get_routes(**of)["Items"] if route["RouteKey"] == "POST /orders"]
    apis.update_route(**of, RouteId=route["RouteId"], AuthorizationType="NONE", AuthorizationScopes=[])
    limits = {"GET /orders": {"ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 1}}
    apis.update_stage(**of, StageName="$default", RouteSettings=limits)


def damage_and_repair(operator: Operator) -> None:
    """Change resources by hand, and repair them."""
    damage_network(operator)
    damage_balancer(operator)
    damage_the_rest(operator)
    operator("status", expect=None)
    operator("infra", "drift", expect=3)
    operator("infra", "plan", expect=3)
    operator("infra", "apply", "--yes")
    operator("up", "--yes", "--image", f"order-processor={IMAGE}", "--image", f"billing={IMAGE}")


def damage_network(operator: Operator) -> None:
    ec2 = operator.client("ec2")

    def named(call: str, key: str, name: str) -> Any:
        [resource] = getattr(ec2, call)(Filters=[{"Name": "tag:Name", "Values": [f"orderops-dev-{name}"]}])[key]
        return resource

    table = named("describe_route_tables", "RouteTables", "private-a")
    public = named("describe_route_tables", "RouteTables", "public")["RouteTableId"]
    vpc = named("describe_vpcs", "Vpcs", "vpc")["VpcId"]
    gateway = named("describe_internet_gateways", "InternetGateways", "internet")["InternetGatewayId"]
    ec2.replace_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="192.0.2.0/24", GatewayId=gateway)
    associations = [association for association in table["Associations"] if association.get("SubnetId")]
    [moved] = [association["RouteTableAssociationId"] for association in associations]
    stray = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.replace_route_table_association(AssociationId=moved, RouteTableId=stray)
    more = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.200.0/24")["Subnet"]["SubnetId"]
    ec2.associate_route_table(RouteTableId=public, SubnetId=more)
    group = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["orderops-dev-balancer"]}])
    group_id = group["SecurityGroups"][0]["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    described = [{**rule, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "other words"}]}]
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group_id, IpPermissions=described)
    all_out = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group_id, IpPermissions=all_out)
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    log = ec2.describe_flow_logs(Filter=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"][0]["FlowLogId"]
    ec2.delete_flow_logs(FlowLogIds=[log])


def damage_balancer(operator: Operator) -> None:
    elbv2, ec2 = operator.client("elbv2"), operator.client("ec2")
    balancer = elbv2.describe_load_balancers(Names=["orderops-dev-balancer"])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    listener = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"][0]["ListenerArn"]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    elbv2.modify_listener(ListenerArn=listener, DefaultActions=[action])
    other = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["orderops-dev-database"]}])
    elbv2.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[other["SecurityGroups"][0]["GroupId"]])


def damage_the_rest(operator: Operator) -> None:
    service = "orderops-dev-order-processor"
    iam = operator.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.update_assume_role_policy(RoleName=f"{service}-task", PolicyDocument=document)
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    more = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=f"{service}-task", PolicyName="more", PolicyDocument=more)
    policy = iam.create_policy(PolicyName="by-hand", PolicyDocument=more)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=f"{service}-task", PolicyArn=policy)
    rds = operator.client("rds")
    parameter = {"ParameterName": "work_mem", "ParameterValue": "65536", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="orderops-dev-postgres17", Parameters=[parameter])
    ecr = operator.client("ecr")
    ecr.put_image_tag_mutability(repositoryName=service, imageTagMutability="MUTABLE")
    ecr.put_image_scanning_configuration(repositoryName=service, imageScanningConfiguration={"scanOnPush": False})
    bucket = "orderops-dev-access-logs-123456789012"
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    operator.client("s3").put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    secrets = operator.client("secretsmanager")
    secrets.update_secret(SecretId="orderops/dev/order-processor/TOKEN", Description="other words")
    topics = operator.client("sns")
    topic = topics.create_topic(Name="orderops-dev-alarms")["TopicArn"]
    topics.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(_deny_all(topic)))
    rds.stop_db_instance(DBInstanceIdentifier="orderops-dev-database")


def _deny_all(topic: str) -> dict[str, Any]:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic, "Sid": "DenyAll"}
    return {"Version": "2012-10-17", "Statement": [deny]}


def adopt(operator: Operator) -> None:
    """Adopt resources without an owner."""
    ec2 = operator.client("ec2")
    owner = [{"Key": "orderops:environment"}, {"Key": "orderops:address"}]
    [subnet] = ec2.describe_subnets(Filters=[{"Name": "tag:Name", "Values": ["orderops-dev-private-a"]}])["Subnets"]
    ec2.delete_tags(Resources=[subnet["SubnetId"]], Tags=owner)
    queue = operator.client("sqs").get_queue_url(QueueName="orderops-dev-order-processor-dlq")["QueueUrl"]
    operator.client("sqs").untag_queue(QueueUrl=queue, TagKeys=[tag["Key"] for tag in owner])
    alarms = operator.client("cloudwatch")
    [alarm] = alarms.describe_alarms(AlarmNames=["orderops-dev-order-processor-cpu"])["MetricAlarms"]
    keys = ("AlarmName", "Namespace", "MetricName", "Statistic", "Dimensions", "Period", "EvaluationPeriods")
    settings = {key: alarm[key] for key in (*keys, "Threshold", "ComparisonOperator")}
    alarms.put_metric_alarm(**settings, AlarmDescription="by hand")
    addresses = ("ec2-subnet/orderops-dev-private-a", "sqs-queue/orderops-dev-order-processor-dlq")
    operator("infra", "apply", "--yes", *(argument for address in addresses for argument in ("--adopt", address)))


def prune(operator: Operator) -> None:
    """Prune a service that is no longer declared; resources that hold data are kept."""
    text = (operator.folder / "dev.toml").read_text()
    operator.write("dev", text.replace(SECOND, ""))
    operator("infra", "apply", "--yes", "--prune")
    operator("up", "--yes", "--prune", "--image", IMAGE)


def replicate(operator: Operator) -> None:
    """Take over the master password, and add and remove read replicas."""
    text = (operator.folder / "dev.toml").read_text()
    rds = operator.client("rds")
    [database] = rds.describe_db_instances(DBInstanceIdentifier="orderops-dev-database")["DBInstances"]
    login = operator.client("secretsmanager").describe_secret(SecretId="orderops/dev/database-login")["ARN"]
    # The services have a role of their own, as after `migrate grant`.
    own = [{"Key": "orderops:service-secret", "Value": login}]
    rds.add_tags_to_resource(ResourceName=database["DBInstanceArn"], Tags=own)
    for replicas, argv in (
        (1, ("infra", "apply")),
        (2, ("up", "--image", IMAGE)),
        (1, ("infra", "apply", "--prune")),
        (0, ("up", "--prune", "--image", IMAGE)),
    ):
        declared = f'engine_version = "17"\nmaster = "own"\nreplicas = {replicas}'
        operator.write("dev", text.replace('engine_version = "17"', declared))
        operator(*argv, "--yes")
        if replicas == 2:
            operator("status", expect=None)
            promote_replica(operator)


def promote_replica(operator: Operator) -> None:
    """Make a replica the database, switch back, and discard it."""
    name = "orderops-dev-database-replica-1"
    operator("restore", "promote", name, "--yes")
    operator("restore", "back", "--yes")
    operator("restore", "discard", name, "--confirm", name)


def destroy(operator: Operator) -> None:
    """Destroy the environment: resources that hold data are kept first, and then confirmed by name."""
    sqs, s3 = operator.client("sqs"), operator.client("s3")
    queue = sqs.get_queue_url(QueueName="orderops-dev-order-processor-queue")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="an order")
    bucket = "orderops-dev-access-logs-123456789012"
    s3.put_object(Bucket=bucket, Key="AWSLogs/123456789012/a.log", Body=b"line")
    s3.create_multipart_upload(Bucket=bucket, Key="AWSLogs/123456789012/b.log")
    operator("infra", "destroy", "--yes", expect=1)
    operator("down", "--yes")
    operator("down", "--yes", "--only", f"s3-bucket/{bucket}", "--confirm", bucket)
    service = "orderops-dev-order-processor"
    secrets = ("orderops/dev/order-processor/TOKEN", "orderops/dev/billing/TOKEN")
    names = ("orderops-dev-database", f"{service}-queue", f"{service}-dlq", service, *secrets)
    confirmed = [argument for name in names for argument in ("--confirm", name)]
    operator("down", "--yes", *confirmed, expect=1)
    remove_strays(operator)
    operator("down", "--yes", *confirmed)


def remove_strays(operator: Operator) -> None:
    """Delete what damage_network created in the VPC, which blocks its deletion."""
    ec2 = operator.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["orderops-dev-vpc"]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    for subnet in ec2.describe_subnets(Filters=inside)["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for table in ec2.describe_route_tables(Filters=inside)["RouteTables"]:
        if not any(association.get("Main") for association in table["Associations"]):
            ec2.delete_route_table(RouteTableId=table["RouteTableId"])


def create_again(operator: Operator) -> None:
    """Create the environment again, with lost responses; its secrets are restored from deletion."""
    seen: set[str] = set()

    def lose_first(request: SeenRequest) -> Fate | ApiError | None:
        first = request.action in LOST and request.action not in seen
        seen.add(request.action)
        return Fate.UNANSWERED if first else None

    operator.account.proxy.rule = lose_first
    operator("infra", "apply", "--yes")
    encoded = ApiError("UnauthorizedOperation", "No. Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6X", 403)
    operator.account.proxy.rule = lambda request: encoded if request.action == "DescribeVpcs" else None
    operator("infra", "plan", expect=1)
    operator.account.proxy.forget()
    operator("infra", "destroy", "--yes", "--confirm", "orderops-dev-database")


def operate_prod(operator: Operator) -> None:
    """Create and destroy prod, which needs its name as a confirmation."""
    operator("up", "--yes", "--confirm", "prod", "--image", IMAGE, env="prod")
    operator("infra", "plan", env="prod")
    reason = ("--without-rehearsal", "--reason", "no rows yet")
    operator("database", "upgrade", "--to", "17", "--at", "now", "--yes", *reason, "--confirm", "prod", env="prod")
    name, token = "order-processor", "orderops/prod/order-processor/ORDERS_TOKEN"
    operator("service", "destroy", name, "--yes", "--confirm", "prod", "--confirm", token, env="prod")
    database = "orderops-prod-database"
    operator("down", "--yes", "--confirm", "prod", "--confirm", database, env="prod")
