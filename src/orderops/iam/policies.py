"""The IAM policies that each persona needs in an environment: operator, pipeline, viewer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orderops.aws.diagnosis.permissions import ROLE_SESSION
from orderops.aws.partition import partition_of
from orderops.config.environment import Environment
from orderops.frozen import Frozen
from orderops.iam.actions import actions_for
from orderops.iam.grants import ANYTHING, DATABASE_ACCESS, NARROW, Grant, grants_of
from orderops.iam.persona import Persona

# IAM and STS quotas: characters of a managed policy, white space not counted.
MAX_CHARACTERS = 6144
Statement = dict[str, Any]


class Policy(Frozen):
    """One managed policy."""

    name: str
    persona: Persona
    account: str
    partition: str
    statements: tuple[Statement, ...]

    @property
    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": list(self.statements)}

    @property
    def text(self) -> str:
        """The document without white space."""
        return policy_text(self.statements)

    @property
    def create(self) -> str:
        """The command that creates the policy."""
        return f"aws iam create-policy --policy-name {self.name} --policy-document {shlex.quote(self.text)}"

    @property
    def attach(self) -> str:
        """The command that attaches the policy to a role."""
        arn = f"arn:{self.partition}:iam::{self.account}:policy/{self.name}"
        return f"aws iam attach-role-policy --role-name ROLE --policy-arn {arn}"

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `--json`. Its keys are stable."""
        return {
            "name": self.name,
            "for": str(self.persona),
            "characters": len(self.text),
            "document": self.document,
            "create": self.create,
            "attach": self.attach,
        }


class Simulation(Frozen):
    """A request to IAM's policy simulator: the actions of one statement, on examples of its resources."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Mapping[str, str]


def policies(environment: Environment, account: str, persona: Persona) -> list[Policy]:
    """Return the policies of a persona in an environment: as few as AWS's limit on their length allows."""
    partition = partition_of(environment.region)
    parts = list(_split(statements(environment, account, persona)))
    return [
        Policy(
            f"{environment.prefix}-{persona}" + (f"-{number}" if len(parts) > 1 else ""),
            persona,
            account,
            partition,
            part,
        )
        for number, part in enumerate(parts, start=1)
    ]


def statements(environment: Environment, account: str, persona: Persona) -> list[Statement]:
    """Return the statements of a persona, one for each grant."""
    needed = actions_for(persona.commands)
    values = {
        "partition": partition_of(environment.region),
        "region": environment.region,
        "account": account,
        "environment": environment.name,
        "role_path": environment.iam.path,
        "boundary": environment.iam.permissions_boundary or "",
    }
    bounded = environment.iam.permissions_boundary is not None
    by_commands = [
        _statement(grant, actions, values)
        for grant in (ANYTHING, *NARROW)
        if (persona is Persona.OPERATOR or not grant.of_operators)
        and grant.bounded in (None, bounded)
        and (actions := sorted(action for action in needed if grant in grants_of(action)))
    ]
    by_access = DATABASE_ACCESS[environment.database.access] if persona is Persona.OPERATOR else ()
    return by_commands + [_statement(grant, sorted(grant.actions), values) for grant in by_access]


def simulations(environment: Environment, account: str, persona: Persona) -> list[Simulation]:
    """Return the requests to the simulator whose results are those of a persona's real calls."""
    return [
        Simulation(
            tuple(statement["Action"]),
            tuple(_example(arn, account) for arn in statement["Resource"]),
            {
                key: _example(value if isinstance(value, str) else value[0], account)
                for operator, keys in statement.get("Condition", {}).items()
                if operator != "Null"
                for key, value in keys.items()
            },
        )
        for statement in statements(environment, account, persona)
    ]


def role_behind(caller: str) -> str:
    """Return the name of the role of a session; "" for a caller that is none."""
    session = ROLE_SESSION.match(caller)
    return session["role"] if session else ""


def identity_of(caller: str) -> str:
    """Return the ARN of the user that a caller's policies are attached to; "" for the account's root.

    The ARN of a session does not contain the path of its role, so only IAM knows the ARN of the role.
    """
    # The emulator returns users in the form of sessions: …:sts::…:user/…
    return caller.replace(":sts:", ":iam:") if ":user/" in caller else ""


def policy_text(statements: Iterable[Statement]) -> str:
    """Return a policy document without white space."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return json.dumps(document, separators=(",", ":"))


def _example(pattern: str, account: str) -> str:
    """Return one text that a pattern matches. The simulator rejects wildcards."""
    if pattern == "*":
        return pattern
    text = pattern.replace(":*:", f":{account}:").replace(":*/*", ":vpc/*")
    return text.replace("*", "example").replace("?", "x")


def _statement(grant: Grant, actions: list[str], values: Mapping[str, str]) -> Statement:
    statement: Statement = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": [resource.format_map(values) for resource in grant.resources],
    }
    if grant.condition:
        statement["Condition"] = {
            operator: {key: _filled(value, values) for key, value in keys.items()}
            for operator, keys in grant.condition.items()
        }
    return statement


def _filled(value: str | tuple[str, ...], values: Mapping[str, str]) -> str | list[str]:
    return value.format_map(values) if isinstance(value, str) else [text.format_map(values) for text in value]


def _split(statements: list[Statement]) -> Iterator[tuple[Statement, ...]]:
    """Yield statements in their order, as many at a time as one policy holds."""
    part: list[Statement] = []
    for statement in statements:
        if part and len(policy_text([*part, statement])) > MAX_CHARACTERS:
            yield tuple(part)
            part = []
        part.append(statement)
    if part:
        yield tuple(part)
