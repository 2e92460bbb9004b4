"""The health of an environment: verdict, cause, next command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn

from rich.table import Table

from orderops.text.durations import in_words
from orderops.text.lists import joined
from orderops.text.outside import plain
from orderops.ui.commands import completed
from orderops.ui.console import out, out_folded
from orderops.ui.escaping import escape

# Details quote AWS, the service and the lease.
LONGEST = 1000
DIGEST = 12
"""Digits of a digest that are shown, as builders do."""
COMPARED = 30
"""Refreshes of a watch between two comparisons of the account with the file."""
URGENCY = {
    "P0": "act now",
    "P1": "act within 30 minutes",
    "P2": "act on the next business day",
    None: "nothing to do yet",
}
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
    """Show the verdict, the health table, the cause with what explains it, and the next command."""
    colour = STATE_COLOURS.get(status["verdict"], "white")
    out.print(
        f"[bold]{escape(status['environment'])}[/] is [bold {colour}]{status['verdict']}[/]{escape(_urgency(status))}"
    )
    _show_components(status["components"])
    for release in status.get("releases", ()):
        out_folded(f"release: {escape(_release(release))}")
    if status["restorable_until"]:
        out_folded(f"restorable until {escape(_moment(status['restorable_until']))}")
    _show_logins(status)
    for run in status["runs"]:
        out_folded(f"run:   {escape(_under_way(run))}")
    for broken in status.get("unreadable", ()):
        out_folded(f"[yellow]unreadable:[/] {escape(plain(broken['error'], LONGEST))}")
        for line in broken["hint"].splitlines():
            out.print(f"    {escape(completed(plain(line, LONGEST)))}")
    if status["denied"]:
        calls = joined([plain(call) for call in status["denied"]], max_names=5)
        out_folded(f"[yellow]not seen:[/] these credentials may not call {escape(calls)}")
    for change in status["pending"]:
        waits = f"{change['what']} waits for {change['until']} ({change['class']})"
        out_folded(f"[cyan]pending:[/] {escape(plain(change['name']))}: {escape(plain(waits, LONGEST))}")
        out.print(f"    now: {escape(completed(plain(change['command'], LONGEST)))}")
    for note in status["notes"]:
        out_folded(f"[cyan]review:[/] {escape(plain(note['what'], LONGEST))}")
        out.print(f"    then: {escape(completed(plain(note['next'], LONGEST)))}")
    _show_cause(status)
    for name, url in status["urls"].items():
        out.print(f"{escape(name)}: {escape(plain(url))}")
    # An environment that does not exist has no database to restore.
    if status["verdict"] != "absent":
        out_folded(f"[dim]{escape(_last_drill(status['proven_restore'], status['environment']))}[/]")
    if status["next"]:
        out.print(f"next:  [bold]{escape(completed(status['next']))}[/]")


def _show_logins(status: Mapping[str, Any]) -> None:
    """Show how old the passwords are, and services that log in to the database with too many rights."""
    if secrets := status["secrets"]:
        out_folded(f"secrets: {escape(joined([_secret(secret) for secret in secrets], max_names=3))}")
    if status.get("login") == "master":
        grant = f"orderops migrate grant --env {status['environment']}"
        out_folded("[yellow]login:[/] the services log in to the database as its master user, who may do everything")
        out.print(f"    then: {escape(completed(grant))}")


def _urgency(status: Mapping[str, Any]) -> str:
    """How soon to act, behind the verdict; nothing where there is no fault."""
    priority = status["priority"]
    if not status["cause_component"]:
        return ""
    return f", {priority}: {URGENCY[priority]}" if priority else f": {URGENCY[priority]}"


def _show_cause(status: Mapping[str, Any]) -> None:
    """Show the root cause, since when, and the last change before it."""
    if not status["cause_component"] and status["verdict"] != "absent":
        return
    out_folded(f"cause: {escape(plain(status['cause'], LONGEST))}")
    if since := status["since"]:
        out_folded(f"since: {escape(_moment(since))}")
    if change := status["last_change"]:
        what = f"{_moment(change['at'])}: `{change['what']}` by {change['who']}, {change['tool']}"
        out_folded(f"last change before it: {escape(plain(what, LONGEST))}")


def _moment(text: str) -> str:
    age = datetime.now(UTC) - datetime.fromisoformat(text)
    return f"{text[:16].replace('T', ' ')}Z ({in_words(age)} ago)"


def _release(release: Mapping[str, Any]) -> str:
    """The service, the name of what runs, and since when."""
    digest = (release["digest"] or "").removeprefix("sha256:")[:DIGEST]
    version = plain(release["version"] or "")
    name = f"{version} ({digest})" if version and digest else version or digest or plain(release["image"])
    name = name or "an image that cannot be read"
    since = ""
    if release["since"]:
        since = f", since {_moment(release['since'])}"
    going_on = ", being rolled out" if release["rollout"] == "in_progress" else ""
    return f"{release['service']} {name}, revision {release['revision']}{since}{going_on}"


def _secret(secret: Mapping[str, Any]) -> str:
    age = datetime.now(UTC) - datetime.fromisoformat(secret["since"])
    return f"{plain(secret['name'])} is {in_words(age)} old"


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
    components = [{**component, "detail": _with_wait(component)} for component in components]
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


def _with_wait(component: Mapping[str, Any]) -> str:
    """The detail of a component, led by what it waits on, since it has no fault of its own."""
    waits = component["waits_on"]
    return f"waits on {waits}; {component['detail']}" if waits else str(component["detail"])


def watch_status(read: Callable[[bool], Mapping[str, Any]], *, interval: float = 2.0) -> NoReturn:
    """Refresh the health table every `interval` seconds, until Ctrl+C.

    `read` is asked now and then to compare the account with the file, too, which takes many calls.
    """
    notes: list[Any] = []
    refreshes = count()
    while True:
        compare = next(refreshes) % COMPARED == 0
        status = read(compare)
        # What was found to differ is shown until it is looked for again.
        notes = list(status["notes"]) if compare else notes
        # Read first, so that the old table stays visible meanwhile.
        if out.is_terminal:
            out.clear()
        show_status({**status, "notes": notes})
        time.sleep(interval)
