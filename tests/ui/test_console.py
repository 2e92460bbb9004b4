"""The terminal output of plans, errors, status and progress."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from orderops.engine.resource import Effect, Leftover, PendingChange
from orderops.engine.step import Action, Step
from orderops.errors import AwsError, Meaning, OrderopsError, ReplacementRequired, Unfinished
from orderops.text.durations import in_words
from orderops.ui import console
from orderops.ui import status as terminal_status
from orderops.ui.commands import about_the_laptop, repeating
from orderops.ui.progress import Progress


def test_an_error_shows_its_cause_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(OrderopsError("no environment named 'qa'", "available: dev, prod"))

    assert capsys.readouterr().err == "error: no environment named 'qa'\n hint: available: dev, prod\n"


def test_emoji_codes_in_names_are_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    arn = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:orderops/dev/database"

    console.data(arn)
    console.info(arn)

    assert capsys.readouterr() == (f"{arn}\n", f"{arn}\n")


def test_a_hint_of_several_failed_steps_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    expired = {address: OrderopsError("the token expired", "renew it") for address in ("thing/b", "thing/a")}

    console.show_unfinished(Unfinished({**expired, "thing/c": OrderopsError("is there", "--adopt thing/c")}, 4))

    assert capsys.readouterr().err.splitlines() == [
        "x thing/a: the token expired",
        "x thing/b: the token expired",
        "    hint: renew it",
        "x thing/c: is there",
        "    hint: --adopt thing/c",
        "error: 3 steps failed, 4 are blocked by them; the rest is done",
        " hint: fix the cause, then re-run this command to continue",
    ]


EXPIRED = "The security token included in the request is expired"


def expired(call: str) -> AwsError:
    return AwsError(
        call, "ExpiredToken", EXPIRED, Meaning.NO, explanation="the credentials ran out", hint="aws sso login"
    )


def test_the_meaning_of_a_failure_comes_before_the_message_of_aws(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(expired("sts.get_caller_identity"))

    assert capsys.readouterr().err.splitlines() == [
        "error: the credentials ran out",
        f"       sts.get_caller_identity: ExpiredToken: {EXPIRED}",
        " hint: aws sso login",
    ]


def test_a_message_of_aws_for_several_steps_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    steps = {address: expired("sqs.create_queue") for address in ("thing/b", "thing/a")}

    console.show_unfinished(Unfinished(steps, 0))

    assert capsys.readouterr().err.splitlines()[:4] == [
        "x thing/a: the credentials ran out",
        "x thing/b: the credentials ran out",
        f"    sqs.create_queue: ExpiredToken: {EXPIRED}",
        "    hint: aws sso login",
    ]


def test_sentences_wrap_at_words_on_a_terminal_and_commands_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(
        console, "err", Console(file=written, force_terminal=True, no_color=True, soft_wrap=True, width=40)
    )
    refused = AwsError(
        "sqs.create_queue", "OverLimit", "so many that it is too many", Meaning.NO, explanation="it " * 20
    )

    console.show_error(refused)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", written.getvalue()).splitlines()
    assert lines[0] == "error: it it it it it it it it it it it"
    assert all(line.startswith("       ") and len(line) <= 40 for line in lines[1:])
    assert "sqs.create_queue:" in lines[2]


def test_data_wraps_at_words_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "  [bold]users[/]  4 only in live, 2 only in restored"
    console.out_folded(line)
    console.out_cut(line)
    written = io.StringIO()
    monkeypatch.setattr(
        console, "out", Console(file=written, force_terminal=True, no_color=True, soft_wrap=True, width=30)
    )
    console.out_folded(line)
    console.out_cut(line)

    assert capsys.readouterr().out.splitlines() == ["  users  4 only in live, 2 only in restored"] * 2
    assert re.sub(r"\x1b\[[0-9;]*m", "", written.getvalue()).splitlines() == [
        "  users  4 only in live, 2",
        "    only in restored",
        "  users  4 only in live, 2 on…",
    ]


def test_a_failed_plan_does_not_claim_that_the_rest_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_unfinished(Unfinished({"thing/a": OrderopsError("may not be read")}, 2, dry_run=True))

    assert "error: 1 step failed, 2 are blocked by it; nothing was changed" in capsys.readouterr().err


def test_a_plan_shows_both_values_of_every_property(capsys: pytest.CaptureFixture[str]) -> None:
    queue = Step("sqs-queue/orders", Action.UPDATE, {"VisibilityTimeout": (30, 45)})
    rules = {"Ingress": (["tcp 5432 from 0.0.0.0/0", "tcp 80 from sg-1"], ["tcp 80 from sg-1"])}
    group = Step("ec2-security-group/database", Action.UPDATE, rules, Effect.INTERRUPTS)

    console.show_plan([queue, group, Step("ec2-vpc/vpc", Action.NO_OP)])

    assert capsys.readouterr().out.splitlines() == [
        "~ update ec2-security-group/database  interrupts",
        "    Ingress: - tcp 5432 from 0.0.0.0/0",
        "~ update sqs-queue/orders",
        "    VisibilityTimeout: 30 -> 45",
    ]


def test_a_plan_shows_the_error_and_hint_of_a_refused_step(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = ReplacementRequired("StorageEncrypted cannot be changed on an existing resource", "keep it as it is")
    step = Step("rds-instance/db", Action.UPDATE, {"StorageEncrypted": (True, False)}, Effect.REPLACES, refusal)

    console.show_plan([step])

    assert (
        "    refused: StorageEncrypted cannot be changed on an existing resource\n    hint: keep it as it is"
        in capsys.readouterr().out
    )


UNEXPLAINED: dict[str, Any] = {
    "priority": None,
    "cause_component": None,
    "since": None,
    "last_change": None,
    "notes": [],
    "denied": [],
}
"""Of a status that names no cause."""
WAITING = PendingChange(
    "DBInstanceClass",
    "DBInstanceClass db.t3.micro -> db.t3.medium",
    Effect.INTERRUPTS,
    "the maintenance window sun:17:00-sun:17:30",
    "aws rds modify-db-instance --db-instance-identifier orders --db-instance-class db.t3.medium --apply-immediately",
)


def test_a_plan_shows_what_aws_holds_back_and_the_command_that_carries_it_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show_plan([Step("rds-instance/orders", Action.NO_OP, pending=(WAITING,))])

    assert capsys.readouterr().out.splitlines() == [
        "! pending rds-instance/orders: DBInstanceClass db.t3.micro -> db.t3.medium waits for the maintenance window "
        "sun:17:00-sun:17:30  interrupts",
        f"    now: {WAITING.command}",
    ]


def test_a_plan_shows_the_pending_changes_that_a_step_carries_out(capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"EnableIAMDatabaseAuthentication": (False, True)}
    console.show_plan([Step("rds-instance/orders", Action.UPDATE, changes, Effect.INTERRUPTS, carried=(WAITING,))])

    assert capsys.readouterr().out.splitlines() == [
        "~ update rds-instance/orders  interrupts",
        "    EnableIAMDatabaseAuthentication: false -> true",
        "    also carries out, now: DBInstanceClass db.t3.micro -> db.t3.medium  interrupts",
    ]


def test_pending_changes_of_a_plan_have_stable_keys_in_json() -> None:
    idle = Step("rds-instance/orders", Action.NO_OP, pending=(WAITING,))

    document = console.plan_json("dev", [idle], [])

    (pending,) = document["pending"]
    assert pending == {
        "address": "rds-instance/orders",
        "what": WAITING.what,
        "class": "interrupts",
        "until": WAITING.until,
        "command": WAITING.command,
    }


def test_the_status_shows_what_aws_holds_back(capsys: pytest.CaptureFixture[str]) -> None:
    status: dict[str, Any] = {
        "environment": "dev",
        "verdict": "healthy",
        **UNEXPLAINED,
        "cause": "",
        "urls": {},
        "next": "",
        "secrets": [],
        "restorable_until": None,
        "runs": [],
        "proven_restore": None,
    }
    components = [{"name": "database", "state": "ok", "detail": "postgres [16]", "waits_on": None}]

    terminal_status.show_status(
        {**status, "components": components, "pending": [{"name": "database", **WAITING.to_dict()}]}
    )

    assert capsys.readouterr().out.splitlines()[2:4] == [
        "pending: database: DBInstanceClass db.t3.micro -> db.t3.medium waits for the maintenance window "
        "sun:17:00-sun:17:30 (interrupts)",
        f"    now: {WAITING.command}",
    ]


def test_square_brackets_in_names_are_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(OrderopsError("key [bold]x[/] is unknown"))

    assert "[bold]x[/]" in capsys.readouterr().err


def test_a_long_line_stays_whole_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    console.data("x" * 300)

    assert capsys.readouterr().out == "x" * 300 + "\n"


@pytest.mark.parametrize(
    ("duration", "said"),
    [(4, "4 s"), (190, "3 min 10 s"), (180, "3 min"), (7500, "2 h 5 min"), (timedelta(minutes=8), "8 min")],
)
def test_a_duration_is_written_in_words(duration: float | timedelta, said: str) -> None:
    assert in_words(duration) == said


def test_progress_without_a_terminal_consists_of_plain_lines() -> None:
    written = io.StringIO()
    with Progress(console=Console(file=written)) as progress:
        progress.watch("sqs-queue/orders", "")
        progress.done(Step("sqs-queue/orders", Action.CREATE))
        progress.done(Step("ec2-vpc/vpc", Action.NO_OP))

    assert written.getvalue() == "+ sqs-queue/orders created\n"


def test_an_id_that_repeats_the_name_is_omitted(capsys: pytest.CaptureFixture[str]) -> None:
    listener = "arn:aws:elasticloadbalancing:ap-southeast-2:123456789012:listener/app/orders/fe05/35e1"

    console.show_plan(
        [
            Step("elbv2-listener/orders:80", Action.DELETE, note=listener),
            Step("ec2-vpc/orders", Action.DELETE, note="vpc-1"),
            Step("ec2-subnet/orders", Action.KEEP, note="rds-instance/orders needs it"),
        ]
    )

    assert capsys.readouterr().out.splitlines() == [
        "- delete ec2-vpc/orders  vpc-1",
        "- delete elbv2-listener/orders:80",
        "= keep ec2-subnet/orders  rds-instance/orders needs it",
    ]


def test_a_component_takes_one_unwrapped_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    detail = "0 of 2 tasks, revision 7; last stop: Essential container in task exited (exit code 1, after 12 s)"
    components = [
        {"name": "database", "state": "ok", "detail": "postgres 16", "waits_on": None},
        {"name": "service orders", "state": "down", "detail": detail, "waits_on": None},
    ]

    told: dict[str, Any] = {
        "environment": "dev",
        "verdict": "down",
        **UNEXPLAINED,
        "components": components,
        "cause": "",
        "urls": {},
        "next": "",
        "secrets": [],
        "restorable_until": None,
        "runs": [],
        "pending": [],
    }

    terminal_status.show_status({**told, "proven_restore": None})

    assert capsys.readouterr().out.splitlines() == [
        "dev is down",
        "database        ok    postgres 16",
        f"service orders  down  {detail}",
        "no restore drill yet; run: orderops restore drill --env dev",
    ]


def test_control_characters_in_a_status_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "failed: \x1b[2J[bold]gone[/]"
    run = {"command": hostile, "who": hostile, "host": hostile, "since": "2026-11-10T08:00:00.000Z"}
    told: dict[str, Any] = {
        "environment": "dev",
        "verdict": "down",
        **UNEXPLAINED,
        "cause": hostile,
        "urls": {"url": hostile},
        "next": "",
        "secrets": [],
        "restorable_until": None,
        "runs": [run],
        "pending": [{"name": hostile, "what": hostile, "until": hostile, "class": hostile, "command": hostile}],
    }

    components = [{"name": "balancer", "state": "down", "detail": hostile, "waits_on": None}]
    terminal_status.show_status({**told, "components": components, "proven_restore": None})

    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[1] == "balancer  down  failed: ?[2J[bold]gone[/]"
    assert lines[2].startswith("run:   `failed: ?[2J[bold]gone[/]` by failed: ?[2J")


def test_the_last_line_shows_the_age_of_the_last_restore_drill(capsys: pytest.CaptureFixture[str]) -> None:
    ago = (datetime.now(UTC) - timedelta(days=3, hours=1)).isoformat()
    told: dict[str, Any] = {
        "environment": "dev",
        "verdict": "healthy",
        **UNEXPLAINED,
        "components": [],
        "cause": "",
        "urls": {},
        "next": "",
        "secrets": [],
        "restorable_until": None,
        "runs": [],
        "pending": [],
    }

    terminal_status.show_status(
        {
            **told,
            "components": [{"name": "database", "state": "ok", "detail": "", "waits_on": None}],
            "restorable_until": None,
            "proven_restore": {"started": ago, "recovery_seconds": 454.0},
        }
    )

    assert capsys.readouterr().out.splitlines()[-1] == "last proven restore 3 days ago, in 7 min 34 s"


def test_the_command_that_removes_what_is_left_behind_reaches_the_laptop_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    leftover = Leftover("snapshot", "aws rds delete-db-snapshot --db-snapshot-identifier NAME", ("one",))

    with repeating((), lambda _word: {}):
        about_the_laptop()
        console.show_leftovers([leftover])

    line = capsys.readouterr().err.splitlines()[-1].strip()
    assert line == 'eval "$(orderops local env)"; aws rds delete-db-snapshot --db-snapshot-identifier one'
