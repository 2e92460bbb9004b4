"""The table [board] of an environment file: the page about the environment."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable


class BoardConfig(TomlTable):
    """The page that `orderops board` makes."""

    title: values.Reason = "Order processing"
    """Heading of the page, which customers read."""
    bucket: values.BucketName | None = None
    """Existing bucket that `orderops board publish` writes to; its name begins with `orderops-ENVIRONMENT-board`."""

    def misnamed(self, prefix: str) -> Iterator[Mistake]:
        """Check that the bucket is for the board of this environment: policies grant no other."""
        if self.bucket and not self.bucket.startswith(f"{prefix}-board"):
            rule = f"must begin with {prefix}-board: the policies of `orderops doctor` allow no other"
            yield Mistake(("board", "bucket"), self.bucket, rule)
