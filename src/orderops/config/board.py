"""The table [board] of an environment file: the page about the environment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable


class BoardConfig(TomlTable):
    """The page that `orderops board` makes."""

    title: values.Reason = "Order processing"
    """Heading of the page, which customers read."""
    bucket: values.BucketName | None = None
    """Existing bucket that `orderops board publish` writes to; its name begins with `orderops-ENVIRONMENT-board`."""

    publish_every: values.Minutes | None = None
    """How often AWS publishes the page by itself, at least a minute; when left out, not at all."""

    @property
    def interval(self) -> timedelta | None:
        """How often AWS publishes the page; None if it does not."""
        if self.publish_every is None:
            return None
        number = int(self.publish_every[:-1])
        return timedelta(hours=number) if self.publish_every.endswith("h") else timedelta(minutes=number)

    def misnamed(self, prefix: str) -> Iterator[Mistake]:
        """Check that the page has a bucket, and one of this environment: policies grant no other."""
        if self.publish_every and not self.bucket:
            rule = f'needs the bucket to publish into: bucket = "{prefix}-board-NAME"'
            yield Mistake(("board", "publish_every"), self.publish_every, rule, (("board", "bucket"),))
        if self.bucket and not self.bucket.startswith(f"{prefix}-board"):
            rule = f"must begin with {prefix}-board: the policies of `orderops doctor` allow no other"
            yield Mistake(("board", "bucket"), self.bucket, rule)
