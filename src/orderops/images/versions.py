"""Versions of images: what may be one, and the next one that is free."""

from __future__ import annotations

import re
from collections.abc import Callable

from orderops.errors import UsageError
from orderops.resources.ecr_repository import OWN_TAGS

# OCI Distribution Specification 1.1, "Pulling manifests": a tag.
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
COUNTED = re.compile(r"(?P<start>\d+\.\d+\.|.*-)(?P<number>\d+)")
# Prefixes of the tags that say what is in an image, or where it was copied from.
BY_CONTENT = ("src-", "sha256-")


def check_version(version: str) -> None:
    """Raise UsageError if no image can have this version."""
    if version.lower() == "latest":
        raise UsageError(
            "an image is never called latest: the tag would say nothing about what runs",
            "name a version: --version 1.4.0; or tag the commit: git tag v1.4.0",
        )
    if not TAG.fullmatch(version):
        raise UsageError(
            f"{version!r} is no version of an image: a tag has 1 to 128 letters, digits, dots, dashes and underscores",
            "name another version: --version 1.4.0",
        )
    if version.startswith((*BY_CONTENT, *OWN_TAGS)):
        raise UsageError(
            f"{version!r} is no version of an image: orderops gives tags that begin so itself",
            "name another version: --version 1.4.0",
        )


def next_version(version: str, taken: Callable[[str], bool]) -> str:
    """Return the first free version after this one: 1.4.1 after 1.4.0, and 1.4.0-rc-2 after 1.4.0-rc."""
    match = COUNTED.fullmatch(version)
    start, number = (match["start"], int(match["number"])) if match else (f"{version}-", 1)
    while taken(candidate := f"{start}{(number := number + 1)}"):
        pass
    return candidate
