"""Drift: show it with its movers, revert it in the account, or accept it in the environment file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from orderops.config.edit import write_file
from orderops.config.loader import dotted
from orderops.drift.accept import Acceptance, accept, key_for
from orderops.drift.report import DriftReport, Side, compare, drift_of, unused_ignores
from orderops.engine.reconcile import reconcile
from orderops.engine.resource import Resource
from orderops.engine.step import Action, Step
from orderops.errors import Differences, OrderopsError
from orderops.infra.plan import check_addresses
from orderops.infra.workspace import Workspace
from orderops.operations.guarded import Change, check_covered, guarded_change
from orderops.operations.options import ChangeOptions
from orderops.operations.workspace import confirm_change, slow_resources
from orderops.runs.run import Run
from orderops.text.lists import counted, joined
from orderops.ui import console
from orderops.ui.drift import show_drift, show_file_change, show_key_note
from orderops.ui.progress import Progress


def show(workspace: Workspace, *, as_json: bool) -> None:
    """Show every difference with its mover and the ways on. Raises Differences if any counts as drift."""
    with Progress() as progress:
        report = drift_of(workspace, on_wait=progress.watch)
    if not report.exists:
        name = workspace.environment.name
        raise OrderopsError(
            f"{name} does not exist yet, so nothing has drifted", f"create it: orderops up --env {name}"
        )
    unused = unused_ignores(workspace, report.differences)
    if as_json:
        differences = [drift.to_dict() for drift in report.differences]
        document = {"environment": workspace.environment.name, "differences": differences, "unused_ignores": unused}
        console.show_json(document)
    else:
        show_drift(report.differences, dict(_ways(workspace, report)))
        for pattern in unused:
            console.info(f'nothing differs under [drift.ignore."{pattern}"]: remove it from {workspace.file.name}')
        console.info(_summary(workspace, report))
    if report.drift:
        raise Differences


def _summary(workspace: Workspace, report: DriftReport) -> str:
    counts = {
        "drifted": len(report.drift),
        "ignored": sum(drift.ignored is not None and not drift.expired for drift in report.differences),
        "to apply from the file": sum(drift.moved is Side.FILE for drift in report.differences),
    }
    parts = [f"{count} {word}" for word, count in counts.items() if count]
    name = workspace.environment.name
    return (
        f"{name}: {', '.join(parts)}"
        if parts
        else f"{name} is as its file declares ({len(report.resources)} resources)"
    )


def _ways(workspace: Workspace, report: DriftReport) -> Iterator[tuple[str, list[str]]]:
    """The commands for each resource that has drifted."""
    name = workspace.environment.name
    for address in dict.fromkeys(drift.address for drift in report.drift):
        of_resource = [drift for drift in report.drift if drift.address == address]
        effect = of_resource[0].effect
        ways = []
        if not of_resource[0].refused:
            ways.append(f"revert ({effect}): orderops infra drift --revert {address} --env {name}")
        keys = [key_for(workspace, report, drift) for drift in of_resource]
        if all(keys):
            words = ", ".join(dotted(key.key) for key in keys if key)
            ways.append(f"accept ({words}): orderops infra drift --accept {address} --env {name}")
        if all(drift.can_be_ignored for drift in of_resource):
            ways.append(
                f'ignore: [drift.ignore."{address}"] in {workspace.file.name}, with properties, reason and until'
            )
        yield address, ways


def revert(workspace: Workspace, options: ChangeOptions, addresses: Sequence[str]) -> None:
    """Set these resources back to what the file declares, and nothing else."""
    check_addresses(addresses, workspace.declared(), "--revert {}: no declared resource has this address")
    outcome = guarded_change(workspace, options, _Revert(workspace, options, addresses))
    if outcome is None:
        return
    if options.as_json:
        document = console.plan_json(workspace.environment.name, outcome.steps, [])
        console.show_json({**document, "applied": outcome.run is not None})
    elif outcome.run:
        console.info(f"reverted: {joined([step.address for step in outcome.steps])}")
    else:
        console.info(f"nothing to revert: {joined(list(addresses))} as declared")


class _Revert(Change[DriftReport]):
    compares = True

    def __init__(self, workspace: Workspace, options: ChangeOptions, addresses: Collection[str]) -> None:
        self._workspace = workspace
        self._options = options
        self._addresses = set(addresses)

    def plan(self) -> DriftReport:
        with Progress() as progress:
            return compare(self._workspace, on_wait=progress.watch)

    def show(self, plan: DriftReport) -> None:
        if not self._options.as_json:
            console.show_plan(self._steps(plan))

    def preview(self, plan: DriftReport) -> None:
        if self._options.as_json:
            console.show_json(console.plan_json(self._workspace.environment.name, self._steps(plan), []))

    def is_needed(self, plan: DriftReport) -> bool:
        self._check_not_ignored(plan)
        return any(step.action is not Action.NO_OP for step in self._steps(plan))

    def ask(self, plan: DriftReport) -> bool:
        changing = [step for step in self._steps(plan) if step.action is not Action.NO_OP]
        for step in changing:
            if step.refused:
                raise plan.plan.terms.refused[step.address]
        question = f"Revert {counted(len(changing), 'resource')} of {self._workspace.environment.name}?"
        return confirm_change(self._workspace, question, self._options)

    def check(self, confirmed: DriftReport, plan: DriftReport, *, prompted: bool) -> None:
        if prompted:
            check_covered(self._steps(confirmed), self._steps(plan))

    def apply(self, plan: DriftReport, run: Run, progress: Progress) -> None:
        steps = reconcile(
            [resource for resource in plan.resources.values() if resource.address in self._addresses],
            plan.plan.inventory,
            outputs=plan.plan.outputs,
            terms=plan.plan.terms,
            on_wait=progress.watch,
            recent_writes=run.recent_writes,
        )
        for step in steps:
            progress.done(step)

    def progress_resources(self, plan: DriftReport) -> Iterable[Resource]:
        return slow_resources(self._workspace)

    def _steps(self, plan: DriftReport) -> list[Step]:
        return [step for step in plan.plan.steps if step.address in self._addresses]

    def _check_not_ignored(self, plan: DriftReport) -> None:
        for step in self._steps(plan):
            if step.ignored and step.action is Action.NO_OP:
                raise OrderopsError(
                    f"{step.address}: {joined(list(step.ignored))} differs and is ignored, so it is not reverted",
                    f"remove it from [drift.ignore] in {self._workspace.file.name}, then re-run this command",
                )


def accept_in_file(workspace: Workspace, options: ChangeOptions, addresses: Sequence[str]) -> None:
    """Write into the environment file what the account has at these addresses, after the operator agreed."""
    check_addresses(addresses, workspace.declared(), "--accept {}: no declared resource has this address")
    with Progress() as progress:
        report = compare(workspace, on_wait=progress.watch)
    accepted = accept(workspace, report, addresses)
    file = str(workspace.file)
    if not accepted.keys:
        console.info(f"nothing to accept: {joined(list(addresses))} as declared")
        return
    if not options.as_json:
        show_file_change(file, accepted.before, accepted.after)
        for change in accepted.keys:
            show_key_note(dotted(change.key), change.also)
    if options.dry_run:
        _show_accepted(file, accepted, options, written=False)
        raise Differences
    console.confirm(f"Write {file}?", yes=options.yes)
    if workspace.file.read_bytes().decode("utf-8") != accepted.before:
        raise OrderopsError(f"{file} changed while you decided; nothing was written", "re-run this command")
    write_file(workspace.file, accepted.after)
    _show_accepted(file, accepted, options, written=True)


def _show_accepted(file: str, accepted: Acceptance, options: ChangeOptions, *, written: bool) -> None:
    if options.as_json:
        keys = [
            {"key": dotted(change.key), "before": change.before, "after": change.after, "also": list(change.also)}
            for change in accepted.keys
        ]
        console.show_json({"file": file, "keys": keys, "written": written})
    elif written:
        console.info(f"written: {file}; nothing in the account was changed")
        for change in accepted.keys:
            console.info(f"to undo it: set {dotted(change.key)} back to {change.before!r} in {file}")
