"""Commands in hints repeat what the operator named on the command line."""

from __future__ import annotations

import pytest

from orderops.ui.commands import about_the_laptop, completed, repeating

TAKEN = {
    ("up",): {"--env", "--environments", "--sql"},
    ("status",): {"--env", "--environments"},
    ("infra", "plan"): {"--env", "--environments"},
    ("migrate", "apply"): {"--env", "--environments", "--sql"},
    ("migrate", "lint"): {"--sql"},
    ("restore",): {"--env", "--environments"},
    ("env", "check"): {"--environments"},
    ("local", "start"): set[str](),
}
FOLDERS = ("up", "--environments", "my envs", "--sql=/s")

CASES = {
    "a command without options": ("orderops status", "orderops status --environments 'my envs'"),
    "behind its own options": (
        "next: orderops up --env dev",
        "next: orderops up --env dev --environments 'my envs' --sql /s",
    ),
    "two commands in a sentence": (
        "next: orderops up --env dev, or orderops infra plan --env dev",
        "next: orderops up --env dev --environments 'my envs' --sql /s, "
        "or orderops infra plan --env dev --environments 'my envs'",
    ),
    "only options that the command takes": (
        "orderops migrate lint; orderops local start",
        "orderops migrate lint --sql /s; orderops local start",
    ),
    "not twice": ("orderops migrate lint --sql /other", "orderops migrate lint --sql /other"),
    "before a sentence that goes on": (
        "orderops up creates everything that is declared",
        "orderops up --environments 'my envs' --sql /s creates everything that is declared",
    ),
    "a group that is a command": (
        'orderops restore --at "-15m" --env dev',
        "orderops restore --at \"-15m\" --env dev --environments 'my envs'",
    ),
    "an argument": ("orderops env check dev", "orderops env check --environments 'my envs' dev"),
    "another program": ("aws sts get-caller-identity", "aws sts get-caller-identity"),
    "a file of ours": ("read orderops.log", "read orderops.log"),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_command_repeats_the_folders_that_were_named(text: str, expected: str) -> None:
    with repeating(FOLDERS, lambda _words: TAKEN):
        assert completed(text) == expected
    assert completed(text) == text


def test_the_environment_is_repeated_where_a_hint_does_not_name_one() -> None:
    with repeating(("migrate", "apply", "-e", "prod"), lambda _words: TAKEN):
        assert completed("orderops status") == "orderops status --env prod"
        assert completed("orderops status --env dev") == "orderops status --env dev"


def test_arguments_of_another_program_are_not_repeated() -> None:
    with repeating(("local", "psql", "--", "--sql", "x"), lambda _words: TAKEN):
        assert completed("orderops migrate lint") == "orderops migrate lint"


def test_without_such_options_the_commands_are_not_read() -> None:
    def taken(_words: tuple[str, ...]) -> dict[tuple[str, ...], set[str]]:
        raise AssertionError("the tree of commands takes time to build")

    with repeating(("up",), taken):
        assert completed("orderops status") == "orderops status"


def test_an_aws_command_about_the_laptop_cannot_reach_the_account_on_aws() -> None:
    hint = "look: aws rds describe-db-instances --region ap-southeast-2; or orderops status"

    with repeating((), lambda _words: {}):
        assert completed(hint) == hint
        about_the_laptop()
        assert completed(hint) == hint.replace("aws rds", 'eval "$(orderops local env)"; aws rds')
    # The next command line may be about an environment on AWS.
    with repeating((), lambda _words: {}):
        assert completed(hint) == hint
        assert completed("it is in aws and elsewhere") == "it is in aws and elsewhere"
