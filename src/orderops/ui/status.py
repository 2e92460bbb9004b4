"""The health of an environment: verdict, cause, next command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from rich.table import Table

from orderops.text.durations import in_words
from orderops.text.lists import counted, joined
from orderops.text.outside import plain
from orderops.ui.commands import completed
from orderops.ui.console import out, out_folded
from orderops.ui.escaping import escape

# Details quote AWS, the service and the lease.
LONGEST = 1000
DIGEST = 12
"""Digits of a digest that are shown, as builders do."""
STATE_COLOURS = {
    "ok": "green",
    "healthy": "green",
    "degraded": "yellow",
    "starting": "yellow",
    "down": "red",
    "absent": "dim",
    "unknown": "dim",
}


def show_status(status: Mapping[str, Any]) -> None:
    """Show the verdict, the health table, the cause and the next command."""
    colour = STATE_COLOURS.get(status["verdict"], "white")
    out.print(f"[bold]{escape(status['environment'])}[/] is [bold {colour}]{status['verdict']}[/]")
    _show_components(status["components"])
    _show_releases(status.get("releases", ()))
    for run in status["runs"]:
        out_folded(f"run:   {escape(_under_way(run))}")
    for broken in status.get("unreadable", ()):
        out_folded(f"[yellow]unreadable:[/] {escape(plain(broken['error'], LONGEST))}")
        for line in broken["hint"].splitlines():
            out.print(f"    {escape(completed(plain(line, LONGEST)))}")
    for change in status["pending"]:
        waits = f"{change['what']} waits for {change['until']} ({change['class']})"
        out_folded(f"[cyan]pending:[/] {escape(plain(change['name']))}: {escape(plain(waits, LONGEST))}")
        out.print(f"    now: {escape(completed(plain(change['command'], LONGEST)))}")
    if status["cause"]:
        out_folded(f"cause: {escape(plain(status['cause'], LONGEST))}")
    for name, url in status["urls"].items():
        out.print(f"{escape(name)}: {escape(plain(url))}")
    # An environment that does not exist has no database to restore.
    if status["verdict"] != "absent":
        out_folded(f"[dim]{escape(_last_drill(status['proven_restore'], status['environment']))}[/]")
    if status["next"]:
        out.print(f"next:  [bold]{escape(completed(status['next']))}[/]")


def _show_releases(releases: Sequence[Mapping[str, Any]]) -> None:
    """Show what runs of each service, and which tasks are older than a secret that they read at start."""
    for release in releases:
        out_folded(f"release: {escape(_release(release))}")
    for release in releases:
        if not release["outdated_tasks"]:
            continue
        secrets = joined([plain(name) for name in release["changed_secrets"]])
        tasks = counted(release["outdated_tasks"], "task")
        old = f"{tasks} of {release['service']} started before {secrets} got its value of now"
        out_folded(f"[cyan]outdated:[/] {escape(old)}")
        out.print(f"    now: {escape(completed(release['next']))}")


def _release(release: Mapping[str, Any]) -> str:
    """The service, the name of what runs, and since when."""
    digest = (release["digest"] or "").removeprefix("sha256:")[:DIGEST]
    version = plain(release["version"] or "")
    name = f"{version} ({digest})" if version and digest else version or digest or plain(release["image"])
    name = name or "an image that cannot be read"
    since = ""
    if release["since"]:
        age = datetime.now(UTC) - datetime.fromisoformat(release["since"])
        since = f", since {release['since'][:16].replace('T', ' ')}Z ({in_words(age)} ago)"
    going_on = ", being rolled out" if release["rollout"] == "in_progress" else ""
    return f"{release['service']} {name}, revision {release['revision']}{since}{going_on}"


def _under_way(run: Mapping[str, str]) -> str:
    """The command of a run, its operator and when it began."""
    began = f" since {run['since'][:19]}Z" if run["since"] else ""
    return plain(f"`{run['command']}` by {run['who']} on {run['host']}{began}")


def _last_drill(drill: Mapping[str, Any] | None, environment: str) -> str:
    """The age and duration of the last restore drill."""
    if drill is None:
        return completed(f"no restore drill yet; run: orderops restore drill --env {environment}")
    age = datetime.now(UTC) - datetime.fromisoformat(drill["started"])
    return f"last proven restore {in_words(age)} ago, in {in_words(drill['recovery_seconds'])}"


def _show_components(components: Sequence[Mapping[str, str]]) -> None:
    """Show a table that fits the terminal, or one unwrapped line for each component elsewhere."""
    # In a log, folded cells would spread one sentence over several lines.
    if not out.is_terminal:
        name_width = max(len(component["name"]) for component in components)
        state_width = max(len(component["state"]) for component in components)
        for component in components:
            name, state = f"{component['name']:{name_width}}", f"{component['state']:{state_width}}"
            out.print(escape(f"{name}  {state}  {plain(component['detail'], LONGEST)}".rstrip()))
        return
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for component in components:
        colour = STATE_COLOURS.get(component["state"], "white")
        table.add_row(
            escape(component["name"]),
            f"[{colour}]{escape(component['state'])}[/]",
            escape(plain(component["detail"], LONGEST)),
        )
    out.print(table, soft_wrap=False, width=min(out.width, 80))


def watch_status(read: Callable[[], Mapping[str, Any]], *, interval: float = 2.0) -> NoReturn:
    """Refresh the health table every `interval` seconds, until Ctrl+C."""
    while True:
        status = read()
        # Read first, so that the old table stays visible meanwhile.
        if out.is_terminal:
            out.clear()
        show_status(status)
        time.sleep(interval)
