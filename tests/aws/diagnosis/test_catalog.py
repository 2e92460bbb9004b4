"""The catalogue of known errors, checked against the examples that its own entries hold."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from importlib.resources import files
from string import Formatter
from typing import Any

import pytest

from orderops.aws.diagnosis.catalog import DETAILS, codes_of, explain, known_errors
from orderops.aws.diagnosis.permissions import action_of, decoded, encoded, readable
from orderops.aws.diagnosis.rule import ErrorContext, KnownError, read_entries

USER = "arn:aws:iam::123456789012:user/ann"
ENCODED = "4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abcEFG_0123456789=="
ENTRIES = {entry.name: entry for entry in known_errors()}


@dataclass(frozen=True)
class Example:
    """A response of AWS, or of what answered in its place, and the texts that have to be shown for it."""

    entry: str
    call: str
    code: str
    message: str
    region: str = "ap-southeast-2"
    parameters: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> ErrorContext:
        service, _, operation = self.call.partition(".")
        action = action_of(service, "".join(word.capitalize() for word in operation.split("_")))
        return ErrorContext(self.call, self.code, self.message, action, self.region, "dev", "r-1", self.parameters)

    @property
    def explained_by(self) -> str:
        explanation = explain(self.context)
        return explanation.name if explanation else ""


def examples_in_the_package() -> list[Example]:
    paths = [path for path in files("orderops.aws.diagnosis").iterdir() if path.name.endswith(".toml")]
    entries = [entry for path in paths for entry in tomllib.loads(path.read_text(encoding="utf-8"))["error"]]
    return [Example(entry["name"], **example) for entry in entries for example in entry.get("example", ())]


EXAMPLES = examples_in_the_package()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.entry}: {example.code} {example.call}")
def test_an_example_is_explained_by_its_entry_in_the_expected_words(example: Example) -> None:
    explanation = explain(example.context)

    assert explanation is not None
    assert explanation.name == example.entry
    entry = ENTRIES[example.entry]
    assert explanation.meaning == expected(example, "meaning", entry.meaning)
    assert explanation.hint == expected(example, "hint", entry.hint)


def expected(example: Example, key: str, text: str) -> str:
    """The text that the example expects, which only a text without values may leave out."""
    if key in example.expect:
        return example.expect[key]
    assert "{" not in text, f"an example of {example.entry} needs expect.{key}"
    return text


def test_every_entry_has_an_example() -> None:
    assert {example.entry for example in EXAMPLES} == set(ENTRIES)


def test_the_catalogue_has_grown_and_never_shrunk() -> None:
    assert len(EXAMPLES) >= 138
    assert len(ENTRIES) == len(known_errors()) >= 94


def test_every_code_of_an_entry_leads_to_that_entry() -> None:
    """With the message of one of the entry's examples, so no earlier entry takes the code."""
    reached = {
        (example.entry, code)
        for example in EXAMPLES
        for code in ENTRIES[example.entry].codes
        if replace(example, code=code).explained_by == example.entry
    }

    assert {(entry.name, code) for entry in known_errors() for code in entry.codes} - reached == set()


@pytest.mark.parametrize("entry", known_errors(), ids=lambda entry: entry.name)
def test_meaning_and_hint_keep_to_the_style_of_messages(entry: KnownError) -> None:
    for text in (entry.meaning, entry.hint):
        assert text
        assert not text.endswith((".", "!"))
        assert not re.search(r"please|failed to|somebody|nobody|the same command", text, re.IGNORECASE)
    assert entry.meaning.startswith(("AWS", "EC2", "RDS")) or not entry.meaning[0].isupper()


@pytest.mark.parametrize("entry", known_errors(), ids=lambda entry: entry.name)
def test_every_pattern_is_valid_and_every_value_is_filled_in_by_some_example(entry: KnownError) -> None:
    re.compile(entry.calls)
    explanations = [entry.explain(example.context) for example in EXAMPLES if example.entry == entry.name]

    for template, texts in (
        (entry.meaning, [explanation.meaning for explanation in explanations if explanation]),
        (entry.hint, [explanation.hint for explanation in explanations if explanation]),
    ):
        fixed = [text for text, _, _, _ in Formatter().parse(template)]
        assert all(text.count("…") == "".join(fixed).count("…") for text in texts)


@pytest.mark.parametrize("entry", known_errors(), ids=lambda entry: entry.name)
def test_a_pattern_that_skips_text_is_tried_at_the_start_of_a_message_only(entry: KnownError) -> None:
    for pattern in (entry.message, entry.unless):
        assert pattern.startswith("^") or not re.search(r"\.[*+]", pattern), pattern


@pytest.mark.parametrize(
    "text", ["", "words", "User: arn:aws:x is not authorized to perform: " * 400, "arn:aws:acm:" * 99]
)
def test_no_message_breaks_the_catalogue(text: str) -> None:
    codes = {code for entry in known_errors() for code in entry.codes}

    for code in sorted(codes):
        for call in ("rds.create_db_instance", "s3.head_bucket", "ecs.run_task", "unknown.call"):
            explanation = explain(ErrorContext(call, code, text))
            assert explanation is None or (explanation.meaning and explanation.hint)


def test_an_unknown_error_is_not_explained() -> None:
    assert explain(ErrorContext("rds.create_db_instance", "NeverSeen", "a new thing")) is None


def test_an_instance_class_that_nothing_names_does_not_break_the_explanation() -> None:
    explanation = explain(ErrorContext("rds.create_db_instance", "InsufficientDBInstanceCapacity", region="eu-west-1"))

    assert explanation is not None
    assert explanation.meaning == "AWS has no … available in these zones of eu-west-1 at present"


def test_throttling_codes_are_those_that_botocore_retries() -> None:
    botocore = {"Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequestsException", "SlowDown"}

    assert botocore < codes_of("throttled")


VALID = 'name = "a"\ncodes = ["A"]\nmeaning = "m"\nhint = "h"\n'


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[[error]]\nname = "a"\n', "missing .'codes', 'hint', 'meaning'."),
        (f'[[error]]\n{VALID}mesage = "x"\n', "unknown .'mesage'."),
        (f'[[error]]\n{VALID}details = "none"\n', "none"),
        (f'[[error]]\n{VALID}template = "none"\n', "template"),
        (f"[[error]]\n{VALID}message = '${{none}}'\n", "none"),
    ],
    ids=["missing keys", "unknown key", "unknown details", "unknown template", "unknown pattern"],
)
def test_an_invalid_entry_is_rejected(text: str, error: str) -> None:
    with pytest.raises((KeyError, ValueError), match=error):
        list(read_entries(text, DETAILS))


def test_patterns_and_templates_are_expanded() -> None:
    text = f"""
[patterns]
word = 'red|blue'
phrase = '(${{word}}) car'
[template.cars]
codes = ["Car"]
[[error]]
{VALID.replace('codes = ["A"]', 'template = "cars"')}message = '^${{phrase}}$'
"""
    [entry] = read_entries(text, DETAILS)

    assert entry.explain(ErrorContext("a.b", "Car", "blue car"))
    assert not entry.explain(ErrorContext("a.b", "Car", "blue cars"))


def test_the_encoded_part_of_an_ec2_error_is_found_and_removed_from_the_message() -> None:
    bare = f"You are not authorized to perform this operation. Encoded authorization failure message: {ENCODED}"
    clear = (
        f"User: {USER} is not authorized to perform: ec2:CreateVpc. Encoded authorization failure message: {ENCODED}"
    )

    assert encoded(bare) == ENCODED
    assert encoded(clear) == ""
    assert ENCODED not in readable(bare)
    assert ENCODED not in readable(clear)


@pytest.mark.parametrize(("explicit", "entry"), [(True, "explicit-deny"), (False, "not-allowed")])
def test_a_decoded_message_is_explained_like_a_clear_one(explicit: bool, entry: str) -> None:
    message = (
        f'{{"explicitDeny":{str(explicit).lower()},"context":{{"principal":{{"arn":"{USER}"}},'
        '"action":"ec2:CreateVpc","resource":"arn:aws:ec2:ap-southeast-2:123456789012:vpc/*"}}'
    )

    explanation = explain(ErrorContext("ec2.create_vpc", "UnauthorizedOperation", decoded(message)))

    assert explanation is not None
    assert explanation.name == entry
    assert "ec2:CreateVpc" in explanation.meaning


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("rds", "CreateDBInstance", "rds:CreateDBInstance"),
        ("elbv2", "CreateRule", "elasticloadbalancing:CreateRule"),
        ("resourcegroupstaggingapi", "GetResources", "tag:GetResources"),
        ("s3", "ListBuckets", "s3:ListAllMyBuckets"),
    ],
)
def test_an_operation_is_named_as_iam_names_it(service: str, operation: str, action: str) -> None:
    assert action_of(service, operation) == action
