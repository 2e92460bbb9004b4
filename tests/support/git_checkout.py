"""A git checkout with commits and tags, made by the real git."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# 2026-03-01T12:00:00Z
COMMITTED_AT = 1_772_366_400


@dataclass(frozen=True)
class GitCheckout:
    """A work tree whose commits all have the same time, and whose settings are not those of the machine."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Run git and return its output."""
        time = f"{COMMITTED_AT} +0000"
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_DATE": time,
            "GIT_COMMITTER_DATE": time,
        }
        identity = ["-c", "user.name=an operator", "-c", "user.email=operator@example.com"]
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        return result.stdout.strip()

    def commit(self, *tags: str) -> str:
        """Commit everything, with these tags, and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change")
        for tag in tags:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


def git_checkout(folder: Path) -> GitCheckout:
    """Begin a checkout in a folder."""
    checkout = GitCheckout(folder)
    checkout.git("init", "--quiet")
    return checkout
