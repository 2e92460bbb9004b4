"""Rules for the names of resources, as each service of AWS documents them."""

from __future__ import annotations

import re

from orderops.frozen import Frozen

# EC2 and IAM allow 256 characters in the value of a tag, and each resource has its name and its address in tags.
LONGEST_TAG_VALUE = 256


class NameRule(Frozen):
    """At most `longest` characters that match `pattern`; `allowed` describes the pattern in words."""

    longest: int
    pattern: str
    allowed: str

    def excess(self, name: str) -> int:
        """Return by how many characters a name is too long; 0 if it is not."""
        return max(0, len(name) - self.longest)

    def allows(self, name: str) -> bool:
        """Whether the characters of a name are allowed."""
        return re.fullmatch(self.pattern, name) is not None
