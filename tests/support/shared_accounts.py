"""Accounts that take seconds to make, made by one worker of a run and brought back by all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from support.copied_clusters import FOLDER


def made_once(name: str, url: str, make: Callable[[], bytes]) -> bytes:
    """Return the state that `make` answers in the first process of this run that asks for `name`; others wait for it.

    `url` is where this process serves the account. The state names it in URLs of queues.
    """
    kept = Path(os.environ[FOLDER]) / name
    with Path(f"{kept}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            partial = Path(f"{kept}.partial")
            partial.write_bytes(url.encode() + b"\n" + make())
            partial.rename(kept)
    made_at, _, state = kept.read_bytes().partition(b"\n")
    # In a pickle, a string stands behind its length.
    return state.replace(made_at, url.encode()) if len(made_at) == len(url) else make()
