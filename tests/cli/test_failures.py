"""Failures under real commands: each ends with what happened and what to type, never with a traceback."""

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
ANN = "arn:aws:iam::123456789012:user/ann"
USER = f"User: {ANN} is not authorized to perform:"
ENCODED = "4GIOHlTkIaWHQD0Q0m6XSnuUMCmabcEFG0123456789"
Outcome = ApiError | Response | Fate


@dataclass(frozen=True)
class Case:
    """A call that fails under a command, and the texts that have to be on the screen."""

    texts: tuple[str, ...]
    command: tuple[str, ...] = STATUS
    service: str = "sts"
    action: str = "GetCallerIdentity"
    outcome: Outcome | None = None
    variables: dict[str, str] = field(default_factory=dict)


def error(code: str, message: str = "words", status: int = 400) -> ApiError:
    return ApiError(code, message, status)


ACCOUNT = {
    "an expired token": Case(
        ("the credentials have expired", "aws sso login"),
        outcome=error("ExpiredToken", "The security token included in the request is expired", 403),
    ),
    "a token that is expired for the other services": Case(
        ("the credentials have expired", "renew them"),
        STATUS,
        "sqs",
        "GetQueueUrl",
        error("ExpiredTokenException", "The security token included in the request is expired"),
    ),
    "an unknown key": Case(
        ("AWS does not know this access key", "aws configure list"),
        PLAN,
        outcome=error("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    ),
    "a wrong secret key": Case(
        ("the secret key does not belong to the access key", "aws configure"),
        DOWN,
        outcome=error("SignatureDoesNotMatch", "The request signature we calculated does not match", 403),
    ),
    "a wrong clock": Case(
        ("the clock of this machine is 30 min ahead", "timedatectl"),
        outcome=error(
            "SignatureDoesNotMatch",
            "Signature not yet current: 20261112T084500Z is still later than 20261112T082000Z "
            "(20261112T081500Z + 5 min.)",
            403,
        ),
    ),
    "EC2's error for all of these": Case(
        ("EC2 rejects these credentials", "date -u; aws sts get-caller-identity"),
        PLAN,
        "ec2",
        "DescribeVpcs",
        error("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
    ),
    "an account that is not verified": Case(
        ("AWS has not verified this account", "https://console.aws.amazon.com/support"),
        PLAN,
        "ec2",
        "DescribeSubnets",
        error("OptInRequired", "You are not subscribed to this service.", 401),
    ),
    "a suspended account": Case(
        ("suspended", "https://console.aws.amazon.com/support"),
        DOWN,
        "ec2",
        "DescribeVpcs",
        error("Blocked", "This account is currently blocked and not recognized as a valid account."),
    ),
}
PERMISSIONS = {
    "a read that is not allowed": Case(
        (f"permission rds:DescribeDBInstances is missing for {ANN}",
         '{"Effect":"Allow","Action":"rds:DescribeDBInstances"'),
        PLAN,
        "rds",
        "DescribeDBInstances",
        error("AccessDenied", f"{USER} rds:DescribeDBInstances on resource: * because no identity-based policy "
                "allows the rds:DescribeDBInstances action", 403),
    ),
    "an explicit deny": Case(
        ("explicitly denies elasticloadbalancing:DescribeLoadBalancers", "simulate-principal-policy"),
        PLAN,
        "elasticloadbalancing",
        "DescribeLoadBalancers",
        error("AccessDenied", f"{USER} elasticloadbalancing:DescribeLoadBalancers on resource: * with an explicit "
                "deny in an identity-based policy", 403),
    ),
    "a permissions boundary": Case(
        (f"the permissions boundary of {ANN}", "aws iam get-user --user-name ann"),
        PLAN,
        "ecs",
        "DescribeClusters",
        error("AccessDeniedException", f"{USER} ecs:DescribeClusters on resource: * because no permissions boundary "
                "allows the ecs:DescribeClusters action"),
    ),
    "the organization": Case(
        ("the organization does not allow sqs:ListQueues", "ask the organization's administrators"),
        PLAN,
        "sqs",
        "ListQueues",
        error("AccessDenied", f"{USER} sqs:ListQueues on resource: * because no service control policy allows the "
                "sqs:ListQueues action", 403),
    ),
    "a denial without details": Case(
        ("permission rds:DescribeDBInstances is missing for these credentials", '"Action":"rds:DescribeDBInstances"'),
        DOWN,
        "rds",
        "DescribeDBInstances",
        error("AccessDenied", "Access Denied", 403),
    ),
    "an encoded denial that may not be decoded": Case(
        ("permission ec2:DescribeVpcs is missing",
         f"aws sts decode-authorization-message --query DecodedMessage --output text --encoded-message {ENCODED}"),
        PLAN,
        "ec2",
        "DescribeVpcs",
        error("UnauthorizedOperation", f"You are not authorized to perform this operation. Encoded authorization "
                f"failure message: {ENCODED}", 403),
    ),
}  # fmt: skip
BROKEN = "the connection broke before the response was complete"
RESPONSES = {
    "a page with HTTP 200": Case(("the response is not from AWS", "AWS_ENDPOINT_URL"), outcome=Response(200, PAGE)),
    "a page with HTTP 403": Case(("the response is not from AWS", "AWS_ENDPOINT_URL"), outcome=Response(403, PAGE)),
    "a page with HTTP 502": Case(("the response is not from AWS", "AWS_ENDPOINT_URL"), outcome=Response(502, PAGE)),
    "XML of something else": Case(("the response is not from AWS",), outcome=Response(200, b"<status>fine</status>")),
    "nothing at all, with HTTP 200": Case(("hint:",), outcome=Response(200, b"")),
    "half of an XML answer": Case(
        (BROKEN,),
        outcome=Response(200, b"<GetCallerIdentityResponse><Get"),
    ),
    "half of a JSON answer": Case(
        (BROKEN, "checks what exists"),
        STATUS,
        "ecs",
        "DescribeServices",
        Response(200, b'{"services": [{"serviceArn": "arn:'),
    ),
    "an empty JSON answer": Case((BROKEN,), STATUS, "sqs", "GetQueueUrl", Response(200, b"")),
    "an error without a code": Case(
        ("sts.get_caller_identity: ", "what was sent: "), outcome=Response(400, b"<ErrorResponse/>")
    ),
    "a hang-up before the call took effect": Case((BROKEN, "checks what exists"), outcome=Fate.UNDONE),
    "a hang-up after the call took effect": Case(
        ("the connection broke",), STATUS, "rds", "DescribeDBInstances", Fate.UNANSWERED
    ),
    "an error inside AWS": Case(
        ("an error inside AWS", "health.aws.amazon.com"),
        STATUS,
        "elasticloadbalancing",
        "DescribeLoadBalancers",
        error("InternalFailure", "We encountered an internal error. Please try again.", 500),
    ),
    "AWS unavailable": Case(
        ("an error inside AWS",), STATUS, "rds", "DescribeDBInstances", error("ServiceUnavailable", "Away.", 503)
    ),
    "an unknown error": Case(
        ("rds.describe_db_instances: NeverSeen: a new thing", "what was sent: grep "),
        STATUS,
        "rds",
        "DescribeDBInstances",
        error("NeverSeen", "a new thing"),
    ),
    "an operation that is not emulated": Case(
        ("the laptop's emulator does not support this", "--env dev"),
        STATUS,
        "rds",
        "DescribeDBInstances",
        error("NotEmulated", "rds DescribeDBInstances is not emulated on the laptop"),
    ),
    "throttling that does not end": Case(
        ("too many calls in this account", "aws cloudtrail lookup-events"),
        outcome=error("Throttled", "Rate exceeded"),  # a code that botocore does not retry
    ),
}
MACHINE = {
    "an unknown profile": Case(
        ("no AWS profile named 'absent'", "aws configure list-profiles"), PLAN, variables={"AWS_PROFILE": "absent"}
    ),
    "no credentials": Case(
        ("no AWS credentials found", "export AWS_PROFILE=NAME"),
        variables={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ),
    "half of an access key pair": Case(
        ("only half of an access key pair", "aws configure list"), DOWN, variables={"AWS_SECRET_ACCESS_KEY": ""}
    ),
    "a configuration that cannot be read": Case(
        ("the configuration of the AWS tools cannot be read", "aws configure list"),
        variables={"AWS_CONFIG_FILE": "broken-config"},
    ),
    "a missing program for credentials": Case(
        ("provides these credentials cannot be used: /nowhere/program", "grep -nE 'credential_process"),
        variables={"AWS_CONFIG_FILE": "absent-program", "AWS_PROFILE": "p"},
    ),
    "a program for credentials that fails": Case(
        ("the source of these credentials returned none", "aws sts get-caller-identity"),
        variables={"AWS_CONFIG_FILE": "failing-program", "AWS_PROFILE": "p"},
    ),
    "an SSO session that was never started": Case(
        ("the SSO session has expired, or there is none", "aws sso login"),
        variables={"AWS_CONFIG_FILE": "sso", "AWS_PROFILE": "p"},
    ),
    "an endpoint that is not a URL": Case(
        ("AWS_ENDPOINT_URL is not a URL", "unset AWS_ENDPOINT_URL"), variables={"AWS_ENDPOINT_URL": "localhost:5000"}
    ),
    "an endpoint with half an address": Case(("AWS_ENDPOINT_URL is not a URL",), variables={"AWS_ENDPOINT_URL": "http://[::1"}),
    "an endpoint with no host": Case(("AWS_ENDPOINT_URL is not a URL",), variables={"AWS_ENDPOINT_URL": "http://..x/"}),
    "an endpoint where nothing listens": Case(
        ("nothing listens at http://127.0.0.1:1/", "orderops local status"),
        variables={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
    ),
    "TLS to a server without": Case(("not one of AWS's", "AWS_CA_BUNDLE"), variables={"AWS_ENDPOINT_URL": "tls"}),
    "a missing CA bundle": Case(
        ("the configured CA bundle cannot be read", "unset AWS_CA_BUNDLE"),
        variables={"AWS_ENDPOINT_URL": "tls", "AWS_CA_BUNDLE": "/nowhere/ca.pem"},
    ),
    "a missing proxy": Case(
        ("the proxy cannot be used", "env | grep -i _proxy"), variables={"HTTP_PROXY": "http://127.0.0.1:1"}
    ),
    "an unknown region": Case(
        ("sydney!", "an AWS region such as ap-southeast-2"),
        ("infra", "plan", "--env", "odd", "--environments", "odd-region"),
    ),
    "another account": Case(
        ("these credentials are for account 123456789012", "AWS_PROFILE=NAME"),
        ("infra", "plan", "--env", "odd", "--environments", "odd-account"),
    ),
    "an unknown environment": Case(("no environment named 'qa'",), ("status", "--env", "qa")),
}  # fmt: skip
CREATES = {
    "sqs CreateQueue": (error("OverLimit", "too many"), ("has reached one of its sqs quotas",)),
    "sns CreateTopic": (
        error("AuthorizationError", f"{USER} SNS:CreateTopic on resource: arn:aws:sns:x:1:alerts", 403),
        (f"permission SNS:CreateTopic is missing for {ANN}", '"Action":"SNS:CreateTopic"'),
    ),
    "rds CreateDBParameterGroup": (
        error("DBParameterGroupQuotaExceeded", "Cannot create more than 50 parameter groups"),
        ("its quota 'Parameter groups'", "--quota-code L-DE55804A"),
    ),
    "ec2 AllocateAddress": (
        error("AddressLimitExceeded", "The maximum number of addresses has been reached."),
        ("its quota 'EC2-VPC Elastic IPs'", "L-0263D0A3"),
    ),
    "ecs CreateCluster": (
        error("AccessDeniedException", f"{USER} iam:CreateServiceLinkedRole on resource: "
                "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"),
        ("the first use of ecs.amazonaws.com", "create-service-linked-role --aws-service-name ecs.amazonaws.com"),
    ),
    "ecr CreateRepository": (
        error("ServiceQuotaExceededException", "The repository limit has been exceeded"),
        ("its quota 'Registered repositories'", "L-CFEB8E8D"),
    ),
    "elasticloadbalancing CreateTargetGroup": (
        error("TooManyTargetGroups", "The maximum number of target groups has been reached."),
        ("its quota 'Target Groups per Region'", "L-B22855CB"),
    ),
    "rds CreateDBSubnetGroup": (
        error("NeverSeenBefore", "something new"),
        ("rds.create_db_subnet_group: NeverSeenBefore: something new", "what was sent: grep "),
    ),
    "iam CreateRole": (
        error("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", 409),
        ("its quota 'Roles per account'", "L-FE177D64"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def faulty_aws(account: Proxy) -> Proxy:
    account.reset()
    return account


@pytest.fixture
def orderops(
    capsys: pytest.CaptureFixture[str],
    faulty_aws: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Orderops]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty_aws.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield Orderops(capsys)
    faulty_aws.forget()


@pytest.mark.parametrize("case", (cases := {**ACCOUNT, **PERMISSIONS, **RESPONSES}).values(), ids=cases.keys())
def test_a_failed_call_is_explained(orderops: Orderops, faulty_aws: Proxy, case: Case) -> None:
    assert case.outcome
    faulty_aws.rule = failing({f"{case.service} {case.action}": case.outcome})

    check(orderops(*case.command), case.texts)


@pytest.mark.parametrize("case", MACHINE.values(), ids=MACHINE.keys())
def test_a_machine_that_is_not_set_up_is_explained(
    orderops: Orderops, faulty_aws: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: Case
) -> None:
    make_files(tmp_path)
    for name, value in case.variables.items():
        if name == "AWS_PROFILE":  # access keys in the environment take precedence over it
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        value = faulty_aws.url.replace("http:", "https:") if value == "tls" else value
        monkeypatch.setenv(name, str(tmp_path / value) if name == "AWS_CONFIG_FILE" else value)

    check(orderops(*case.command), case.texts)


@pytest.fixture(scope="module")
def one_apply(faulty_aws: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """The output of one `infra apply` under which many creates fail, each for another reason."""
    faulty_aws.rule = failing({call: outcome for call, (outcome, _) in CREATES.items()})
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_ENDPOINT_URL", faulty_aws.url)
        patch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path_factory.mktemp("log")))
        try:
            main(list(APPLY))
        except SystemExit as end:
            code = int(end.code or 0)
    faulty_aws.reset()
    return Said(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize(("call", "texts"), [(call, texts) for call, (_, texts) in CREATES.items()], ids=CREATES.keys())
def test_every_failed_step_of_a_run_is_explained(one_apply: Said, call: str, texts: tuple[str, ...]) -> None:
    assert one_apply.code == 1
    assert "Traceback" not in one_apply.err
    blocks = blocks_of(one_apply.err)
    assert any(all(text in block for text in texts) for block in blocks), one_apply.err
    assert one_apply.err.splitlines()[-1] == " hint: fix the cause, then re-run this command to continue"


def test_a_hint_that_several_steps_share_is_printed_once(one_apply: Said) -> None:
    hints = [line for line in one_apply.err.splitlines() if line.startswith("    hint: ")]

    assert len(hints) == len(set(hints))


def test_credentials_that_expire_during_a_run_are_reported_once(orderops: Orderops, faulty_aws: Proxy) -> None:
    expired = error("ExpiredToken", "The security token included in the request is expired", 403)
    faulty_aws.rule = after_changes(8, expired)

    result = orderops(*APPLY)
    faulty_aws.reset()

    assert result.code == 1
    assert "Traceback" not in result.err
    assert re.search(r"^(x \S+|error): the credentials have expired$", result.err, re.MULTILINE), result.err
    assert result.err.count("hint: renew them") == 1


def test_an_encoded_denial_is_decoded_where_that_is_allowed(orderops: Orderops, faulty_aws: Proxy) -> None:
    decoded = {
        "explicitDeny": False,
        "context": {"principal": {"arn": "arn:aws:iam::123456789012:user/ann"}, "action": "ec2:DescribeVpcs"},
    }
    text = json.dumps(decoded).replace('"', "&quot;")
    body = (
        f"<DecodeAuthorizationMessageResponse><DecodeAuthorizationMessageResult><DecodedMessage>{text}</DecodedMessage>"
        "</DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>"
    )
    denied = error("UnauthorizedOperation", f"No. Encoded authorization failure message: {ENCODED}", 403)
    faulty_aws.rule = failing(
        {"ec2 DescribeVpcs": denied, "sts DecodeAuthorizationMessage": Response(200, body.encode())}
    )

    check(
        orderops(*PLAN),
        (
            "permission ec2:DescribeVpcs is missing for arn:aws:iam::123456789012:user/ann",
            '"Action":"ec2:DescribeVpcs"',
        ),
    )


@pytest.mark.parametrize(
    ("service", "action", "outcome", "text"),
    [
        ("sqs", "ListQueues", error("AccessDenied", f"{USER} sqs:ListQueues", 403), '"Action":"sqs:ListQueues"'),
        ("ecs", "ListClusters", error("ExpiredTokenException", "The security token is expired"), "aws sso login"),
        ("iam", "ListRoles", Response(200, PAGE), "AWS_ENDPOINT_URL"),
    ],
)
def test_doctor_prints_a_hint_for_each_service(
    orderops: Orderops, faulty_aws: Proxy, service: str, action: str, outcome: Outcome, text: str
) -> None:
    faulty_aws.rule = failing({f"{service} {action}": outcome})

    result = orderops("doctor", *DEV)

    lines = result.out.splitlines()
    [index] = [number for number, line in enumerate(lines) if line.startswith(f"missing {service}")]
    assert result.code == 3
    assert lines[index + 1].startswith("        hint: ")
    assert text in lines[index + 1]


def test_a_log_that_cannot_be_written_adds_one_line_to_the_output(
    orderops: Orderops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = orderops(*STATUS)
    (tmp_path / "calls.log").symlink_to("/dev/full")
    monkeypatch.setenv("ORDEROPS_LOG_DIRECTORY", str(tmp_path))

    result = orderops(*STATUS)

    assert (result.code, result.out) == (before.code, before.out)
    assert result.err.splitlines() == [
        f"calls are not logged: {tmp_path / 'calls.log'}: {os.strerror(errno.ENOSPC).lower()}"
    ]


LIST = ("env", "list", "--environments", str(ENVIRONMENTS))
PRINTING = {"a report": STATUS, "a list": LIST, "JSON": (*LIST, "--json"), "the version": ("--version",)}


@pytest.mark.parametrize("argv", PRINTING.values(), ids=PRINTING)
def test_a_full_disk_behind_stdout_is_an_error(faulty_aws: Proxy, argv: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        result = started(argv, AWS_ENDPOINT_URL=faulty_aws.url, stdout=full.fileno())

    check_disk_error(result)


def test_a_full_disk_behind_an_unbuffered_stdout_is_an_error() -> None:
    with Path("/dev/full").open("w") as full:
        result = started(LIST, PYTHONUNBUFFERED="1", stdout=full.fileno())

    check_disk_error(result)


@pytest.mark.parametrize("argv", [LIST, (*LIST, "--json")], ids=["a list", "JSON"])
def test_a_pipe_without_a_reader_ends_the_command_in_silence(argv: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = started(argv, stdout=writer)
    os.close(writer)

    assert (result.returncode, result.stderr) == (1, "")


def test_a_command_without_a_stdout_ends_as_with_one() -> None:
    result = started((*LIST, "--json"), shell='exec "$@" >&-')

    assert (result.returncode, result.stderr) == (0, "")


def started(
    argv: tuple[str, ...], *, stdout: int | None = None, shell: str = 'exec "$@"', **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which buffers its output as Python does by default."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "orderops", *argv],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, **variables},
        check=False,
    )


def check_disk_error(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 1
    assert result.stderr.startswith("error: the output cannot be used: no space left on device\n hint: ")
    assert len(result.stderr.splitlines()) == 2


def check(result: Said, texts: tuple[str, ...]) -> None:
    """Check the form that every error has, and that these texts are in it."""
    assert "Traceback" not in result.err + result.out
    assert result.code in (1, 2), result.err
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines[0].startswith(("error: ", "x ")), result.err
    assert any(line.lstrip().startswith("hint: ") for line in lines), result.err
    for text in texts:
        assert text in result.err, result.err


def blocks_of(text: str) -> list[str]:
    """The failed steps, each with the lines below it. Steps that share a hint are one block."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("x ") and any(last.startswith("    hint") for last in blocks[-1]):
            blocks.append([])
        blocks[-1].append(line)
    return ["\n".join(block) for block in blocks]


def failing(outcomes: dict[str, Outcome]) -> FaultRule:
    """Fail these calls, always."""
    return lambda request: outcomes.get(f"{request.service} {request.action}")


def after_changes(number: int, outcome: Outcome) -> FaultRule:
    """Fail every call after the nth change."""
    seen: list[SeenRequest] = []

    def rule(request: SeenRequest) -> Outcome | None:
        if len(seen) >= number:
            return outcome
        if request.changes:
            seen.append(request)
        return None

    return rule


def make_files(folder: Path) -> None:
    """Write the files that the variables and commands above name."""
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


def test_more_than_forty_failures_are_tried() -> None:
    assert len({**ACCOUNT, **PERMISSIONS, **RESPONSES, **MACHINE, **CREATES}) > 40
