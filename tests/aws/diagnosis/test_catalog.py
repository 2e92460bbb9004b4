"""Every known failure: told by realistic words, it says what it means and what to type."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orderops.aws.diagnosis.catalog import CATALOGUE, explain
from orderops.aws.diagnosis.permissions import ACTIONS, action_of, decoded, encoded, readable
from orderops.aws.diagnosis.rule import ErrorContext

REGION = "ap-southeast-2"
USER = "arn:aws:iam::123456789012:user/ann"
BLOB = "4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcEFG_0123456789=="


@dataclass(frozen=True)
class Case:
    """What a call came to, and words that must be in what it means and in what to type."""

    entry: str
    call: str
    code: str
    text: str
    means: str
    hint: str
    region: str = REGION
    params: dict[str, Any] = field(default_factory=dict)


CASES = [Case(**each) for each in tomllib.loads((Path(__file__).parent / "failures.toml").read_text())["case"]]


def said(case: Case) -> ErrorContext:
    service, _, operation = case.call.partition(".")
    action = action_of(service, "".join(word.capitalize() for word in operation.split("_")))
    return ErrorContext(case.call, case.code, case.text, action, case.region, "dev", "r-1", case.params)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.entry}: {case.code} {case.call}")
def test_a_known_failure_says_what_it_means_and_what_to_type(case: Case) -> None:
    told = explain(said(case))

    assert told is not None
    assert told.name == case.entry
    assert case.means in told.means
    assert case.hint in told.hint


def test_every_entry_has_a_case_of_its_own_that_no_other_takes_away() -> None:
    reached = Counter(told.name for case in CASES if (told := explain(said(case))))

    assert set(reached) == {failure.name for failure in CATALOGUE}
    assert len(reached) == len(CATALOGUE)


def test_no_entry_takes_a_code_away_from_a_later_one() -> None:
    """With the words of one of its cases, every code that an entry lists leads to that entry."""
    reached = {
        (failure.name, code)
        for failure in CATALOGUE
        for code in failure.codes
        for case in CASES
        if case.entry == failure.name and (told := explain(said(replace(case, code=code)))) and told.name == case.entry
    }

    assert {(failure.name, code) for failure in CATALOGUE for code in failure.codes} - reached == set()


@pytest.mark.parametrize("failure", CATALOGUE, ids=lambda failure: failure.name)
def test_what_is_said_keeps_to_the_house_style(failure: Any) -> None:
    for text in (failure.means, failure.hint):
        assert text
        assert not text.endswith((".", "!"))
        assert "please" not in text.lower()
        assert "failed to" not in text.lower()
    assert failure.means.startswith(("AWS", "EC2", "RDS")) or not failure.means[0].isupper()


@pytest.mark.parametrize(
    "text", ["", "words", "User: arn:aws:x is not authorized to perform: " * 400, "arn:aws:acm:" * 99]
)
def test_no_words_however_odd_keep_a_failure_from_being_told(text: str) -> None:
    codes = {code for failure in CATALOGUE for code in failure.codes}

    for code in sorted(codes):
        for call in ("rds.create_db_instance", "s3.head_bucket", "ecs.run_task", "unknown.call"):
            told = explain(ErrorContext(call, code, text))
            assert told is None or (told.means and told.hint)


def test_an_unknown_failure_is_not_explained() -> None:
    assert explain(ErrorContext("rds.create_db_instance", "NeverSeen", "a new thing")) is None


def test_what_ec2_encodes_is_found_and_left_out_of_what_is_read() -> None:
    bare = f"You are not authorized to perform this operation. Encoded authorization failure message: {BLOB}"
    told = f"User: {USER} is not authorized to perform: ec2:CreateVpc. Encoded authorization failure message: {BLOB}"

    assert encoded(bare) == BLOB
    assert encoded(told) == ""
    assert BLOB not in readable(bare)
    assert BLOB not in readable(told)


@pytest.mark.parametrize(("explicit", "entry"), [(True, "denied-expressly"), (False, "not-allowed")])
def test_what_was_decoded_reads_as_the_others_do(explicit: bool, entry: str) -> None:
    message = (
        f'{{"explicitDeny":{str(explicit).lower()},"context":{{"principal":{{"arn":"{USER}"}},'
        '"action":"ec2:CreateVpc","resource":"arn:aws:ec2:ap-southeast-2:123456789012:vpc/*"}}'
    )

    told = explain(ErrorContext("ec2.create_vpc", "UnauthorizedOperation", decoded(message)))

    assert told is not None
    assert told.name == entry
    assert "ec2:CreateVpc" in told.means


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("rds", "CreateDBInstance", "rds:CreateDBInstance"),
        ("elbv2", "CreateRule", "elasticloadbalancing:CreateRule"),
        ("resourcegroupstaggingapi", "GetResources", "tag:GetResources"),
        ("s3", "ListBuckets", "s3:ListAllMyBuckets"),
    ],
)
def test_an_operation_is_named_as_permissions_name_it(service: str, operation: str, action: str) -> None:
    assert action_of(service, operation) == action
    assert action in ACTIONS.values() or operation in action
