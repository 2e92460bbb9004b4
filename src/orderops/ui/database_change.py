"""Guided changes of the database on the screen: the facts before the question, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import unified_diff

from orderops.infra.instance_plan import Fact, InstancePlan
from orderops.infra.outage import OutageProbe
from orderops.infra.workspace import Workspace
from orderops.text.durations import measured
from orderops.text.lists import counted
from orderops.ui import console
from orderops.ui.escaping import escape


def show_facts(facts: Iterable[Fact]) -> None:
    """Show what to know before the question, a line each."""
    for fact in facts:
        console.out_folded(f"    [bold]{escape(fact.about)}:[/] {escape(fact.text)}", indent=6)


def show_file(file: str, before: str, after: str) -> None:
    """Show the lines of the environment file that change."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[3:]
    for line in lines:
        console.out_folded(f"    {escape(file)}: {escape(line)}", indent=6)


def show_outcome(workspace: Workspace, plan: InstancePlan, probe: OutageProbe | None, *, applied: bool) -> None:
    """Show what a guided change has come to, and the next step."""
    name, env = plan.observed.id, workspace.environment.name
    if plan.waits:
        window = plan.observed.properties["PreferredMaintenanceWindow"]
        what = f"{name} changes from {plan.now} to {plan.wanted} in the maintenance window {window} (UTC)"
        console.info_folded(what if applied else f"{what}; nothing to do until then")
    elif not applied:
        console.info(f"{name} has {plan.wanted} already; nothing was changed")
    else:
        console.info(f"{name} has {plan.wanted}")
    if probe:
        show_away(probe)
        console.info_folded("its memory starts empty, so the first queries are slower")
    if applied:
        console.info(f"keep {workspace.file} under version control: it declares the new value")
    console.info(f"next: orderops status --env {env}")


def show_green(workspace: Workspace, green: str, command: str) -> None:
    """Show what to do with a green instance that is ready."""
    env = workspace.environment.name
    console.info(f"{green} is ready and follows the database; nothing was switched over")
    console.info_folded("try it as you like, by reads only: what is written there has RDS refuse the switchover")
    console.info(f"switch over: orderops {command} --env {env}")
    console.info(f"or give up:  orderops {command} --abandon --env {env}")


def show_old(workspace: Workspace, names: Iterable[str]) -> None:
    """Show which databases from before switchovers are kept, and how to let go of them."""
    for name in names:
        console.info_folded(f"{name} is the database from before a switchover: kept as it was, and charged")
        console.info(f"let go of it: orderops restore discard {name} --env {workspace.environment.name}")


def show_away(probe: OutageProbe) -> None:
    """Show how long the database was away, and what saw it."""
    outages = probe.outages
    if not outages.found:
        console.info(f"it was never seen away ({probe.source})")
        return
    times = f" in {counted(len(outages.found), 'time')}" if len(outages.found) > 1 else ""
    console.info(f"it was away for {measured(outages.seconds)}{times}, as seen by {probe.source}")
