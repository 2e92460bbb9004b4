"""The policies and their printed form. test_recorded_calls.py and test_enforced.py prove that they suffice."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import boto3
import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, IamConfig, load_environment
from orderops.doctor import diagnose
from orderops.iam.actions import actions_for, calls
from orderops.iam.grants import ANYTHING, NARROW, grants_of
from orderops.iam.persona import Persona
from orderops.iam.policies import identity_of, policies, simulations, statements
from orderops.local.emulator.protocol import Response
from support.command_line import Orderops
from support.faulty_proxy import Proxy, SeenRequest, served
from support.policy_evaluation import allowing
from support.policy_requests import Question
from support.repository import ENVIRONMENTS

ACCOUNT = "123456789012"
HOLDS_DATA = (
    "ecr:BatchDeleteImage",
    "ecr:DeleteRepository",
    "rds:DeleteDBInstance",
    "rds:DeleteDBInstanceAutomatedBackup",
    "rds:DeleteDBSnapshot",
    "s3:DeleteBucket",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "secretsmanager:DeleteSecret",
    "sqs:DeleteQueue",
    "sqs:PurgeQueue",
)
# What the Service Authorization Reference narrows by nothing, or what lists the whole account.
ANY_RESOURCE = {"Look", "Bands", "DeregisterTasks", "LogDelivery", "Unsubscribe"}


@pytest.fixture(params=["dev", "staging", "prod"])
def environment(request: pytest.FixtureRequest) -> Environment:
    return load_environment(request.param, ENVIRONMENTS)


@pytest.fixture
def dev() -> Environment:
    return load_environment("dev", ENVIRONMENTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that declares its account, so that no call to AWS is needed."""
    (tmp_path / "dev.toml").write_text(f'account = "{ACCOUNT}"\n{(ENVIRONMENTS / "dev.toml").read_text()}')
    return tmp_path


@pytest.mark.parametrize("persona", Persona)
def test_every_policy_is_short_enough_for_aws(environment: Environment, persona: Persona) -> None:
    created = policies(environment, ACCOUNT, persona)

    assert all(len(policy.text) <= 6144 for policy in created)
    assert json.loads(created[0].text) == created[0].document
    assert len({policy.name for policy in created}) == len(created) <= 10  # IAM's default quota for a role
    all_statements = [statement for policy in created for statement in policy.statements]
    assert all_statements == statements(environment, ACCOUNT, persona)


def test_policies_with_the_longest_names_are_short_enough(dev: Environment) -> None:
    longest = dev.model_copy(update={"name": "a" * 15, "region": "ap-southeast-2"})

    for persona in Persona:
        assert max(len(policy.text) for policy in policies(longest, ACCOUNT, persona)) <= 6144


def test_every_command_on_file_is_one_that_a_persona_runs() -> None:
    recorded = {command for commands in calls().values() for command in commands}

    # A group in place of its commands would be no persona's, and its calls would be granted to none.
    assert recorded - {command for persona in Persona for command in persona.commands} == set()


def test_every_permission_is_in_some_grant() -> None:
    assert {action for action in actions_for(Persona.OPERATOR.commands) if not grants_of(action)} == set()


def test_every_grant_is_used_by_the_operator(dev: Environment) -> None:
    given = {statement["Sid"] for statement in statements(dev, ACCOUNT, Persona.OPERATOR)}

    assert given == {grant.sid for grant in (ANYTHING, *NARROW)} - {"BoundedRoles", "BoundedApiLogRole"}
    bounded = dev.model_copy(update={"iam": IamConfig(permissions_boundary=f"arn:aws:iam::{ACCOUNT}:policy/b")})
    given = {statement["Sid"] for statement in statements(bounded, ACCOUNT, Persona.OPERATOR)}
    assert given == {grant.sid for grant in (ANYTHING, *NARROW)}


@pytest.mark.parametrize("persona", [Persona.OPERATOR, Persona.PIPELINE])
def test_roles_are_created_only_within_the_boundary_of_the_environment(dev: Environment, persona: Persona) -> None:
    # IAM user guide, "Delegating responsibility to others using permissions boundaries".
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/team/boundary"
    bounded = dev.model_copy(update={"iam": IamConfig(path="/team/", permissions_boundary=boundary)})

    given = statements(bounded, ACCOUNT, persona)

    creating = [statement for statement in given if "iam:CreateRole" in statement["Action"]]
    within = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    assert [statement["Condition"] for statement in creating] == [within, within]
    assert any("iam:PutRolePermissionsBoundary" in statement["Action"] for statement in creating)
    assert not any("iam:DeleteRolePermissionsBoundary" in statement["Action"] for statement in given)
    on_roles = {
        arn
        for statement in given
        for arn in statement["Resource"]
        if ":role/" in arn and statement["Sid"] not in ("LinkedRoles", "OwnPermissions")
    }
    # The second is one for the account, by which API Gateway writes access logs.
    own, logs = (
        f"arn:aws:iam::{ACCOUNT}:role/team/orderops-dev-*",
        f"arn:aws:iam::{ACCOUNT}:role/orderops-ApiGatewayLogs",
    )
    assert on_roles == {own, logs}


def test_the_pipeline_may_delete_nothing_that_holds_data(dev: Environment) -> None:
    allowed = actions_for(Persona.PIPELINE.commands)
    of_jobs = [given for given in statements(dev, ACCOUNT, Persona.PIPELINE) if "s3:DeleteObject" in given["Action"]]

    # What `migrate info` tells its task, and nothing else.
    assert allowed & set(HOLDS_DATA) == {"s3:DeleteObject"}
    assert [given["Resource"] for given in of_jobs] == [[f"arn:aws:s3:::orderops-{ACCOUNT}-ap-southeast-2/dev/jobs/*"]]
    assert {action for action in allowed if ":Delete" in action} == {
        "s3:DeleteObject",
        "ec2:DeleteFlowLogs",  # a changed flow log is created again
        "ec2:DeleteRoute",
        "iam:DeleteRolePermissionsBoundary",  # a boundary that was taken out of the file; not granted while it is in it
        "iam:DeleteRolePolicy",
    }


def test_the_viewer_may_change_nothing_and_read_no_password(dev: Environment) -> None:
    changing = {
        action
        for action in actions_for(Persona.VIEWER.commands)
        if not action.partition(":")[2].startswith(("Describe", "Get", "List"))
    }
    viewer = statements(dev, ACCOUNT, Persona.VIEWER)
    [secret] = [statement for statement in viewer if "GetSecretValue" in str(statement["Action"])]

    # All five read; FilterLogEvents is the log of the services, and LookupEvents what changed them.
    assert changing == {
        "apigateway:GET",
        "cloudtrail:LookupEvents",
        "iam:SimulatePrincipalPolicy",
        "logs:FilterLogEvents",
        "sts:DecodeAuthorizationMessage",
    }
    assert secret["Resource"] == [
        f"arn:aws:secretsmanager:ap-southeast-2:{ACCOUNT}:secret:orderops/dev/database-??????"
    ]


@pytest.mark.parametrize("persona", Persona)
def test_only_what_aws_cannot_narrow_is_granted_on_any_resource(dev: Environment, persona: Persona) -> None:
    wide = [statement for statement in statements(dev, ACCOUNT, persona) if "*" in statement["Resource"]]

    assert {statement["Sid"] for statement in wide if "Condition" not in statement} <= ANY_RESOURCE
    assert all(str(action).partition(":")[2] != "*" for statement in wide for action in statement["Action"])


VPC = f"arn:aws:ec2:ap-southeast-2:{ACCOUNT}:vpc/vpc-1"
DEV, PROD = {"aws:ResourceTag/orderops:environment": "dev"}, {"aws:ResourceTag/orderops:environment": "prod"}
AS_DEV, AS_PROD = {"aws:RequestTag/orderops:environment": "dev"}, {"aws:RequestTag/orderops:environment": "prod"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
SECRETS = f"arn:aws:secretsmanager:ap-southeast-2:{ACCOUNT}:secret"


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        (Question("ec2:DeleteVpc", VPC, DEV), True),
        (Question("ec2:DeleteVpc", VPC, PROD), False),
        (Question("ec2:DeleteVpc", VPC), False),
        (Question("ec2:CreateVpc", VPC, AS_DEV), True),
        (Question("ec2:CreateVpc", VPC), False),
        (Question("ec2:CreateSubnet", VPC, PROD), False),
        (Question("ec2:CreateTags", VPC, {**AS_DEV, "ec2:CreateAction": "CreateVpc"}), True),
        (Question("ec2:CreateTags", VPC, {**AS_DEV, "ec2:CreateAction": "RunInstances"}), True),  # as an adopted one
        (Question("ec2:CreateTags", VPC, AS_PROD), False),
        (Question("ec2:CreateTags", VPC, {**DEV, "aws:RequestTag/team": "a"}), True),
        (Question("ec2:CreateTags", VPC, {**DEV, **AS_PROD}), False),
        (Question("ec2:CreateTags", VPC, {**PROD, **AS_DEV}), False),
        (Question("ec2:CreateTags", f"arn:aws:ec2:ap-southeast-2:{ACCOUNT}:instance/i-1", AS_DEV), False),
        (Question("iam:PassRole", f"{ROLE}/orderops-dev-x", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}), True),
        (Question("iam:PassRole", f"{ROLE}/orderops-dev-x", {"iam:PassedToService": "ecs.amazonaws.com"}), True),
        (Question("iam:PassRole", f"{ROLE}/orderops-dev-x", {"iam:PassedToService": "lambda.amazonaws.com"}), False),
        (Question("iam:PassRole", f"{ROLE}/admin", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}), False),
        (Question("secretsmanager:GetSecretValue", f"{SECRETS}:orderops/dev/database-AbCdEf"), True),
        (Question("secretsmanager:GetSecretValue", f"{SECRETS}:orderops/dev/order-processor/TOKEN-AbCdEf"), False),
        (Question("secretsmanager:GetSecretValue", f"{SECRETS}:rds!db-1-AbCdEf"), False),
        (Question("rds:DeleteDBInstance", f"arn:aws:rds:ap-southeast-2:{ACCOUNT}:db:orderops-prod-database"), False),
        (Question("s3:PutObject", f"arn:aws:s3:::orderops-{ACCOUNT}-ap-southeast-2/prod/lease.json"), False),
        (Question("s3:GetObject", f"arn:aws:s3:::orderops-dev-access-logs-{ACCOUNT}/a.log"), False),
    ],
    ids=lambda value: (
        f"{value.action} {' '.join(value.context.values())}" if isinstance(value, Question) else str(value)
    ),
)
def test_an_operator_of_dev_may_change_only_dev(dev: Environment, question: Question, allowed: bool) -> None:
    documents = [policy.document for policy in policies(dev, ACCOUNT, Persona.OPERATOR)]

    assert bool(allowing(question, documents)) is allowed


@pytest.mark.parametrize(
    ("access", "more"),
    [
        ("task", set()),
        ("direct", {"OpenDatabases"}),
        ("tunnel", {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"}),
    ],
)
def test_direct_database_access_adds_the_passwords_of_the_environment(
    dev: Environment, access: str, more: set[str]
) -> None:
    reaching = dev.model_copy(update={"database": dev.database.model_copy(update={"access": access})})
    granted = {persona: statements(reaching, ACCOUNT, persona) for persona in Persona}

    sids = {persona: {statement["Sid"] for statement in granted[persona]} for persona in Persona}
    assert sids[Persona.OPERATOR] & {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"} == more
    assert not (sids[Persona.VIEWER] | sids[Persona.PIPELINE]) & {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"}
    operator = granted[Persona.OPERATOR]
    passwords = [statement for statement in operator if statement["Sid"] == "OpenDatabases"]
    conditions = [statement["Condition"]["StringLike"] for statement in passwords]
    instances = f"arn:aws:rds:ap-southeast-2:{ACCOUNT}:db:orderops-dev-database"
    # Without the databases of dev-eu, whose names begin with orderops-dev- too.
    assert [condition["aws:ResourceTag/aws:rds:primaryDBInstanceArn"] for condition in conditions] in (
        [],
        [[instances, f"{instances}-*"]],
    )
    assert [statement["Resource"] for statement in operator if statement["Sid"] == "EndOwnTunnels"] in (
        [],
        [[f"arn:aws:ssm:ap-southeast-2:{ACCOUNT}:session/${{aws:userid}}-*"]],
    )


def test_roles_may_be_passed_to_five_services_only(dev: Environment) -> None:
    pipeline = statements(dev, ACCOUNT, Persona.PIPELINE)
    passed = [statement for statement in pipeline if "iam:PassRole" in statement["Action"]]
    passing, logs = sorted(passed, key=lambda statement: statement["Sid"] == "PassApiLogRole")

    assert logs["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/orderops-ApiGatewayLogs"]
    assert logs["Condition"] == {"StringEquals": {"iam:PassedToService": ["apigateway.amazonaws.com"]}}

    assert passing["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/orderops-dev-*"]
    services = ["ecs-tasks", "ecs", "scheduler", "vpc-flow-logs"]
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": [f"{service}.amazonaws.com" for service in services]}
    }


def test_only_operators_may_adopt_resources_without_an_owner(dev: Environment) -> None:
    sids = {persona: {statement["Sid"] for statement in statements(dev, ACCOUNT, persona)} for persona in Persona}
    adopting = {persona for persona in Persona if "AdoptNetwork" in sids[persona]}

    assert adopting == {Persona.OPERATOR}


def test_arns_have_the_partition_of_the_region(dev: Environment) -> None:
    china = dev.model_copy(update={"region": "cn-north-1"})

    text = json.dumps(statements(china, ACCOUNT, Persona.OPERATOR))

    assert "arn:aws-cn:" in text
    assert "arn:aws:" not in text


def test_the_printed_commands_can_be_pasted(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    result = Orderops(capsys)("doctor", "--policies", "--env", "dev", "--environments", str(folder))

    assert result.code == 0, result.err
    commands = [shlex.split(line) for line in result.out.splitlines() if line.startswith("aws iam ")]
    created = [argv for argv in commands if argv[2] == "create-policy"]
    assert {argv[4] for argv in created} >= {"orderops-dev-pipeline-1", "orderops-dev-viewer-1"}
    assert all(json.loads(argv[6])["Version"] == "2012-10-17" for argv in created)
    attached = {argv[6] for argv in commands if argv[2] == "attach-role-policy"}
    assert attached == {f"arn:aws:iam::{ACCOUNT}:policy/{argv[4]}" for argv in created}


def test_json_contains_the_documents_of_one_persona(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    argv = ("--policies", "--for", "viewer", "--json", "--env", "dev", "--environments", str(folder))

    document = Orderops(capsys)("doctor", *argv).json

    assert (document["environment"], document["account"]) == ("dev", ACCOUNT)
    assert {policy["for"] for policy in document["policies"]} == {"viewer"}
    dev = load_environment("dev", folder)
    printed = [statement for policy in document["policies"] for statement in policy["document"]["Statement"]]
    assert printed == statements(dev, ACCOUNT, Persona.VIEWER)


@pytest.mark.parametrize(
    ("caller", "identity"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/ann"),
        (f"arn:aws:iam::{ACCOUNT}:root", ""),
    ],
)
def test_the_identity_of_a_user_is_the_user_and_root_has_none(caller: str, identity: str) -> None:
    assert identity_of(caller) == identity


# IAM Identity Center user guide, "Referencing permission sets in resource policies": the path contains the region of
# the instance, except us-east-1.
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Deploy", "/"),
        ("Deploy", "/team/ci/"),
        ("AWSReservedSSO_Admin_0123456789abcdef", "/aws-reserved/sso.amazonaws.com/"),
        ("AWSReservedSSO_Admin_0123456789abcdef", "/aws-reserved/sso.amazonaws.com/eu-west-1/"),
    ],
)
def test_the_permissions_of_a_session_are_those_of_its_role_with_its_path(
    dev: Environment, proxy: Proxy, client: Any, name: str, path: str
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)
    identity = IDENTITY.format(arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/ann", account=ACCOUNT)
    answers = {"SimulatePrincipalPolicy": SIMULATED, "GetCallerIdentity": identity}
    simulated: set[str] = set()

    def rule(request: SeenRequest) -> Response | None:
        return Response(200, answers[request.action].encode()) if request.action in answers else None

    def note(params: dict[str, Any], **_: Any) -> None:
        simulated.add(params["PolicySourceArn"])

    proxy.rule = rule
    session = boto3.Session("testing", "testing", region_name="ap-southeast-2")
    session.events.register("provide-client-params.iam.SimulatePrincipalPolicy", note)
    aws = Aws("ap-southeast-2", endpoint_url=proxy.url, session=session, environment="dev")

    checks = {check.name: check for check in diagnose(dev, lambda: aws, Persona.PIPELINE)}

    assert simulated == {f"arn:aws:iam::{ACCOUNT}:role{path}{name}"}
    assert "permissions" in checks


def test_simulations_contain_no_wildcards(dev: Environment) -> None:
    for simulation in simulations(dev, ACCOUNT, Persona.OPERATOR):
        assert all(resource == "*" or not set(resource) & set("*?") for resource in simulation.resources)
        assert not any(set(value) & set("*?") for value in simulation.context.values())


def test_doctor_names_missing_permissions_where_it_may_simulate(dev: Environment) -> None:
    def simulator(request: SeenRequest) -> Response | None:
        return Response(200, SIMULATED.encode()) if request.action == "SimulatePrincipalPolicy" else None

    with served() as proxy:
        proxy.rule = simulator
        aws = Aws("ap-southeast-2", endpoint_url=proxy.url, environment="dev")
        checks = {check.name: check for check in diagnose(dev, lambda: aws, Persona.PIPELINE)}
        proxy.forget()
        without_simulator = {check.name for check in diagnose(dev, lambda: aws)}

    permissions = checks["permissions"]
    assert not permissions.ok
    assert not permissions.needed
    assert permissions.detail.startswith("1 of the pipeline's ")
    assert permissions.detail.endswith("are missing: sqs:CreateQueue")
    assert permissions.hint == "orderops doctor --policies --for pipeline --env dev"
    assert "permissions" not in without_simulator


IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>{arn}</Arn><UserId>AROA:ann</UserId><Account>{account}</Account></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""
SIMULATED = """<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>
<member><EvalActionName>sqs:CreateQueue</EvalActionName><EvalResourceName>arn:aws:sqs:::q</EvalResourceName>
<EvalDecision>implicitDeny</EvalDecision></member>
<member><EvalActionName>sqs:TagQueue</EvalActionName><EvalResourceName>arn:aws:sqs:::q</EvalResourceName>
<EvalDecision>allowed</EvalDecision></member>
</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""
