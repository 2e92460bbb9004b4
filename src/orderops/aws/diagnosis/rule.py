"""What an entry of the catalogue is: how a known failure is told by its words, what it means, what to type next."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Values = dict[str, str]
LONGEST = 4000
"""Characters of a text that are looked at."""


@dataclass(frozen=True)
class ErrorContext:
    """What a call came to: AWS's words, or those of the way to it, and what is known of the call."""

    call: str
    """As `rds.create_db_instance`."""
    code: str
    text: str = ""
    action: str = ""
    """As permissions name it: `rds:CreateDBInstance`."""
    region: str = ""
    environment: str = ""
    request_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str:
        return self.call.partition(".")[0]

    @property
    def thing(self) -> str:
        """What the call is about, as far as its parameters name it."""
        named = [key for key, value in self.params.items() if isinstance(value, str) and NAMED.search(key)]
        return str(self.params[named[0]]) if named else "it"


NAMED = re.compile(r"(Name|name|Identifier|Bucket|Id|Arn)$")


@dataclass(frozen=True)
class KnownError:
    """A known failure; in what it says, {words} are filled in from the call, the pattern's groups and `fill`."""

    name: str
    codes: frozenset[str]
    means: str
    hint: str
    words: str = ""
    """What the text must hold."""
    calls: str = ""
    """What the call must be."""
    regions: frozenset[str] = frozenset()
    given: str = ""
    """A parameter that the call must have had."""
    fill: Callable[[ErrorContext, Values], Values] = lambda said, found: {}

    def told(self, said: ErrorContext) -> Values | None:
        """What was found out when it is this failure; None when it is another one."""
        if said.code not in self.codes or (self.regions and said.region not in self.regions):
            return None
        if (self.given and self.given not in said.params) or not re.match(self.calls, said.call):
            return None
        found = self._pattern.search(said.text[:LONGEST])
        if found is None:
            return None
        groups = {key: value for key, value in found.groupdict().items() if value}
        known = {
            "call": said.call,
            "service": said.service,
            "action": said.action,
            "code": said.code,
            "region": said.region,
            "thing": said.thing,
            "request": said.request_id or "without an id",
            "env": f" --env {said.environment}" if said.environment else "",
            "file": f"environments/{said.environment or 'NAME'}.toml",
        }
        return {**known, **groups, **self.fill(said, {**known, **groups})}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.words, re.IGNORECASE | re.DOTALL)


def codes(*names: str) -> frozenset[str]:
    """Codes of one failure, which services spell differently."""
    return frozenset(names)
