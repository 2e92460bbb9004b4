"""The policies themselves, and how they are printed; the proof that they suffice stands in the two files beside."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from orderops.aws.client import Aws
from orderops.config.environment import Environment, load_environment
from orderops.doctor import diagnose
from orderops.iam.actions import Persona, actions_for
from orderops.iam.grants import ANYTHING, NARROW, grants_of
from orderops.iam.policies import LONGEST, identity_of, policies, simulations, statements
from orderops.local.emulator.protocol import Response
from support.command_line import Orderops
from support.faulty_proxy import SeenRequest, served
from support.policy_evaluation import allowing
from support.policy_requests import Asked
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
# What the Service Authorization Reference narrows by nothing, or what is asked for a whole listing.
ANY_RESOURCE = {"Look", "DeregisterTasks"}


@pytest.fixture(params=["dev", "staging", "prod"])
def environment(request: pytest.FixtureRequest) -> Environment:
    return load_environment(request.param, ENVIRONMENTS)


@pytest.fixture
def dev() -> Environment:
    return load_environment("dev", ENVIRONMENTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment that names its account, so that nobody need be asked."""
    (tmp_path / "dev.toml").write_text(f'account = "{ACCOUNT}"\n{(ENVIRONMENTS / "dev.toml").read_text()}')
    return tmp_path


@pytest.mark.parametrize("persona", Persona)
def test_every_policy_is_short_enough_for_aws(environment: Environment, persona: Persona) -> None:
    found = policies(environment, ACCOUNT, persona)

    assert all(len(policy.text) <= LONGEST for policy in found)
    assert json.loads(found[0].text) == found[0].document
    assert len({policy.name for policy in found}) == len(found) <= 10  # policies that a role may have
    whole = [statement for policy in found for statement in policy.statements]
    assert whole == statements(environment, ACCOUNT, persona)


def test_the_longest_names_still_fit(dev: Environment) -> None:
    longest = dev.model_copy(update={"name": "a" * 15, "region": "ap-southeast-2"})

    for persona in Persona:
        assert max(len(policy.text) for policy in policies(longest, ACCOUNT, persona)) <= LONGEST


def test_every_permission_is_given_on_something() -> None:
    assert {action for action in actions_for(Persona.OPERATOR.commands) if not grants_of(action)} == set()


def test_every_grant_is_given_to_somebody(dev: Environment) -> None:
    given = {each["Sid"] for each in statements(dev, ACCOUNT, Persona.OPERATOR)}

    assert given == {grant.sid for grant in (ANYTHING, *NARROW)}


def test_the_pipeline_deletes_nothing_that_holds_data() -> None:
    may = actions_for(Persona.PIPELINE.commands)

    assert may & set(HOLDS_DATA) == set()
    assert {action for action in may if ":Delete" in action} == {
        "ec2:DeleteFlowLogs",  # a changed one is made anew
        "ec2:DeleteRoute",
        "iam:DeleteRolePolicy",
    }


def test_the_viewer_changes_nothing_and_reads_no_secret(dev: Environment) -> None:
    changing = {
        action
        for action in actions_for(Persona.VIEWER.commands)
        if not action.partition(":")[2].startswith(("Describe", "Get", "List"))
    }
    [secret] = [each for each in statements(dev, ACCOUNT, Persona.VIEWER) if "GetSecretValue" in str(each["Action"])]

    assert changing == {"iam:SimulatePrincipalPolicy", "sts:DecodeAuthorizationMessage"}
    assert secret["Resource"] == [
        f"arn:aws:secretsmanager:ap-southeast-2:{ACCOUNT}:secret:orderops/dev/database-??????"
    ]


@pytest.mark.parametrize("persona", Persona)
def test_only_what_aws_cannot_narrow_is_given_on_anything(dev: Environment, persona: Persona) -> None:
    wide = [each for each in statements(dev, ACCOUNT, persona) if "*" in each["Resource"]]

    assert {each["Sid"] for each in wide if "Condition" not in each} <= ANY_RESOURCE
    assert all(str(action).partition(":")[2] != "*" for each in wide for action in each["Action"])


VPC = f"arn:aws:ec2:ap-southeast-2:{ACCOUNT}:vpc/vpc-1"
OURS, THEIRS = {"aws:ResourceTag/orderops:environment": "dev"}, {"aws:ResourceTag/orderops:environment": "prod"}
AS_OURS, AS_THEIRS = {"aws:RequestTag/orderops:environment": "dev"}, {"aws:RequestTag/orderops:environment": "prod"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
SECRETS = f"arn:aws:secretsmanager:ap-southeast-2:{ACCOUNT}:secret"


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (Asked("ec2:DeleteVpc", VPC, OURS), True),
        (Asked("ec2:DeleteVpc", VPC, THEIRS), False),
        (Asked("ec2:DeleteVpc", VPC), False),
        (Asked("ec2:CreateVpc", VPC, AS_OURS), True),
        (Asked("ec2:CreateVpc", VPC), False),
        (Asked("ec2:CreateSubnet", VPC, THEIRS), False),
        (Asked("ec2:CreateTags", VPC, {**AS_OURS, "ec2:CreateAction": "CreateVpc"}), True),
        (Asked("ec2:CreateTags", VPC, {**AS_OURS, "ec2:CreateAction": "RunInstances"}), True),  # as a thing taken over
        (Asked("ec2:CreateTags", VPC, AS_THEIRS), False),
        (Asked("ec2:CreateTags", VPC, {**OURS, "aws:RequestTag/team": "a"}), True),
        (Asked("ec2:CreateTags", VPC, {**OURS, **AS_THEIRS}), False),
        (Asked("ec2:CreateTags", VPC, {**THEIRS, **AS_OURS}), False),
        (Asked("ec2:CreateTags", f"arn:aws:ec2:ap-southeast-2:{ACCOUNT}:instance/i-1", AS_OURS), False),
        (Asked("iam:PassRole", f"{ROLE}/orderops-dev-x", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}), True),
        (Asked("iam:PassRole", f"{ROLE}/orderops-dev-x", {"iam:PassedToService": "lambda.amazonaws.com"}), False),
        (Asked("iam:PassRole", f"{ROLE}/admin", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}), False),
        (Asked("secretsmanager:GetSecretValue", f"{SECRETS}:orderops/dev/database-AbCdEf"), True),
        (Asked("secretsmanager:GetSecretValue", f"{SECRETS}:orderops/dev/order-processor/TOKEN-AbCdEf"), False),
        (Asked("secretsmanager:GetSecretValue", f"{SECRETS}:rds!db-1-AbCdEf"), False),
        (Asked("rds:DeleteDBInstance", f"arn:aws:rds:ap-southeast-2:{ACCOUNT}:db:orderops-prod-database"), False),
        (Asked("s3:PutObject", f"arn:aws:s3:::orderops-{ACCOUNT}-ap-southeast-2/prod/lease.json"), False),
        (Asked("s3:GetObject", f"arn:aws:s3:::orderops-dev-access-logs-{ACCOUNT}/a.log"), False),
    ],
    ids=lambda each: f"{each.action} {' '.join(each.context.values())}" if isinstance(each, Asked) else str(each),
)
def test_an_operator_of_dev_reaches_what_is_devs(dev: Environment, asked: Asked, allowed: bool) -> None:
    documents = [policy.document for policy in policies(dev, ACCOUNT, Persona.OPERATOR)]

    assert bool(allowing(asked, documents)) is allowed


@pytest.mark.parametrize(
    ("access", "more"),
    [
        ("task", set()),
        ("direct", {"OpenDatabases"}),
        ("tunnel", {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"}),
    ],
)
def test_who_reaches_databases_by_themselves_may_open_those_of_the_environment(
    dev: Environment, access: str, more: set[str]
) -> None:
    reaching = dev.model_copy(update={"database": dev.database.model_copy(update={"access": access})})
    told = {persona: statements(reaching, ACCOUNT, persona) for persona in Persona}

    sids = {persona: {each["Sid"] for each in told[persona]} for persona in Persona}
    assert sids[Persona.OPERATOR] & {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"} == more
    assert not (sids[Persona.VIEWER] | sids[Persona.PIPELINE]) & {"OpenDatabases", "OpenTunnels", "EndOwnTunnels"}
    passwords = [each for each in told[Persona.OPERATOR] if each["Sid"] == "OpenDatabases"]
    assert {each["Condition"]["StringLike"]["aws:ResourceTag/aws:rds:primaryDBInstanceArn"] for each in passwords} <= {
        f"arn:aws:rds:ap-southeast-2:{ACCOUNT}:db:orderops-dev-*"
    }
    assert [each["Resource"] for each in told[Persona.OPERATOR] if each["Sid"] == "EndOwnTunnels"] in (
        [],
        [[f"arn:aws:ssm:ap-southeast-2:{ACCOUNT}:session/${{aws:userid}}-*"]],
    )


def test_roles_are_passed_to_two_services_only(dev: Environment) -> None:
    [passing] = [each for each in statements(dev, ACCOUNT, Persona.PIPELINE) if "iam:PassRole" in each["Action"]]

    assert passing["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/orderops-dev-*"]
    services = ["ecs-tasks.amazonaws.com", "vpc-flow-logs.amazonaws.com"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": services}}


def test_what_has_no_owner_is_taken_over_by_operators_only(dev: Environment) -> None:
    adopting = {
        persona for persona in Persona for each in statements(dev, ACCOUNT, persona) if each["Sid"] == "AdoptNetwork"
    }

    assert adopting == {Persona.OPERATOR}


def test_arns_are_of_the_regions_partition(dev: Environment) -> None:
    china = dev.model_copy(update={"region": "cn-north-1"})

    text = json.dumps(statements(china, ACCOUNT, Persona.OPERATOR))

    assert "arn:aws-cn:" in text
    assert "arn:aws:" not in text


def test_what_is_printed_can_be_pasted(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    said = Orderops(capsys)("doctor", "--policies", "--env", "dev", "--environments", str(folder))

    assert said.code == 0, said.err
    commands = [shlex.split(line) for line in said.out.splitlines() if line.startswith("aws iam ")]
    created = [words for words in commands if words[2] == "create-policy"]
    assert {words[4] for words in created} >= {"orderops-dev-pipeline-1", "orderops-dev-viewer"}
    assert all(json.loads(words[6])["Version"] == "2012-10-17" for words in created)
    attached = {words[6] for words in commands if words[2] == "attach-role-policy"}
    assert attached == {f"arn:aws:iam::{ACCOUNT}:policy/{words[4]}" for words in created}


def test_json_gives_the_documents_of_one_persona(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    words = ("--policies", "--for", "viewer", "--json", "--env", "dev", "--environments", str(folder))

    told = Orderops(capsys)("doctor", *words).json

    assert (told["environment"], told["account"]) == ("dev", ACCOUNT)
    assert {each["for"] for each in told["policies"]} == {"viewer"}
    dev = load_environment("dev", folder)
    found = [statement for each in told["policies"] for statement in each["document"]["Statement"]]
    assert found == statements(dev, ACCOUNT, Persona.VIEWER)


@pytest.mark.parametrize(
    ("caller", "identity"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/ann"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/ann", f"arn:aws:iam::{ACCOUNT}:role/Deploy"),
        (f"arn:aws:iam::{ACCOUNT}:root", ""),
    ],
)
def test_a_session_is_judged_by_its_role_and_root_by_nobody(caller: str, identity: str) -> None:
    assert identity_of(caller) == identity


def test_simulations_are_about_things_and_not_patterns(dev: Environment) -> None:
    for each in simulations(dev, ACCOUNT, Persona.OPERATOR):
        assert all(resource == "*" or not set(resource) & set("*?") for resource in each.resources)
        assert not any(set(value) & set("*?") for value in each.context.values())


def test_doctor_says_which_permissions_are_missing_where_it_may_ask(dev: Environment) -> None:
    def simulator(request: SeenRequest) -> Response | None:
        return Response(200, SIMULATED.encode()) if request.action == "SimulatePrincipalPolicy" else None

    with served() as proxy:
        proxy.rule = simulator
        aws = Aws("ap-southeast-2", endpoint_url=proxy.url, environment="dev")
        findings = {each.name: each for each in diagnose(dev, lambda: aws, Persona.PIPELINE)}
        proxy.forget()
        silent = {each.name: each for each in diagnose(dev, lambda: aws)}

    found = findings["permissions"]
    assert not found.ok
    assert not found.needed
    assert found.detail.startswith("1 of the pipeline's ")
    assert found.detail.endswith("are missing: sqs:CreateQueue")
    assert found.hint == "orderops doctor --policies --for pipeline --env dev"
    assert "permissions" not in silent


SIMULATED = """<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>
<member><EvalActionName>sqs:CreateQueue</EvalActionName><EvalResourceName>arn:aws:sqs:::q</EvalResourceName>
<EvalDecision>implicitDeny</EvalDecision></member>
<member><EvalActionName>sqs:TagQueue</EvalActionName><EvalResourceName>arn:aws:sqs:::q</EvalResourceName>
<EvalDecision>allowed</EvalDecision></member>
</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""
