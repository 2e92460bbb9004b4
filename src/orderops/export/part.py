"""Parts: what a resource of orderops becomes in the words of the AWS provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orderops.engine.resource import Observed, Resource
from orderops.export.hcl import Blocks, Expression, blocks
from orderops.frozen import Frozen


class Part(Frozen):
    """A resource of the provider: its type, its id for an import, and its arguments.

    `suffix` tells it from the other parts of the same resource.
    """

    type: str
    import_id: str
    body: Mapping[str, Any]
    suffix: str = ""


@dataclass
class References:
    """References to resources in place of their ids and ARNs, as far as they are written."""

    by_value: dict[str, str] = field(default_factory=dict)
    """The reference by id or ARN, such as `aws_vpc.main.id`."""
    by_address: dict[str, str] = field(default_factory=dict)
    """The target by address, such as `aws_vpc.main`."""
    by_part: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """The target by address, and by type and suffix of a part."""

    def place(self, value: Any) -> Any:
        """The value with references for ids and ARNs that are known."""
        if isinstance(value, str):
            return Expression(self.by_value[value]) if value in self.by_value else value
        if isinstance(value, Mapping):
            return {key: self.place(part) for key, part in value.items()}
        return [self.place(part) for part in value] if isinstance(value, (list, tuple)) else value

    def named(self, kind: str, name: str | None, attribute: str = "name") -> Any:
        """A reference to the attribute of the resource of this kind and name; the name if it is not written."""
        target = self.by_address.get(f"{kind}/{name}")
        return Expression(f"{target}.{attribute}") if target else name

    def part(self, address: str, type: str, attribute: str, value: str, suffix: str = "") -> Any:
        """A reference to the attribute of a part of a resource; the value if the part is not written."""
        target = self.by_part.get((address, type, suffix))
        return Expression(f"{target}.{attribute}") if target else value


class Found(Frozen):
    """A declared resource as it stands in the account."""

    resource: Resource
    observed: Observed
    region: str
    account: str
    references: References

    @property
    def properties(self) -> Mapping[str, Any]:
        """Its observed properties, in AWS's words."""
        return self.observed.properties

    @property
    def name(self) -> str:
        """Its name in AWS."""
        return self.observed.name or self.resource.name

    @property
    def tags(self) -> dict[str, str] | None:
        """Its tags, without those that AWS sets itself; None for a kind without tags."""
        tags = {} if self.resource.untagged else dict(self.observed.tags or {})
        return {key: tags[key] for key in sorted(tags) if not key.startswith("aws:")} or None

    def place(self, value: Any) -> Any:
        """The value with references in place of known ids and ARNs."""
        return self.references.place(value)


Parts = Callable[[Found], Iterator[Part]]


def ignoring(*arguments: str) -> Blocks:
    """A `lifecycle` block: differences of these arguments are left as they are."""
    return blocks({"ignore_changes": [Expression(argument) for argument in arguments]})


def label(name: str) -> str:
    """A name as a label of HCL: letters, digits, _ and -, no digit first."""
    text = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "unnamed"
    return text if text[0].isalpha() or text[0] == "_" else f"_{text}"
