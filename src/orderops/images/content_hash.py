"""What an image is built from, and the tag that says it: the same sources have the same tag, on any machine.

The rules of `.dockerignore` are Docker's own: the last pattern that matches a path, or a folder above it, decides.
Builders differ in one place, exceptions with wildcards below a folder that is left out; what any of them sees counts.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orderops.errors import OrderopsError, UsageError


def content_tag(context: Path, dockerfile: Path) -> str:
    """A tag that changes when the Dockerfile or any file that it may copy changes, and only then."""
    total = hashlib.sha256()
    try:
        _add(total, b"Dockerfile", dockerfile.read_bytes())
        for path in context_files(context, dockerfile):
            _add(total, *_described(context / path, path))
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise OrderopsError(f"the sources of the image cannot be read: {error.filename}: {what}") from None
    return f"src-{total.hexdigest()[:16]}"


def context_files(context: Path, dockerfile: Path) -> list[str]:
    """Every file and link that the builder may copy, by its path in the context, sorted."""
    ignore = _ignore(context, dockerfile)
    return sorted(_files(context, ignore))


class Ignore:
    """The patterns of one `.dockerignore`."""

    def __init__(self, lines: Iterable[str], where: str = ".dockerignore") -> None:
        self._patterns = [pattern for line in lines if (pattern := _pattern(line, where))]

    def leaves_out(self, path: str) -> bool:
        """Whether the builder does not see this path."""
        parts = path.split("/")
        lineage = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        verdict = False
        for pattern in self._patterns:
            if pattern.lets_in == verdict and any(pattern.regex.fullmatch(one) for one in lineage):
                verdict = not pattern.lets_in
        return verdict

    def may_let_in_below(self, folder: str) -> bool:
        """Whether a later exception could reach into a folder that is left out."""
        below = f"{folder}/"
        return any(
            pattern.lets_in and (pattern.start.startswith(below) or (pattern.wild and below.startswith(pattern.start)))
            for pattern in self._patterns
        )


@dataclass(frozen=True)
class _Pattern:
    regex: re.Pattern[str]
    lets_in: bool
    start: str
    wild: bool


def _ignore(context: Path, dockerfile: Path) -> Ignore:
    """A Dockerfile may have an ignore file of its own beside it, which then is the only one."""
    for place in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore"):
        if place.is_file():
            return Ignore(place.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines(), str(place))
    return Ignore(())


def _pattern(line: str, where: str) -> _Pattern | None:
    text = line.strip()
    if not text or line.startswith("#"):
        return None
    lets_in = text.startswith("!")
    cleaned = posixpath.normpath(text.lstrip("!").strip() if lets_in else text).lstrip("/")
    if cleaned in ("", "."):
        return None
    try:
        regex = re.compile(_regex(cleaned), re.DOTALL)
    except re.error:
        raise UsageError(f"{where}: {line!r} is no pattern", "close the bracket, or write \\[ for the sign") from None
    start = re.split(r"[*?\[\\]", cleaned, maxsplit=1)[0]
    return _Pattern(regex, lets_in, start, wild=start != cleaned)


TOKEN = re.compile(r"\*\*/?|\*|\?|\[[^\]]*\]?|\\.|.", re.DOTALL)


def _regex(pattern: str) -> str:
    return "".join(_piece(sign) for sign in TOKEN.findall(pattern))


def _piece(sign: str) -> str:
    match sign:
        case "**":
            return ".*"
        case "**/":
            return "(?:.*/)?"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if sign.startswith("["):
            return sign
        case _:
            return re.escape(sign[-1])


def _files(context: Path, ignore: Ignore) -> Iterator[str]:
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in os.scandir(context / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            left_out = ignore.leaves_out(path)
            if entry.is_dir(follow_symlinks=False):
                if not left_out or ignore.may_let_in_below(path):
                    folders.append(path)
            elif not left_out and (entry.is_file() or entry.is_symlink()):
                yield path


def _described(place: Path, path: str) -> tuple[bytes, bytes, bytes]:
    """A file by path, kind and content; of its mode only whether it can be run, as the rest differs by machine."""
    name = os.fsencode(path)
    if place.is_symlink():
        return name, b"link", os.fsencode(place.readlink())
    return name, b"program" if place.stat().st_mode & 0o100 else b"file", place.read_bytes()


def _add(total: hashlib._Hash, *parts: bytes) -> None:
    """Each part with its length before it, so that no two lists of parts read the same."""
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
