"""The calls of all workflows: on file, allowed by the policies, and allowed as narrowly as possible.

`ORDEROPS_RECORD=1 pytest -m slow tests/iam/test_recorded_calls.py` records the calls again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import orderops
from orderops.aws.translate import SentCall, aws_error
from orderops.errors import Meaning
from orderops.iam.actions import NOT_RECORDED, actions_for, actions_of, calls
from orderops.iam.persona import Persona
from support.policy_account import CALLER, Account, denial
from support.policy_evaluation import allowing
from support.policy_fixtures import account_with_iam
from support.policy_requests import Question
from support.policy_workflows import Operator, run_all_workflows

# A pipeline may delete no image, and releases without the call.
WITHOUT = {"ecr:BatchDeleteImage"}
FILE = Path(orderops.__file__).parent / "iam" / "recorded_calls.json"
RECORD = "ORDEROPS_RECORD" in os.environ
RECORD_AGAIN = "record the calls again: ORDEROPS_RECORD=1 pytest -m slow tests/iam/test_recorded_calls.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which operators ran all workflows, with the permissions of their policies."""
    with account_with_iam() as account:
        run_all_workflows(
            Operator(account, tmp_path_factory.mktemp("environments"), None if RECORD else Persona.OPERATOR)
        )
        if RECORD:
            recorded = {call: sorted(commands - {""}) for call, commands in sorted(account.called.items())}
            FILE.write_text(json.dumps(recorded, indent=2) + "\n")
            calls.cache_clear()
        yield account


def test_every_call_of_the_workflows_is_on_file(account: Account) -> None:
    unknown = sorted(
        f"{call} by {command}"
        for call, commands in account.called.items()
        for persona in Persona
        for command in commands & set(persona.commands)
        if call not in WITHOUT and not actions_of(call) - {"sts:GetCallerIdentity"} <= actions_for(persona.commands)
    )

    assert unknown == [], f"the policies do not know these calls; {RECORD_AGAIN}"
    assert account.called.keys() - calls().keys() == set(), f"these calls are not on file; {RECORD_AGAIN}"


def test_every_call_on_file_is_still_made(account: Account) -> None:
    assert calls().keys() - account.called.keys() == set(), f"no workflow makes these calls any more; {RECORD_AGAIN}"


def test_calls_declared_as_not_recorded_are_not_recorded(account: Account) -> None:
    recorded = {
        f"{call} by {command}"
        for call, (commands, _) in NOT_RECORDED.items()
        for command in commands
        if command in account.called.get(call, ())
    }

    assert recorded == set(), "these are recorded after all: remove them from NOT_RECORDED"


def test_the_operators_policies_allow_all_workflows(account: Account) -> None:
    assert account.denied == []


@pytest.mark.skipif(RECORD, reason="no policy is evaluated while calls are recorded")
def test_no_permission_for_one_resource_is_granted_on_all(account: Account) -> None:
    assert account.wide == set()


@pytest.mark.skipif(RECORD, reason="no policy is evaluated while calls are recorded")
def test_no_permission_is_granted_without_need(account: Account) -> None:
    used = {action for action, _ in account.used}
    not_recorded = {action for call in NOT_RECORDED for action in actions_of(call)}

    assert actions_for(Persona.OPERATOR.commands) - used - not_recorded == NOT_CHECKED


@pytest.mark.skipif(RECORD, reason="no policy is evaluated while calls are recorded")
def test_every_denied_permission_is_reported_with_the_statement_to_add(account: Account) -> None:
    """With AWS's message for each permission that was needed; test_enforced.py does so under real commands."""
    unexplained = {
        action for action, (service, question) in account.needed.items() if not fixed_by_hint(service, question)
    }

    assert unexplained == {"iam:CreateServiceLinkedRole"}  # the hint is to create the role, once for each account
    assert len(account.needed) > 150


def fixed_by_hint(service: str, question: Question) -> bool:
    """Return whether the statement in the hint would allow the denied call."""
    denied = denial(service, question)
    call = SentCall(service, "some_call", {}, "ap-southeast-2", "dev")
    error = aws_error(call, denied.code, denied.message, Meaning.NO)
    assert (
        f"permission {question.action} is missing for {CALLER}" in error.explanation
        or "service-linked role" in error.explanation
    )
    statement = error.hint.partition("add to its policies: ")[2]
    return bool(statement) and bool(allowing(question, [{"Statement": [{"Sid": "Hint", **json.loads(statement)}]}]))


NOT_CHECKED = {
    "ec2:DescribeAccountAttributes",  # RDS checks this for the caller; the emulator does not
}
