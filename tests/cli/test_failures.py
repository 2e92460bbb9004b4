"""What goes wrong under a real command ends in words: what happened, what to type; never in a traceback."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orderops.cli import main
from orderops.local.emulator.protocol import ApiError, Response
from support.command_line import Orderops, Said
from support.faulty_proxy import Fate, FaultRule, Proxy, SeenRequest
from support.repository import ENVIRONMENTS

DEV = ("--env", "dev", "--environments", str(ENVIRONMENTS))
PLAN = ("infra", "plan", *DEV)
APPLY = ("infra", "apply", *DEV, "--yes")
STATUS = ("status", *DEV)
DOWN = ("down", *DEV, "--yes")
PAGE = b"<!DOCTYPE html><html><body>Log in to the guest network</body></html>"
USER = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform:"
BLOB = "4GIOHlTkIaWHQD0Q0m6XSnuUMCmabcEFG0123456789"
Outcome = ApiError | Response | Fate


@dataclass(frozen=True)
class Told:
    """A call that goes wrong under a command, and the words that must be on the screen."""

    words: tuple[str, ...]
    command: tuple[str, ...] = STATUS
    service: str = "sts"
    action: str = "GetCallerIdentity"
    outcome: Outcome | None = None
    variables: dict[str, str] = field(default_factory=dict)


def refused(code: str, text: str = "words", status: int = 400) -> ApiError:
    return ApiError(code, text, status)


ACCOUNT = {
    "an expired token": Told(
        ("the credentials ran out", "aws sso login"),
        outcome=refused("ExpiredToken", "The security token included in the request is expired", 403),
    ),
    "a token that the other services call expired": Told(
        ("the credentials ran out", "renew them"),
        STATUS,
        "sqs",
        "GetQueueUrl",
        refused("ExpiredTokenException", "The security token included in the request is expired"),
    ),
    "an unknown key": Told(
        ("AWS does not know this access key", "aws configure list"),
        PLAN,
        outcome=refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    ),
    "a wrong secret key": Told(
        ("the secret key does not belong to the access key", "aws configure"),
        DOWN,
        outcome=refused("SignatureDoesNotMatch", "The request signature we calculated does not match", 403),
    ),
    "a clock that is wrong": Told(
        ("this machine's clock is wrong by 30 min (ahead)", "timedatectl"),
        outcome=refused(
            "SignatureDoesNotMatch",
            "Signature not yet current: 20261112T084500Z is still later than 20261112T082000Z "
            "(20261112T081500Z + 5 min.)",
            403,
        ),
    ),
    "EC2's words for all of these": Told(
        ("EC2 does not accept these credentials", "date -u; aws sts get-caller-identity"),
        PLAN,
        "ec2",
        "DescribeVpcs",
        refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
    ),
    "an account that is not verified": Told(
        ("AWS has not verified this account", "https://console.aws.amazon.com/support"),
        PLAN,
        "ec2",
        "DescribeSubnets",
        refused("OptInRequired", "You are not subscribed to this service.", 401),
    ),
    "a suspended account": Told(
        ("suspended", "https://console.aws.amazon.com/support"),
        DOWN,
        "ec2",
        "DescribeVpcs",
        refused("Blocked", "This account is currently blocked and not recognized as a valid account."),
    ),
}
PERMISSIONS = {
    "a read that is not allowed": Told(
        ("user/ann may not rds:DescribeDBInstances", '{"Effect":"Allow","Action":"rds:DescribeDBInstances"'),
        STATUS,
        "rds",
        "DescribeDBInstances",
        refused("AccessDenied", f"{USER} rds:DescribeDBInstances on resource: * because no identity-based policy "
                "allows the rds:DescribeDBInstances action", 403),
    ),
    "an explicit deny": Told(
        ("denies elasticloadbalancing:DescribeLoadBalancers", "simulate-principal-policy"),
        STATUS,
        "elasticloadbalancing",
        "DescribeLoadBalancers",
        refused("AccessDenied", f"{USER} elasticloadbalancing:DescribeLoadBalancers on resource: * with an explicit "
                "deny in an identity-based policy", 403),
    ),
    "a permissions boundary": Told(
        ("the permissions boundary of arn:aws:iam::123456789012:user/ann", "aws iam get-user --user-name ann"),
        STATUS,
        "ecs",
        "DescribeServices",
        refused("AccessDeniedException", f"{USER} ecs:DescribeServices on resource: * because no permissions boundary "
                "allows the ecs:DescribeServices action"),
    ),
    "the organization": Told(
        ("the organization does not allow sqs:GetQueueUrl", "ask who runs the organization"),
        STATUS,
        "sqs",
        "GetQueueUrl",
        refused("AccessDenied", f"{USER} sqs:GetQueueUrl on resource: * because no service control policy allows the "
                "sqs:GetQueueUrl action", 403),
    ),
    "no word of who or what": Told(
        ("these credentials may not rds:DescribeDBInstances", '"Action":"rds:DescribeDBInstances"'),
        DOWN,
        "rds",
        "DescribeDBInstances",
        refused("AccessDenied", "Access Denied", 403),
    ),
    "a refusal that EC2 encodes and that may not be decoded": Told(
        ("may not ec2:DescribeVpcs", f"aws sts decode-authorization-message --query DecodedMessage --output text "
         f"--encoded-message {BLOB}"),
        PLAN,
        "ec2",
        "DescribeVpcs",
        refused("UnauthorizedOperation", f"You are not authorized to perform this operation. Encoded authorization "
                f"failure message: {BLOB}", 403),
    ),
}  # fmt: skip
ANSWERS = {
    "a page with HTTP 200": Told(("what answered is not AWS", "AWS_ENDPOINT_URL"), outcome=Response(200, PAGE)),
    "a page with HTTP 403": Told(("what answered is not AWS", "AWS_ENDPOINT_URL"), outcome=Response(403, PAGE)),
    "a page with HTTP 502": Told(("what answered is not AWS", "AWS_ENDPOINT_URL"), outcome=Response(502, PAGE)),
    "XML of something else": Told(("what answered is not AWS",), outcome=Response(200, b"<status>fine</status>")),
    "nothing at all, with HTTP 200": Told(("hint:",), outcome=Response(200, b"")),
    "half of an XML answer": Told(
        ("the connection broke before the answer was whole",), outcome=Response(200, b"<GetCallerIdentityResponse><Get")
    ),
    "half of a JSON answer": Told(
        ("the connection broke before the answer was whole", "looks first"),
        STATUS,
        "ecs",
        "DescribeServices",
        Response(200, b'{"services": [{"serviceArn": "arn:'),
    ),
    "an empty JSON answer": Told(
        ("the connection broke before the answer was whole",), STATUS, "sqs", "GetQueueUrl", Response(200, b"")
    ),
    "an error without a code": Told(
        ("sts.get_caller_identity: ", "what was sent: "), outcome=Response(400, b"<ErrorResponse/>")
    ),
    "a hang-up": Told(("the connection broke before the answer was whole", "looks first"), outcome=Fate.UNDONE),
    "a hang-up after the deed": Told(("the connection broke",), STATUS, "rds", "DescribeDBInstances", Fate.UNANSWERED),
    "an error inside AWS": Told(
        ("an error inside AWS", "health.aws.amazon.com"),
        STATUS,
        "elasticloadbalancing",
        "DescribeLoadBalancers",
        refused("InternalFailure", "We encountered an internal error. Please try again.", 500),
    ),
    "AWS away": Told(
        ("an error inside AWS",), STATUS, "rds", "DescribeDBInstances", refused("ServiceUnavailable", "Away.", 503)
    ),
    "a failure that nobody has met": Told(
        ("rds.describe_db_instances: NeverSeen: a new thing", "what was sent: grep "),
        STATUS,
        "rds",
        "DescribeDBInstances",
        refused("NeverSeen", "a new thing"),
    ),
    "what the laptop cannot do": Told(
        ("the laptop cannot do that", "--env dev"),
        STATUS,
        "rds",
        "DescribeDBInstances",
        refused("NotEmulated", "rds DescribeDBInstances is not emulated on the laptop"),
    ),
    "throttling that does not end": Told(
        ("too many calls in this account", "aws cloudtrail lookup-events"),
        outcome=refused("Throttled", "Rate exceeded"),  # which botocore does not send again
    ),
}
MACHINE = {
    "an unknown profile": Told(
        ("no profile is named 'nobody'", "aws configure list-profiles"), PLAN, variables={"AWS_PROFILE": "nobody"}
    ),
    "no credentials": Told(
        ("there are no credentials", "export AWS_PROFILE=NAME"),
        variables={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ),
    "half of a key pair": Told(
        ("only half of a key pair", "aws configure list"), DOWN, variables={"AWS_SECRET_ACCESS_KEY": ""}
    ),
    "a configuration that cannot be read": Told(
        ("the configuration of the AWS tools cannot be read", "aws configure list"),
        variables={"AWS_CONFIG_FILE": "broken-config"},
    ),
    "a program for credentials that is not there": Told(
        ("come from cannot be used: /nowhere/program", "grep -n credential_process"),
        variables={"AWS_CONFIG_FILE": "absent-program", "AWS_PROFILE": "p"},
    ),
    "a program for credentials that fails": Told(
        ("the source of these credentials gives none", "aws sts get-caller-identity"),
        variables={"AWS_CONFIG_FILE": "failing-program", "AWS_PROFILE": "p"},
    ),
    "an SSO session that nobody began": Told(
        ("the SSO session ran out, or nobody is logged in", "aws sso login"),
        variables={"AWS_CONFIG_FILE": "sso", "AWS_PROFILE": "p"},
    ),
    "an endpoint that is no URL": Told(
        ("AWS_ENDPOINT_URL is no URL", "unset AWS_ENDPOINT_URL"), variables={"AWS_ENDPOINT_URL": "localhost:5000"}
    ),
    "an endpoint with half an address": Told(("AWS_ENDPOINT_URL is no URL",), variables={"AWS_ENDPOINT_URL": "http://[::1"}),
    "an endpoint with no host": Told(("AWS_ENDPOINT_URL is no URL",), variables={"AWS_ENDPOINT_URL": "http://..x/"}),
    "an endpoint where nobody listens": Told(
        ("nothing listens at http://127.0.0.1:1/", "orderops local status"),
        variables={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
    ),
    "TLS to what has none": Told(("not one of AWS's", "AWS_CA_BUNDLE"), variables={"AWS_ENDPOINT_URL": "tls"}),
    "a file of certificates that is not there": Told(
        ("the file of certificates that is named cannot be read", "unset AWS_CA_BUNDLE"),
        variables={"AWS_ENDPOINT_URL": "tls", "AWS_CA_BUNDLE": "/nowhere/ca.pem"},
    ),
    "a proxy that is not there": Told(
        ("the proxy cannot be used", "env | grep -i _proxy"), variables={"HTTP_PROXY": "http://127.0.0.1:1"}
    ),
    "a region that is none": Told(
        ("sydney!", "an AWS region such as ap-southeast-2"),
        ("infra", "plan", "--env", "odd", "--environments", "odd-region"),
    ),
    "an account that is another one's": Told(
        ("these credentials are for account 123456789012", "AWS_PROFILE=NAME"),
        ("infra", "plan", "--env", "odd", "--environments", "odd-account"),
    ),
    "an environment that is not there": Told(("no environment is named 'qa'",), ("status", "--env", "qa")),
}  # fmt: skip
CREATES = {
    "sqs CreateQueue": (refused("OverLimit", "too many"), ("has reached one of its quotas",)),
    "sns CreateTopic": (
        refused("AuthorizationError", f"{USER} SNS:CreateTopic on resource: arn:aws:sns:x:1:alerts", 403),
        ("user/ann may not SNS:CreateTopic", '"Action":"SNS:CreateTopic"'),
    ),
    "rds CreateDBParameterGroup": (
        refused("DBParameterGroupQuotaExceeded", "Cannot create more than 50 parameter groups"),
        ("its quota 'Parameter groups'", "--quota-code L-DE55804A"),
    ),
    "ec2 AllocateAddress": (
        refused("AddressLimitExceeded", "The maximum number of addresses has been reached."),
        ("its quota 'EC2-VPC Elastic IPs'", "L-0263D0A3"),
    ),
    "ecs CreateCluster": (
        refused("AccessDeniedException", f"{USER} iam:CreateServiceLinkedRole on resource: "
                "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"),
        ("the first use of ecs.amazonaws.com", "create-service-linked-role --aws-service-name ecs.amazonaws.com"),
    ),
    "ecr CreateRepository": (
        refused("ServiceQuotaExceededException", "The repository limit has been exceeded"),
        ("its quota 'Registered repositories'", "L-CFEB8E8D"),
    ),
    "elasticloadbalancing CreateTargetGroup": (
        refused("TooManyTargetGroups", "The maximum number of target groups has been reached."),
        ("its quota 'Target Groups per Region'", "L-B22855CB"),
    ),
    "rds CreateDBSubnetGroup": (
        refused("NeverSeenBefore", "something new"),
        ("rds.create_db_subnet_group: NeverSeenBefore: something new", "what was sent: grep "),
    ),
    "iam CreateRole": (
        refused("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", 409),
        ("its quota 'Roles per account'", "L-FE177D64"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def aws_gone_wrong(account: Proxy) -> Proxy:
    account.reset()
    return account


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str],
    aws_gone_wrong: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Orderops]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_gone_wrong.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield Orderops(capsys)
    aws_gone_wrong.forget()


@pytest.mark.parametrize("told", (cases := {**ACCOUNT, **PERMISSIONS, **ANSWERS}).values(), ids=cases.keys())
def test_a_call_that_goes_wrong_is_told(orderops: Orderops, aws_gone_wrong: Proxy, told: Told) -> None:
    assert told.outcome
    aws_gone_wrong.rule = going_wrong({f"{told.service} {told.action}": told.outcome})

    check(orderops(*told.command), told.words)


@pytest.mark.parametrize("told", MACHINE.values(), ids=MACHINE.keys())
def test_a_machine_that_is_not_set_up_is_told(
    orderops: Orderops, aws_gone_wrong: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Told
) -> None:
    make_files(tmp_path)
    for name, value in told.variables.items():
        if name == "AWS_PROFILE":  # keys in the variables would win over it
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        value = aws_gone_wrong.url.replace("http:", "https:") if value == "tls" else value
        monkeypatch.setenv(name, str(tmp_path / value) if name == "AWS_CONFIG_FILE" else value)

    check(orderops(*told.command), told.words)


@pytest.fixture(scope="module")
def one_apply(aws_gone_wrong: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What one `infra apply` says under which many creations are refused, each for a reason of its own."""
    aws_gone_wrong.rule = going_wrong({call: outcome for call, (outcome, _) in CREATES.items()})
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_ENDPOINT_URL", aws_gone_wrong.url)
        patch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path_factory.mktemp("log")))
        try:
            main(list(APPLY))
        except SystemExit as end:
            code = int(end.code or 0)
    aws_gone_wrong.reset()
    return Said(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize(("call", "words"), [(call, words) for call, (_, words) in CREATES.items()], ids=CREATES.keys())
def test_a_step_that_is_refused_is_told_among_others(one_apply: Said, call: str, words: tuple[str, ...]) -> None:
    assert one_apply.code == 1
    assert "Traceback" not in one_apply.err
    blocks = blocks_of(one_apply.err)
    assert any(all(word in block for word in words) for block in blocks), one_apply.err
    assert one_apply.err.splitlines()[-1] == " hint: after that, the same command goes on from here"


def test_a_hint_that_several_steps_share_is_said_once(one_apply: Said) -> None:
    hints = [line for line in one_apply.err.splitlines() if line.startswith("    hint: ")]

    assert len(hints) == len(set(hints))


def test_credentials_that_run_out_in_the_middle_of_a_run_are_told_once(
    orderops: Orderops, aws_gone_wrong: Proxy
) -> None:
    expired = refused("ExpiredToken", "The security token included in the request is expired", 403)
    aws_gone_wrong.rule = after_changes(8, expired)

    said = orderops(*APPLY)
    aws_gone_wrong.reset()

    assert said.code == 1
    assert "Traceback" not in said.err
    assert re.search(r"^(x \S+|error): the credentials ran out$", said.err, re.MULTILINE), said.err
    assert said.err.count("hint: renew them") == 1


def test_what_ec2_encodes_is_decoded_where_that_is_allowed(orderops: Orderops, aws_gone_wrong: Proxy) -> None:
    decoded = {
        "explicitDeny": False,
        "context": {"principal": {"arn": "arn:aws:iam::123456789012:user/ann"}, "action": "ec2:DescribeVpcs"},
    }
    text = json.dumps(decoded).replace('"', "&quot;")
    body = (
        f"<DecodeAuthorizationMessageResponse><DecodeAuthorizationMessageResult><DecodedMessage>{text}</DecodedMessage>"
        "</DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>"
    )
    denied = refused("UnauthorizedOperation", f"No. Encoded authorization failure message: {BLOB}", 403)
    aws_gone_wrong.rule = going_wrong(
        {"ec2 DescribeVpcs": denied, "sts DecodeAuthorizationMessage": Response(200, body.encode())}
    )

    check(orderops(*PLAN), ("user/ann may not ec2:DescribeVpcs", '"Action":"ec2:DescribeVpcs"'))


@pytest.mark.parametrize(
    ("service", "action", "outcome", "words"),
    [
        ("sqs", "ListQueues", refused("AccessDenied", f"{USER} sqs:ListQueues", 403), '"Action":"sqs:ListQueues"'),
        ("ecs", "ListClusters", refused("ExpiredTokenException", "The security token is expired"), "aws sso login"),
        ("iam", "ListRoles", Response(200, PAGE), "AWS_ENDPOINT_URL"),
    ],
)
def test_doctor_tells_what_to_type_for_each_service(
    orderops: Orderops, aws_gone_wrong: Proxy, service: str, action: str, outcome: Outcome, words: str
) -> None:
    aws_gone_wrong.rule = going_wrong({f"{service} {action}": outcome})

    said = orderops("doctor", *DEV)

    lines = said.out.splitlines()
    [place] = [number for number, line in enumerate(lines) if line.startswith(f"missing {service}")]
    assert said.code == 3
    assert lines[place + 1].startswith("        hint: ")
    assert words in lines[place + 1]


def test_a_log_that_cannot_be_written_changes_nothing_but_one_line(
    orderops: Orderops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = orderops(*STATUS)
    (tmp_path / "calls.log").symlink_to("/dev/full")
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path))

    said = orderops(*STATUS)

    assert (said.code, said.out) == (before.code, before.out)
    assert said.err.splitlines() == [
        f"calls are not logged: {tmp_path / 'calls.log'}: {os.strerror(errno.ENOSPC).lower()}"
    ]


def test_a_full_disk_behind_stdout_is_told(aws_gone_wrong: Proxy) -> None:
    with Path("/dev/full").open("w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "orderops", *STATUS],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "AWS_ENDPOINT_URL": aws_gone_wrong.url},
            check=False,
        )

    assert said.returncode == 1
    assert said.stderr.startswith("error: what is written to cannot be used: no space left on device\n hint: ")
    assert "Traceback" not in said.stderr


def check(said: Said, words: tuple[str, ...]) -> None:
    """A refusal as every refusal is, with these words in it."""
    assert "Traceback" not in said.err + said.out
    assert said.code in (1, 2), said.err
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0].startswith(("error: ", "x ")), said.err
    assert any(line.lstrip().startswith("hint: ") for line in lines), said.err
    for word in words:
        assert word in said.err, said.err


def blocks_of(text: str) -> list[str]:
    """The steps that stopped, each with what stands below it; steps with one hint are one block."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("x ") and any(each.startswith("    hint") for each in blocks[-1]):
            blocks.append([])
        blocks[-1].append(line)
    return ["\n".join(block) for block in blocks]


def going_wrong(outcomes: dict[str, Outcome]) -> FaultRule:
    """These calls go wrong, whenever they come."""
    return lambda request: outcomes.get(f"{request.service} {request.action}")


def after_changes(number: int, outcome: Outcome) -> FaultRule:
    """Everything goes wrong after the nth change."""
    seen: list[SeenRequest] = []

    def rule(request: SeenRequest) -> Outcome | None:
        if len(seen) >= number:
            return outcome
        if request.changes:
            seen.append(request)
        return None

    return rule


def make_files(folder: Path) -> None:
    """What the variables and commands above name."""
    (folder / "broken-config").write_text("this is no section\n= neither\n")
    (folder / "absent-program").write_text("[profile p]\ncredential_process = /nowhere/program\n")
    (folder / "failing-program").write_text("[profile p]\ncredential_process = false\n")
    (folder / "sso").write_text(
        "[profile p]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = ap-southeast-2\nsso_start_url = https://nowhere.invalid/start\n"
    )
    plain = (ENVIRONMENTS / "dev.toml").read_text()
    for name, line in (("odd-region", 'region = "sydney!"'), ("odd-account", 'account = "210987654321"')):
        (folder / name).mkdir()
        (folder / name / "odd.toml").write_text(f"{line}\n{plain}")


def test_there_are_more_than_forty_of_them() -> None:
    assert len({**ACCOUNT, **PERMISSIONS, **ANSWERS, **MACHINE, **CREATES}) > 40
