"""The policies are written from the calls that are made: recorded here, and every one of them allowed, and narrowly.

`ORDEROPS_RECORD=1 pytest -m slow tests/iam/test_recorded_calls.py` records the calls anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import orderops
from orderops.aws.translate import Sent, refusal
from orderops.errors import Meaning
from orderops.iam.actions import UNHEARD, Persona, actions_for, actions_of, calls
from support.policy_account import WHO, Account, denial
from support.policy_evaluation import allowing
from support.policy_fixtures import weighing
from support.policy_requests import Asked
from support.policy_workflows import Operator, everything

FILE = Path(orderops.__file__).parent / "iam" / "recorded_calls.json"
RECORD = "ORDEROPS_RECORD" in os.environ
ANEW = "record the calls anew: ORDEROPS_RECORD=1 pytest -m slow tests/iam/test_recorded_calls.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One in which operators did everything, with no more than their policies allow."""
    with weighing() as account:
        everything(Operator(account, tmp_path_factory.mktemp("environments"), None if RECORD else Persona.OPERATOR))
        if RECORD:
            told = {call: sorted(commands - {""}) for call, commands in sorted(account.called.items())}
            FILE.write_text(json.dumps(told, indent=2) + "\n")
            calls.cache_clear()
        yield account


def test_every_call_that_is_made_is_on_file(account: Account) -> None:
    unknown = sorted(
        f"{call} by {command}"
        for call, commands in account.called.items()
        for persona in Persona
        for command in commands & set(persona.commands)
        if not actions_of(call) - {"sts:GetCallerIdentity"} <= actions_for(persona.commands)
    )

    assert unknown == [], f"the policies do not know these calls; {ANEW}"
    assert account.called.keys() - calls().keys() == set(), f"these calls are not on file; {ANEW}"


def test_every_call_on_file_is_made(account: Account) -> None:
    assert calls().keys() - account.called.keys() == set(), f"nobody makes these calls any more; {ANEW}"


def test_what_is_said_never_to_be_heard_is_not(account: Account) -> None:
    heard = {
        f"{call} by {command}"
        for call, (commands, _) in UNHEARD.items()
        for command in commands
        if command in account.called.get(call, ())
    }

    assert heard == set(), "these stand in UNHEARD and are recorded all the same: take them out there"


def test_the_operator_may_all_of_it(account: Account) -> None:
    assert account.denied == []


@pytest.mark.skipif(RECORD, reason="nothing is weighed while calls are recorded")
def test_nothing_that_is_asked_for_one_thing_is_allowed_on_anything(account: Account) -> None:
    assert account.wide == set()


@pytest.mark.skipif(RECORD, reason="nothing is weighed while calls are recorded")
def test_nothing_is_allowed_that_nothing_asks_for(account: Account) -> None:
    asked_for = {action for action, _ in account.used}
    unheard = {action for call in UNHEARD for action in actions_of(call)}

    assert actions_for(Persona.OPERATOR.commands) - asked_for - unheard == NOT_ASKED


@pytest.mark.skipif(RECORD, reason="nothing is weighed while calls are recorded")
def test_every_permission_that_is_refused_is_told_with_the_statement_to_add(account: Account) -> None:
    """In AWS's words, for each permission that was asked for; `test_policies_enforced` does it under real commands."""
    silent = {action for action, (service, question) in account.asked.items() if not mended_by_hint(service, question)}

    assert silent == {"iam:CreateServiceLinkedRole"}  # told by how to make the role, once for the whole account
    assert len(account.asked) > 150


def mended_by_hint(service: str, question: Asked) -> bool:
    """Whether what is typed as the refusal says would allow what was asked."""
    said = denial(service, question)
    told = refusal(Sent(service, "some_call", {}, "ap-southeast-2", "dev"), said.code, said.message, Meaning.NO)
    assert f"{WHO} may not {question.action}" in told.means or "service-linked role" in told.means
    statement = told.hint.partition("add to its policies: ")[2]
    return bool(statement) and bool(allowing(question, [{"Statement": [{"Sid": "Hint", **json.loads(statement)}]}]))


NOT_ASKED = {
    "ec2:DescribeAccountAttributes",  # RDS asks for it, for the caller; the emulator does not
}
