"""Commands on the live database and a copy of it, carried out where both can be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


def pair_sent_where_needed(command: Callable[P, None]) -> Callable[P, None]:
    """A command on the live database and a copy of it, sent by an errand where the access is `task`."""

    @wraps(command)
    def sent_or_done(*args: P.args, **given: P.kwargs) -> None:
        if not _pair_sent(command, given):
            command(*args, **given)

    return sent_or_done


def _pair_sent(command: Callable[..., None], given: Mapping[str, Any]) -> bool:
    from orderops.config.environment import load_environment
    from orderops.errors import UsageError
    from orderops.operations.remote import words_of
    from orderops.operations.restore import primary_and, run_pair_by_task
    from orderops.operations.workspace import open_workspace
    from orderops.remote.job import current_job
    from orderops.restore.salvage.script import write_script

    env, folder = str(given["env"]), given.get("environments")
    if current_job() or load_environment(env, folder).database.access != "task":
        return False
    if given.get("export"):
        raise UsageError(
            "--export would be written inside of a task, and be gone with it (access = 'task')",
            "a few of the rows: --samples 20; or write what brings them back: orderops restore salvage --output FILE",
        )
    workspace = open_workspace(env, folder)
    primary, copy = primary_and(workspace, given.get("name"))
    output = given.get("output")
    words = ["restore", command.__name__, *words_of(command, {**given, "output": None})]
    if output is None:
        run_pair_by_task(workspace, words, primary, copy)
        return True
    pieces: list[str] = []
    run_pair_by_task(workspace, words, primary, copy, pieces.append)
    write_script(iter(pieces), output)
    return True
