"""What a build is given besides the sources: version, commit, base image, and the labels that name them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from orderops.errors import UsageError
from orderops.frozen import Frozen

VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
SOURCES = "com.orderops.sources"
SCHEMA = "com.orderops.schema"

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ARGUMENT = re.compile(r"^\s*ARG\s+(?P<name>\w+)(?:=(?P<value>\S+))?\s*$", re.IGNORECASE | re.MULTILINE)
OLDEST = re.compile(rf"^\s*LABEL\s+{re.escape(SCHEMA)}\.oldest=\"?(?P<number>\d+)\"?\s*$", re.IGNORECASE | re.MULTILINE)
NEWEST = re.compile(
    rf"^\s*LABEL\s+{re.escape(SCHEMA)}\.newest=\"?(?P<number>\d+|open)\"?\s*$", re.IGNORECASE | re.MULTILINE
)
MIGRATION = re.compile(r"sql/V0*(?P<number>\d+)__[^/]+\.sql")


class Recipe(Frozen):
    """What a build is given besides the sources; an empty value is not known."""

    version: str = ""
    revision: str = ""
    committed_at: int | None = None
    """Seconds since 1970. What is built from a commit carries the time of the commit, so that it can be built again."""
    base: str = ""
    """Base image in place of the Dockerfile's own."""


def build_arguments(recipe: Recipe, dockerfile: str) -> dict[str, str]:
    """Return the build arguments for a Dockerfile: those that it declares, and those that builders know."""
    values = {"BASE": recipe.base, "REVISION": recipe.revision, "VERSION": recipe.version}
    declared = {match["name"] for match in ARGUMENT.finditer(dockerfile)}
    arguments = {name: value for name, value in values.items() if value and name in declared}
    if recipe.committed_at is not None:
        # https://reproducible-builds.org/specs/source-date-epoch/, which BuildKit takes from the build's arguments.
        arguments["SOURCE_DATE_EPOCH"] = str(recipe.committed_at)
    return arguments


def labels(recipe: Recipe, sources: str, dockerfile: str, files: Sequence[str]) -> dict[str, str]:
    """Return the labels of an image; `files` are those that the builder can copy, as paths in the context."""
    name, _, digest = _base(recipe, dockerfile).partition("@")
    values = {
        VERSION: recipe.version,
        REVISION: recipe.revision,
        BASE_NAME: name,
        BASE_DIGEST: digest,
        SOURCES: sources,
        SCHEMA: schema_range(dockerfile, files),
    }
    return {name: value for name, value in values.items() if value}


def schema_range(dockerfile: str, files: Sequence[str]) -> str:
    """Return the versions of the database that an image supports, such as 3-4; "" if its sources have no migrations.

    The newest is that of `sql/`, unless the Dockerfile declares a later one that does no harm to its code (LABEL
    com.orderops.schema.newest=7), or that none will (newest=open, in the label 3-). The oldest is what the Dockerfile
    declares (LABEL com.orderops.schema.oldest=3), or the newest of `sql/`.
    """
    known = max((int(match["number"]) for file in files if (match := MIGRATION.fullmatch(file))), default=None)
    if known is None:
        return ""
    declared = OLDEST.search(dockerfile)
    oldest = int(declared["number"]) if declared else known
    if oldest > known:
        raise UsageError(
            f"the Dockerfile declares {SCHEMA}.oldest={oldest}, but the newest migration is V{known:03}",
            f"declare a migration that exists: LABEL {SCHEMA}.oldest={known}",
        )
    return f"{oldest}-{_newest(dockerfile, known)}"


def _newest(dockerfile: str, known: int) -> str:
    declared = NEWEST.search(dockerfile)
    if declared is None:
        return str(known)
    if declared["number"].lower() == "open":
        return ""
    if int(declared["number"]) < known:
        raise UsageError(
            f"the Dockerfile declares {SCHEMA}.newest={declared['number']}, but its sources hold V{known:03}",
            f"take the line out, or declare a later one: LABEL {SCHEMA}.newest={known}",
        )
    return declared["number"]


def check_base(base: str, dockerfile: Path) -> None:
    """Raise UsageError if a build from this Dockerfile cannot take this base image, or the image is not pinned."""
    name, _, digest = base.partition("@")
    if not name or not DIGEST.fullmatch(digest):
        raise UsageError(
            f"the base image {base!r} is not pinned by its digest, so it may be another one tomorrow",
            f"name its digest, NAME@sha256:…; to see it: docker buildx imagetools inspect {name or base}",
        )
    if "BASE" not in _names(dockerfile.read_text(encoding="utf-8", errors="replace")):
        raise UsageError(
            f"{dockerfile} takes no base image: it has no ARG BASE", "begin it with: ARG BASE=NAME@sha256:…, FROM $BASE"
        )


def _base(recipe: Recipe, dockerfile: str) -> str:
    declared = {match["name"]: match["value"] for match in ARGUMENT.finditer(dockerfile)}
    return recipe.base or declared.get("BASE") or ""


def _names(dockerfile: str) -> Iterator[str]:
    yield from (match["name"] for match in ARGUMENT.finditer(dockerfile))
