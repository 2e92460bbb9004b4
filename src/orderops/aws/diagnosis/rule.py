"""One known error: the conditions that identify it, and the texts that explain it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from orderops.aws.partition import dns_suffix_of
from orderops.errors import UsageError
from orderops.frozen import Frozen, field

# Longer than any message of AWS. The limit keeps the patterns fast on a page of HTML in place of a message.
MAX_CHARACTERS = 4000
RESOURCE_PARAMETER = re.compile(r"(Name|name|Identifier|Bucket|Id|Arn)$")
REFERENCE = re.compile(r"\$\{(\w+)\}")
REQUIRED = frozenset({"name", "codes", "meaning", "hint"})
OPTIONAL = frozenset({"message", "unless", "calls", "regions", "parameter", "details", "values", "example"})

Values = dict[str, Any]


class ErrorContext(Frozen):
    """A failed call: the error as AWS or botocore worded it, and what is known of the call."""

    call: str
    """Such as `rds.create_db_instance`."""
    code: str
    text: str = ""
    action: str = ""
    """The IAM action that the call needs, such as `rds:CreateDBInstance`."""
    region: str = ""
    environment: str = ""
    request_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str:
        return self.call.partition(".")[0]

    @property
    def target(self) -> str:
        """The resource that the call is about, as far as its parameters name it."""
        names = [value for key, value in self.params.items() if RESOURCE_PARAMETER.search(key)]
        name = next((name for name in names if isinstance(name, str)), "the resource")
        # Of an ARN only the resource: partition, region and account fill the screen and are the same for all.
        return name.split(":", 5)[-1] if name.startswith("arn:") else name

    @property
    def values(self) -> Values:
        """The values that every meaning and hint can use."""
        return {
            "call": self.call,
            "service": self.service,
            "action": self.action,
            "code": self.code,
            "region": self.region,
            "dns_suffix": _dns_suffix(self.region),
            "target": self.target,
            "parameters": self.params,
            "request": self.request_id or "without an id",
            "env": f" --env {self.environment}" if self.environment else "",
            "environment": self.environment or "NAME",
            "file": f"environments/{self.environment or 'NAME'}.toml",
        }


def _dns_suffix(region: str) -> str:
    try:
        return dns_suffix_of(region)
    except UsageError:
        return "amazonaws.com"


Details = Callable[[ErrorContext, Values], Values]
"""Derives more values from a failed call and the values known so far."""


class Explanation(Frozen):
    """The meaning of an error, and what to type next; `name` is that of the catalogue's entry."""

    name: str
    meaning: str
    hint: str


class KnownError(Frozen):
    """An entry of the catalogue; all of its conditions have to hold. catalog.py describes the fields."""

    name: str
    codes: frozenset[str]
    meaning: str
    hint: str
    message: str = ""
    unless: str = ""
    calls: str = ""
    regions: frozenset[str] = frozenset()
    parameter: str = ""
    details: Details | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def explain(self, context: ErrorContext) -> Explanation | None:
        """Return the explanation if this is the error that occurred, else None."""
        match = self._match(context)
        if match is None:
            return None
        groups = {name: value for name, value in match.groupdict().items() if value}
        values = {**context.values, **self.values, **groups}
        if self.details:
            values |= self.details(context, values)
        # A value that this message does not contain reads "…": an incomplete hint is better than none.
        complete = defaultdict(lambda: "…", values)
        return Explanation(self.name, self.meaning.format_map(complete), self.hint.format_map(complete))

    def _match(self, context: ErrorContext) -> re.Match[str] | None:
        if context.code not in self.codes or (self.regions and context.region not in self.regions):
            return None
        if (self.parameter and self.parameter not in context.params) or not re.match(self.calls, context.call):
            return None
        text = context.text[:MAX_CHARACTERS]
        if self.unless and self._compiled["unless"].search(text):
            return None
        return self._compiled["message"].search(text)

    # Compiled on first use: a command meets a few of the codes only.
    @cached_property
    def _compiled(self) -> Mapping[str, re.Pattern[str]]:
        flags = re.IGNORECASE | re.DOTALL
        return {"message": re.compile(self.message, flags), "unless": re.compile(self.unless, flags)}


def read_entries(text: str, details: Mapping[str, Details]) -> Iterator[KnownError]:
    """Read the entries of a TOML file; raises ValueError or KeyError where an entry is not valid."""
    import tomllib

    document = tomllib.loads(text)
    patterns = document.get("patterns", {})
    for entry in document["error"]:
        template = document["template"][entry["template"]] if "template" in entry else {}
        table = {key: value for key, value in {**template, **entry}.items() if key != "template"}
        _check_keys(table)
        yield KnownError(
            name=table["name"],
            codes=frozenset(table["codes"]),
            meaning=table["meaning"],
            hint=table["hint"],
            message=_expanded(table.get("message", ""), patterns),
            unless=_expanded(table.get("unless", ""), patterns),
            calls=table.get("calls", ""),
            regions=frozenset(table.get("regions", ())),
            parameter=table.get("parameter", ""),
            details=details[table["details"]] if "details" in table else None,
            values=table.get("values", {}),
        )


def _check_keys(table: Mapping[str, Any]) -> None:
    missing, unknown = REQUIRED - table.keys(), table.keys() - REQUIRED - OPTIONAL
    if missing or unknown:
        raise ValueError(f"known error {table.get('name')!r}: missing {sorted(missing)}, unknown {sorted(unknown)}")


def _expanded(pattern: str, patterns: Mapping[str, str]) -> str:
    """Replace `${name}` by the pattern of that name, which may refer to others."""
    return REFERENCE.sub(lambda match: _expanded(patterns[match[1]], patterns), pattern)
