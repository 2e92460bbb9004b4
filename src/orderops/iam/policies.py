"""The IAM policies that orderops needs in an environment: for who operates it, for its pipeline, for who only looks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orderops.aws.diagnosis.permissions import ROLE_SESSION
from orderops.config.environment import Environment
from orderops.engine.resource import PARTITIONS
from orderops.iam.actions import Persona, actions_for
from orderops.iam.grants import ANYTHING, NARROW, REACHING, Grant, grants_of

LONGEST = 6144
"""Characters that AWS allows in a managed policy, white space aside."""
Statement = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """One managed policy, as it is created and attached."""

    name: str
    persona: Persona
    account: str
    partition: str
    statements: tuple[Statement, ...]

    @property
    def document(self) -> dict[str, Any]:
        """In IAM's words."""
        return {"Version": "2012-10-17", "Statement": list(self.statements)}

    @property
    def text(self) -> str:
        """The document without white space."""
        return written(self.statements)

    @property
    def create(self) -> str:
        """The command that creates it."""
        return f"aws iam create-policy --policy-name {self.name} --policy-document {shlex.quote(self.text)}"

    @property
    def attach(self) -> str:
        """The command that gives it to a role."""
        arn = f"arn:{self.partition}:iam::{self.account}:policy/{self.name}"
        return f"aws iam attach-role-policy --role-name ROLE --policy-arn {arn}"

    def to_dict(self) -> dict[str, Any]:
        """For machines; keys stay as they are."""
        return {
            "name": self.name,
            "for": str(self.persona),
            "characters": len(self.text),
            "document": self.document,
            "create": self.create,
            "attach": self.attach,
        }


@dataclass(frozen=True)
class Simulation:
    """A question to IAM's simulator: one statement, with examples of the things that it is about."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Mapping[str, str]


def policies(environment: Environment, account: str, persona: Persona) -> list[Policy]:
    """What a persona needs in an environment, in as many policies as AWS's limit asks for."""
    partition = PARTITIONS.get(environment.region.partition("-")[0], "aws")
    parts = list(_parted(statements(environment, account, persona)))
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
    """What a persona is allowed, one statement for each kind of thing."""
    needed = actions_for(persona.commands)
    words = {
        "partition": PARTITIONS.get(environment.region.partition("-")[0], "aws"),
        "region": environment.region,
        "account": account,
        "environment": environment.name,
    }
    told = [
        _statement(grant, allowed, words)
        for grant in (ANYTHING, *NARROW)
        if (persona is Persona.OPERATOR or not grant.adopts)
        and (allowed := sorted(action for action in needed if grant in grants_of(action)))
    ]
    reaching = REACHING[environment.database.access] if persona is Persona.OPERATOR else ()
    return told + [_statement(grant, sorted(grant.actions), words) for grant in reaching]


def simulations(environment: Environment, account: str, persona: Persona) -> list[Simulation]:
    """What to ask IAM about a persona's permissions, so that its answers are those of real calls."""
    return [
        Simulation(
            tuple(each["Action"]),
            tuple(_example(arn, account) for arn in each["Resource"]),
            {
                key: _example(value if isinstance(value, str) else value[0], account)
                for operator, keys in each.get("Condition", {}).items()
                if operator != "Null"
                for key, value in keys.items()
            },
        )
        for each in statements(environment, account, persona)
    ]


def identity_of(caller: str) -> str:
    """The user or role whose policies decide about a caller; nothing for an account's root, for whom none does."""
    session = ROLE_SESSION.match(caller)
    if session:
        return f"arn:{session['part']}:iam::{session['account']}:role/{session['role']}"
    return caller.replace(":sts:", ":iam:") if ":user/" in caller else ""  # the emulator calls users as sessions


def _example(text: str, account: str) -> str:
    """One thing that a pattern means."""
    if text == "*":
        return text
    one = text.replace(":*:", f":{account}:").replace(":*/*", ":vpc/*")
    return one.replace("*", "example").replace("?", "x")


def written(statements: Iterable[Statement]) -> str:
    """A policy's text, as short as it can be."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return json.dumps(document, separators=(",", ":"))


def _statement(grant: Grant, allowed: list[str], words: Mapping[str, str]) -> Statement:
    told: Statement = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": allowed,
        "Resource": [each.format_map(words) for each in grant.resources],
    }
    if grant.condition:
        told["Condition"] = {
            operator: {key: _filled(value, words) for key, value in keys.items()}
            for operator, keys in grant.condition.items()
        }
    return told


def _filled(value: str | tuple[str, ...], words: Mapping[str, str]) -> str | list[str]:
    return value.format_map(words) if isinstance(value, str) else [each.format_map(words) for each in value]


def _parted(statements: list[Statement]) -> Iterator[tuple[Statement, ...]]:
    """Whole statements, in their order, as many as one policy holds."""
    part: list[Statement] = []
    for statement in statements:
        if part and len(written([*part, statement])) > LONGEST:
            yield tuple(part)
            part = []
        part.append(statement)
    if part:
        yield tuple(part)
