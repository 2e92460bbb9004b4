"""The git checkout that an image is built from: which version and commit it is, and what no commit holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from orderops.errors import OrderopsError
from orderops.frozen import Frozen

# A tag such as v1.4.0 or 1.4.0-rc.1. Repositories have other tags too, such as those of deployments.
VERSION_TAG = re.compile(r"v?(\d+\.\d+\S*)")
VERSION_TAGS = ("v[0-9]*.[0-9]*", "[0-9]*.[0-9]*")
NO_TAG = "0.0.0"
ABBREVIATED = 7


class Checkout(Frozen):
    """A work tree with at least one commit; `top` is its root."""

    program: str
    top: Path

    def version(self) -> str:
        """Return the tag of this commit without its v, else LAST-TAG-COMMITS-gCOMMIT, or 0.0.0-gCOMMIT without a tag.

        Of several tags on this commit, the highest version counts; a release comes after its candidates.
        """
        ordered = ("-c", "versionsort.suffix=-", "tag", "--points-at", "HEAD", "--sort=-version:refname")
        for tag in self._run(*ordered).split():
            if match := VERSION_TAG.fullmatch(tag):
                return match[1]
        patterns = [f"--match={pattern}" for pattern in VERSION_TAGS]
        described = self._try("describe", "--tags", "--long", f"--abbrev={ABBREVIATED}", *patterns)
        if described.returncode == 0:
            return described.stdout.strip().removeprefix("v")
        return f"{NO_TAG}-g{self.revision[:ABBREVIATED]}"

    @property
    def shallow(self) -> bool:
        """Whether the clone lacks history, and so perhaps the tags."""
        return self._run("rev-parse", "--is-shallow-repository").strip() == "true"

    @property
    def revision(self) -> str:
        """The commit."""
        return self._run("rev-parse", "HEAD").strip()

    @property
    def committed_at(self) -> int:
        """When the commit was made, in seconds since 1970."""
        return int(self._run("log", "-1", "--format=%ct").strip())

    def uncommitted(self, files: Iterable[Path], folder: Path, ignores: Callable[[str], bool]) -> list[str]:
        """List the files that differ from the commit, and those of `folder` that were deleted; paths in the checkout.

        `ignores` says which paths of the folder do not matter. A file that git ignores counts too: it goes into the
        image, and no commit holds it.
        """
        committed = set(self._names("ls-files", "--recurse-submodules", "-z"))
        changed = set(self._names("diff", "--name-only", "--no-renames", "-z", "HEAD"))
        # Without a .dockerignore, a builder sees what git keeps for itself too.
        wanted = {path for file in files if ".git" not in (path := self._path(file)).split("/")}
        deleted = {name for name in changed - wanted if self._was_in(folder, name, ignores)}
        return sorted((wanted - committed) | (wanted & changed) | deleted)

    def _was_in(self, folder: Path, name: str, ignores: Callable[[str], bool]) -> bool:
        file = self.top / name
        return file.is_relative_to(folder) and not file.exists() and not ignores(file.relative_to(folder).as_posix())

    def holds(self, files: Iterable[Path]) -> bool:
        """Whether any of these files is committed: a folder may lie in a checkout that is not its own."""
        committed = set(self._names("ls-files", "--recurse-submodules", "-z"))
        return any(self._path(file) in committed for file in files)

    def _path(self, file: Path) -> str:
        return Path(os.path.relpath(file, self.top)).as_posix()

    def _names(self, *arguments: str) -> list[str]:
        return [name for name in self._run(*arguments).split("\0") if name]

    def _run(self, *arguments: str) -> str:
        result = self._try(*arguments)
        if result.returncode:
            raise _refusal(result)
        return result.stdout

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _git(self.program, self.top, arguments)


def checkout_of(folder: Path) -> Checkout | None:
    """Return the checkout that a folder lies in; None without git, outside of a checkout, and before the first commit.

    Raises OrderopsError if git refuses to read the checkout.
    """
    program = shutil.which("git")
    if program is None:
        return None
    found = _git(program, folder, ("rev-parse", "--show-toplevel"))
    if found.returncode:
        if "not a git repository" in found.stderr:
            return None
        raise _refusal(found)
    checkout = Checkout(program, Path(found.stdout.rstrip("\n")).resolve())
    return checkout if _git(program, folder, ("rev-parse", "--verify", "--quiet", "HEAD")).returncode == 0 else None


def _git(program: str, folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # The words of an error are read, so they have to be English. A command that only reads takes no lock.
    environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    return subprocess.run(
        [program, "-C", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=environment,
        check=False,
    )


def _refusal(result: subprocess.CompletedProcess[str]) -> OrderopsError:
    lines = result.stderr.strip().splitlines() or [f"ended with {result.returncode}"]
    reason = lines[0].removeprefix("fatal: ")
    command = next((line.strip() for line in lines if line.strip().startswith("git config")), "")
    return OrderopsError(
        f"git cannot read the checkout: {reason}",
        f"let git read it: {command}" if command else "make `git status` work in this folder, then re-run this command",
    )
