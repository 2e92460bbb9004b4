"""The versions of the database that an image works with: what its label says, or what its sources say before a build.

A label is a statement of the time of the build. The newest migration is the newest that its sources know: whether a
later one breaks the code, only later sources can say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.frozen import Frozen
from orderops.images.build import ImageBuild
from orderops.images.content_hash import context_files
from orderops.images.contents import config_of
from orderops.images.ecr import ECR_IMAGE, opened_for_reading
from orderops.images.recipe import SCHEMA, schema_range
from orderops.images.resolve import ImageChoice, ImageCopy

LABEL = re.compile(r"(?P<oldest>\d{1,18})-(?P<newest>\d{1,18})?")
# What the laptop runs as a process of this machine: the order processor that is installed.
INSTALLED = re.compile(r"process://orderops\.service(@.*)?")
DOCKERFILE = Path(__file__).parents[1] / "service" / "Dockerfile"


class SchemaRange(Frozen):
    """The oldest and the newest migration with which an image works; without a newest, every later one too."""

    oldest: int
    newest: int | None = None

    def __contains__(self, version: int) -> bool:
        return self.oldest <= version and (self.newest is None or version <= self.newest)

    def __str__(self) -> str:
        oldest = f"V{self.oldest:03}"
        if self.newest is None:
            return f"{oldest} and later"
        return f"{oldest} to V{self.newest:03}" if self.newest != self.oldest else f"{oldest} only"


def parsed_range(label: str) -> SchemaRange | None:
    """Read a label such as 3-4, or 3- for 3 and every later version; None for anything else."""
    match = LABEL.fullmatch(label)
    if match is None:
        return None
    newest = int(match["newest"]) if match["newest"] else None
    found = SchemaRange(int(match["oldest"]), newest)
    return None if newest is not None and newest < found.oldest else found


def range_of(aws: Aws, choice: ImageChoice, migrations: Iterable[Path]) -> SchemaRange | None:
    """Return the versions that an image works with; None if neither label nor sources say.

    `migrations` are the files of this machine, which belong to a service that runs as its process. Raises OrderopsError
    if the registry cannot be read.
    """
    match choice.pending:
        case ImageBuild() as build:
            dockerfile = build.dockerfile.read_text(encoding="utf-8", errors="replace")
            return parsed_range(schema_range(dockerfile, context_files(build.context, build.dockerfile)))
        case ImageCopy() as copy:
            return _labelled(aws, copy.source, copy.digest)
    if INSTALLED.fullmatch(choice.uri):
        files = [f"sql/{file.name}" for file in migrations]
        return parsed_range(schema_range(DOCKERFILE.read_text(encoding="utf-8"), files))
    image = ECR_IMAGE.fullmatch(choice.uri)
    if image and image["digest"]:
        return _labelled(aws, image["uri"], image["digest"])
    if choice.uri.startswith("process://"):
        return None
    raise OrderopsError("it is not in ECR, and orderops has no login for its registry")


def _labelled(aws: Aws, uri: str, digest: str) -> SchemaRange | None:
    repository = opened_for_reading(aws, uri)
    return parsed_range(str(config_of(repository, repository.manifest(digest)).labels.get(SCHEMA, "")))
