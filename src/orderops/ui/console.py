"""What the operator sees: steps, plans, tables, refusals, questions. Data goes to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from orderops.engine.inventory import Owned
from orderops.engine.resource import Effect, Leftover
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError, Unfinished, UsageError
from orderops.text.durations import in_words

if TYPE_CHECKING:
    from orderops.doctor import Check

SIGNS = {
    Action.CREATE: ("+", "green"),
    Action.ADOPT: ("~", "magenta"),
    Action.UPDATE: ("~", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.KEEP: ("=", "cyan"),
    Action.NO_OP: (" ", "dim"),
}
DONE = {
    Action.CREATE: "created",
    Action.ADOPT: "taken over",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
    Action.KEEP: "kept",
    Action.NO_OP: "unchanged",
}
MIGRATED = {"apply": "migrated", "undo": "undone"}
OUTCOME_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow", "killed": "bold red"}
FEW = 3
"""Names that are said one by one."""
COMMAND = 76
"""Characters of a command that fit on a line."""

out = Console(soft_wrap=True, highlight=False, emoji=False)  # an ARN may hold what else becomes one, as :secret:
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def info(text: str = "") -> None:
    """A line beside the data."""
    err.print(escape(text))


def info_folded(text: str) -> None:
    """A longer line beside the data, folded at words where somebody reads along."""
    fold = textwrap.TextWrapper(err.width, "", "    ", break_long_words=False, break_on_hyphens=False)
    for line in fold.wrap(text) if err.is_terminal else [text]:
        info(line)


def data(text: str) -> None:
    """A line of data."""
    out.print(escape(text))


def show_error(error: OrderopsError) -> None:
    """What happened, and what to type next."""
    for place, line in enumerate(error.lines):
        _explain("[bold red]error:[/] " if place == 0 else "", line, indent=7)
    for line in error.hint.splitlines():
        err.print("[bold] hint:[/] " + escape(line))


def show_plan(steps: Sequence[Step], unclaimed: Sequence[Owned] = (), *, whole: bool = True) -> None:
    """Every step that would change something, property by property; `whole` shows what a creation sets too."""
    for step in sorted(steps, key=lambda step: (step.action is not Action.DELETE, step.address)):
        if step.action is Action.NO_OP:
            continue
        sign, colour = SIGNS[step.action]
        effect = f"  [{_effect_colour(step.effect)}]{step.effect}[/]" if step.effect is not Effect.SAFE else ""
        note = f"  [dim]{escape(told)}[/]" if (told := noteworthy(step)) else ""
        out.print(f"[{colour}]{sign} {step.action} {escape(step.address)}[/]{effect}{note}")
        if step.action is not Action.CREATE:
            for key, (live, desired) in step.changes.items():
                _show_change(key, live, desired)
        elif whole:
            for key, (_, desired) in step.changes.items():
                out.print(f"    [dim]{escape(key)}: {escape(_shown(desired))}[/]")
        if step.error:
            out.print(f"    [red]refused:[/] {escape(step.error.message)}")
            out.print(f"    [bold]hint:[/] {escape(step.error.hint)}")
    for owned in unclaimed:
        out.print(
            f"[cyan]? unclaimed {escape(owned.address)}[/]  [dim]{escape(owned.observed.id)}, no longer declared[/]"
        )


def noteworthy(step: Step) -> str:
    """A step's note; nothing where it is an id that only says the name again, as most ARNs do."""
    name = step.address.partition("/")[2].partition(":")[0]
    return "" if step.action is Action.DELETE and name in step.note else step.note


def summary(steps: Iterable[Step], unclaimed: Sequence[Owned] = ()) -> str:
    """The counts of a plan in one line."""
    counts = Counter(step.action for step in steps)
    said = [f"{counts[action]} to {action}" for action in Action if action is not Action.NO_OP and counts[action]]
    said.append(f"{counts[Action.NO_OP]} unchanged")
    if unclaimed:
        said.append(f"{len(unclaimed)} unclaimed")
    return ", ".join(said)


def show_undeclared_environments(environment: str, strangers: Mapping[str, Collection[str]]) -> None:
    """Environments that are in the account and have no file, before one is made anew: it may have been renamed."""
    for name, addresses in strangers.items():
        database = ", a database among them" if any(each.startswith("rds-instance/") for each in addresses) else ""
        info(
            f"there is also {name} here ({len(addresses)} resources{database}) and no file {name}.toml: was it renamed?"
        )
        info(f"an environment keeps its name: {environment} would be made anew, and {name} stays as it is, unused")


def plan_json(
    environment: str,
    steps: Sequence[Step],
    unclaimed: Sequence[Owned],
    strangers: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """A plan for machines; keys stay as they are."""
    counts = Counter(str(step.action) for step in steps)
    return {
        "environment": environment,
        "steps": [
            {
                "address": step.address,
                "action": str(step.action),
                "class": str(step.effect),
                "changes": {key: {"live": live, "desired": desired} for key, (live, desired) in step.changes.items()},
                **({"refused": step.error.message, "hint": step.error.hint} if step.error else {}),
            }
            for step in sorted(steps, key=lambda step: step.address)
            if step.action is not Action.NO_OP
        ],
        "unclaimed": sorted(owned.address for owned in unclaimed),
        "without_file": {name: len(addresses) for name, addresses in (strangers or {}).items()},
        "summary": {str(action): counts[str(action)] for action in Action if counts[str(action)]},
    }


def is_interactive() -> bool:
    """Whether a question would be read."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Go on only after a yes; without a terminal, `--yes` is the only one."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", "say it beforehand: --yes")
    err.print(f"[bold]{escape(question)}[/] {escape('[y/N]')} ", end="")
    if input().strip().lower() not in ("y", "yes"):
        raise OrderopsError("not confirmed; nothing was changed")


def confirm_name(name: str, what: str, *, given: Sequence[str], yes: str = "go on", no: str = "stop") -> bool:
    """Whether this name was given beforehand or is typed now."""
    if name in given:
        return True
    if not sys.stdin.isatty():
        return False
    err.print(f"{escape(what)}. Type [bold]{escape(name)}[/] to {yes}, or nothing to {no}: ", end="")
    return input().strip() == name


def show_leftovers(left: Iterable[Leftover]) -> None:
    """What stays behind on purpose, and what to type for each kind of it."""
    info("left behind, until you remove it:")
    for each in left:
        for name in each.names[:FEW]:
            info(f"  {each.what}: {name}")
        if len(each.names) > FEW:
            info(f"  and {len(each.names) - FEW} more")
        whole = each.command.replace("NAME", each.names[0])
        info(f"    {whole if len(each.names) == 1 and len(whole) <= COMMAND else each.command}")


def show_history(runs: Iterable[Mapping[str, Any]]) -> None:
    """A run a line, and below it who, from where, what was done, and what went wrong."""
    for run in runs:
        outcome = run["outcome"]
        took = _took(run)
        colour = OUTCOME_COLOURS.get(outcome, "white")
        out.print(f"{run['started'][:19]}Z  [{colour}]{outcome:11}[/]  {took:12}  {escape(run['command'])}")
        actions = [step["action"] for step in run["steps"]]
        counts = Counter(MIGRATED.get(action) or DONE.get(action, action) for action in actions)
        done = ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing done"
        out.print(f"    [dim]{escape(run['who'])} on {escape(run['host'])}: {done}[/]")
        if error := run.get("error"):
            out.print(f"    [red]{escape(error.splitlines()[0])}[/]")


def _took(run: Mapping[str, Any]) -> str:
    until = run.get("ended") or run.get("last_seen")
    if not until:
        return ""
    seconds = (datetime.fromisoformat(until) - datetime.fromisoformat(run["started"])).total_seconds()
    return in_words(max(0.0, seconds))


def show_findings(findings: Iterable[Check]) -> None:
    """What was looked at, with a hint below what is missing."""
    for each in findings:
        word, colour = ("ok", "green") if each.ok else ("missing", "red") if each.needed else ("absent", "yellow")
        out.print(f"[{colour}]{word:8}[/]{escape(each.name):26}{escape(each.detail)}")
        if not each.ok:
            out.print(f"        [bold]hint:[/] {escape(each.hint)}")


def show_policies(policies: Iterable[Mapping[str, Any]]) -> None:
    """What each policy allows, statement by statement, and the two commands that give it to a role."""
    for each in policies:
        out.print(f"[bold]{escape(each['name'])}[/]  [dim]for the {each['for']}, {each['characters']} characters[/]")
        for statement in each["document"]["Statement"]:
            out.print(f"  [cyan]{statement['Sid']}[/]  {escape(', '.join(statement['Action']))}")
            for arn in statement["Resource"]:
                out.print(f"    [dim]on {escape(arn)}[/]")
            for operator, keys in statement.get("Condition", {}).items():
                for key, value in keys.items():
                    wanted = value if isinstance(value, str) else " or ".join(value)
                    out.print(f"    [dim]if {operator} {escape(key)}: {escape(wanted)}[/]")
        out.print(escape(each["create"]))
        out.print(escape(each["attach"]))


def show_unfinished(error: Unfinished) -> None:
    """Each step that stopped, with why, and what to do about it; what several have in common is said once."""
    by_hint: dict[str, list[str]] = {}
    for address, refusal in error.failures.items():
        by_hint.setdefault(refusal.hint, []).append(address)
    for hint, addresses in by_hint.items():
        for address in sorted(addresses):
            first = error.failures[address].lines[:1]
            _explain(f"[red]x {escape(address)}[/]: ", "".join(first), indent=4)
        for line in dict.fromkeys(line for address in sorted(addresses) for line in error.failures[address].lines[1:]):
            _explain("", line, indent=4)
        for line in hint.splitlines():
            err.print("    [bold]hint:[/] " + escape(line))
    left = f"; {error.left} more wait for them" if error.left else ""
    steps = "1 step" if len(error.failures) == 1 else f"{len(error.failures)} steps"
    rest = "nothing was changed" if error.dry_run else "the rest is done"
    err.print(f"[bold red]error:[/] {steps} stopped{left}; {rest}")
    err.print("[bold] hint:[/] after that, the same command goes on from here")


def _explain(lead: str, text: str, *, indent: int) -> None:
    """A sentence after a lead, folded at words where somebody reads along; whole where it is piped."""
    space = " " * indent
    if not err.is_terminal:
        err.print((lead or space) + escape(text))
        return
    width = Text.from_markup(lead).cell_len if lead else indent
    fold = textwrap.TextWrapper(err.width, "x" * width, space, break_long_words=False, break_on_hyphens=False)
    for place, line in enumerate(fold.wrap(text)):
        err.print(((lead or space) if place == 0 else space) + escape(line[width:] if place == 0 else line[indent:]))


def _show_change(key: str, live: Any, desired: Any) -> None:
    if isinstance(live, list) and isinstance(desired, list):
        for gone in [each for each in live if each not in desired]:
            out.print(f"    {escape(key)}: [red]- {escape(_shown(gone))}[/]")
        for new in [each for each in desired if each not in live]:
            out.print(f"    {escape(key)}: [green]+ {escape(_shown(new))}[/]")
    elif isinstance(live, dict) and isinstance(desired, dict):
        for inner in sorted({*live, *desired}):
            if live.get(inner) != desired.get(inner):
                _show_change(f"{key}.{inner}", live.get(inner), desired.get(inner))
    else:
        out.print(f"    {escape(key)}: [red]{escape(_shown(live))}[/] -> [green]{escape(_shown(desired))}[/]")


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _effect_colour(effect: Effect) -> str:
    return "yellow" if effect is Effect.RESTARTS else "bold red"
