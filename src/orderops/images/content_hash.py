"""The sources of an image or a Python module, and their content tag: equal sources have the same tag everywhere.

The rules of `.dockerignore` are Docker's: the last pattern that matches a path, or a folder above it, decides.
Builders differ for exceptions with wildcards below an excluded folder; a file counts if any builder would copy it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen

# What Python and editors write next to the sources.
NOT_SOURCE = ("**/__pycache__", "**/.*", "**/*~")


def content_tag(context: Path, dockerfile: Path, base: str = "") -> str:
    """Return a tag that changes only if the Dockerfile, a file that it can copy, or the given base image changes.

    Raises OrderopsError if a source cannot be read.
    """
    total = hashlib.sha256()
    try:
        _add(total, b"Dockerfile", dockerfile.read_bytes())
        for path in context_files(context, dockerfile):
            _add(total, *_described(context / path, path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OrderopsError(f"cannot read the sources of the image: {error.filename}: {reason}") from None
    if base:
        _add(total, b"base", base.encode())
    return f"src-{total.hexdigest()[:16]}"


def module_tag(module: str) -> str | None:
    """Return a tag that changes only if a file of this Python module or package changes; None if it is not installed.

    Imports nothing. Raises OrderopsError if a source cannot be read.
    """
    source = _module_source(module)
    if source is None:
        return None
    total = hashlib.sha256()
    try:
        for path in sorted(_files(source, Ignore(NOT_SOURCE))) if source.is_dir() else [""]:
            _add(total, *_described(source / path, path))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OrderopsError(f"cannot read the sources of {module}: {error.filename}: {reason}") from None
    return f"src-{total.hexdigest()[:16]}"


def context_files(context: Path, dockerfile: Path) -> list[str]:
    """List the files and links that the builder can copy, as sorted paths in the context."""
    return sorted(_files(context, ignore_of(context, dockerfile)))


def ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """Return the file that says what the builder does not see, if there is one."""
    # A DOCKERFILE.dockerignore in the Dockerfile's folder replaces the .dockerignore of the context.
    files = (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), context / ".dockerignore")
    return next((file for file in files if file.is_file()), None)


def ignore_of(context: Path, dockerfile: Path) -> Ignore:
    """Return the patterns of what the builder does not see."""
    file = ignore_file(context, dockerfile)
    if file is None:
        return Ignore(())
    return Ignore(file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines(), str(file))


class Ignore:
    """The patterns of one `.dockerignore`."""

    def __init__(self, lines: Iterable[str], source: str = ".dockerignore") -> None:
        self._patterns = [pattern for line in lines if (pattern := _pattern(line, source))]

    def excludes(self, path: str) -> bool:
        """Whether the builder does not see this path."""
        parts = path.split("/")
        lineage = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        excluded = False
        for pattern in self._patterns:
            if pattern.exception == excluded and any(pattern.regex.fullmatch(ancestor) for ancestor in lineage):
                excluded = not pattern.exception
        return excluded

    def may_include_below(self, folder: str) -> bool:
        """Whether an exception could include files of an excluded folder."""
        below = f"{folder}/"
        return any(
            pattern.exception
            and (pattern.start.startswith(below) or (pattern.wild and below.startswith(pattern.start)))
            for pattern in self._patterns
        )


class _Pattern(Frozen):
    regex: re.Pattern[str]
    exception: bool
    start: str
    wild: bool


def _pattern(line: str, source: str) -> _Pattern | None:
    text = line.strip()
    if not text or line.startswith("#"):
        return None
    exception = text.startswith("!")
    cleaned = posixpath.normpath(text.lstrip("!").strip() if exception else text).lstrip("/")
    if cleaned in ("", "."):
        return None
    try:
        regex = re.compile(_regex(cleaned), re.DOTALL)
    except re.error:
        raise UsageError(f"{source}: {line!r} is not a valid pattern", "close the bracket, or escape it: \\[") from None
    start = re.split(r"[*?\[\\]", cleaned, maxsplit=1)[0]
    return _Pattern(regex, exception, start, wild=start != cleaned)


def _module_source(module: str) -> Path | None:
    """The folder of a package, or the file of a module."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    # For a module that was imported without a spec.
    except ValueError:
        return None
    for name in rest:
        # find_spec would import the packages above the module, and so run code of the operator's.
        locations = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(f"{spec.name}.{name}", locations) if spec and locations else None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.has_location else None


TOKEN = re.compile(r"\*\*/?|\*|\?|\[[^\]]*\]?|\\.|.", re.DOTALL)


def _regex(pattern: str) -> str:
    return "".join(_as_regex(token) for token in TOKEN.findall(pattern))


def _as_regex(token: str) -> str:
    match token:
        case "**":
            return ".*"
        case "**/":
            return "(?:.*/)?"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if token.startswith("["):
            return token
        case _:
            return re.escape(token[-1])


def _files(context: Path, ignore: Ignore) -> Iterator[str]:
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in os.scandir(context / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            excluded = ignore.excludes(path)
            if entry.is_dir(follow_symlinks=False):
                if not excluded or ignore.may_include_below(path):
                    folders.append(path)
            elif not excluded and (entry.is_file() or entry.is_symlink()):
                yield path


def _described(file: Path, path: str) -> tuple[bytes, bytes, bytes]:
    """Describe a file by path, kind and content."""
    name = os.fsencode(path)
    if file.is_symlink():
        return name, b"link", os.fsencode(file.readlink())
    # Only the executable bit of the mode counts: the rest depends on the umask of the machine.
    return name, b"program" if file.stat().st_mode & 0o100 else b"file", file.read_bytes()


def _add(total: hashlib._Hash, *parts: bytes) -> None:
    # Each part follows its length, so that two different lists of parts never give the same bytes.
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
