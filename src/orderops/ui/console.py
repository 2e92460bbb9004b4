"""The terminal: plans, errors, questions and lists. Data goes to stdout, everything else to stderr.

Everything that orderops prints passes here. Text from outside is escaped, for Rich and for the terminal.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from orderops.engine.inventory import Owned
from orderops.engine.resource import Effect, Leftover, PendingChange
from orderops.engine.step import Action, Step
from orderops.errors import OrderopsError, Unfinished, UsageError
from orderops.text.lists import counted, joined
from orderops.ui.commands import completed
from orderops.ui.escaping import Terminal, escape, visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console

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
COMMAND = 76
"""Characters of a command that fit on a line."""

# Soft wrap keeps commands and ARNs whole, so that they can be copied from a narrow terminal.
# Emoji are off because an ARN may contain the code of one, such as :secret:.
out = Terminal(soft_wrap=True, highlight=False, emoji=False)
err = Terminal(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    # Not through Rich, which would wrap lines. The file of the console is there even if the process has no stdout.
    # JSON escapes control characters itself, except for DEL.
    out.file.write(json.dumps(value, indent=2, default=str).replace("\x7f", r"\u007f") + "\n")


def write_data(text: str) -> None:
    """Write text for another program to stdout: as it is into a file or a pipe, and escaped on a terminal."""
    out.file.write(visible_lines(text) if out.is_terminal else text)
    out.file.flush()


def write_line(text: str, console: Console | None = None) -> None:
    """Write a line to stderr, or to another console, without the time that Rich takes to render it."""
    write_piece(f"{visible(text)}\n", console)


def write_piece(text: str, console: Console | None = None) -> None:
    """Write a line or a piece of one to stderr, or to another console."""
    file = (console or err).file
    file.write(visible_lines(text))
    file.flush()


def info_error(lead: str, error: OrderopsError) -> None:
    """Print an error that ends nothing to stderr, after a lead."""
    for number, line in enumerate(error.lines):
        info(f"{' ' * len(lead) if number else lead}{line}")


def info(text: str = "") -> None:
    """Print a line to stderr."""
    err.print(escape(completed(text)))


def info_folded(text: str) -> None:
    """Print a line to stderr, wrapped at words on a terminal."""
    fold = textwrap.TextWrapper(err.width, "", "    ", break_long_words=False, break_on_hyphens=False)
    # A sentence is one line, whatever the text in it holds.
    sentence = text.replace("\n", " ")
    for line in fold.wrap(visible(sentence)) if err.is_terminal else [sentence]:
        info(line)


def data(text: str) -> None:
    """Print a line to stdout."""
    out.print(escape(text))


def out_folded(markup: str, *, indent: int = 4) -> None:
    """Print markup to stdout, wrapped at words with a hanging indent on a terminal; on one line elsewhere."""
    if not out.is_terminal:
        out.print(markup)
        return
    for number, line in enumerate(Text.from_markup(markup).wrap(out, out.width - indent)):
        line.rstrip()
        out.print(Text(" " * indent).append_text(line) if number else line)


def out_cut(markup: str) -> None:
    """Print markup to stdout, cut to the width of a terminal; whole elsewhere."""
    text = Text.from_markup(markup)
    if out.is_terminal:
        text.truncate(out.width, overflow="ellipsis")
    out.print(text)


def show_error(error: OrderopsError) -> None:
    """Print what happened and what to type next."""
    for number, line in enumerate(error.lines):
        _explain("[bold red]error:[/] " if number == 0 else "", line, indent=7)
    for line in error.hint.split("\n") if error.hint else ():
        err.print("[bold] hint:[/] " + escape(completed(line)))


def show_plan(steps: Sequence[Step], undeclared: Sequence[Owned] = (), *, whole: bool = True) -> None:
    """Show each step that changes something, property by property; `whole` also shows what a creation sets."""
    # Deletions first: they cannot be reversed.
    for step in sorted(steps, key=lambda step: (step.action is not Action.DELETE, step.address)):
        if step.action is Action.NO_OP:
            show_pending(step.address, step.pending)
            continue
        sign, colour = SIGNS[step.action]
        effect = f"  {_effect_text(step.effect)}" if step.effect is not Effect.SAFE else ""
        note = f"  [dim]{escape(text)}[/]" if (text := noteworthy(step)) else ""
        out_folded(f"[{colour}]{sign} {step.action} {escape(step.address)}[/]{effect}{note}")
        if step.action is not Action.CREATE:
            for key, (live, desired) in step.changes.items():
                _show_change(key, live, desired)
        elif whole:
            for key, (_, desired) in step.changes.items():
                out_folded(f"    [dim]{escape(key)}: {escape(value_text(desired))}[/]", indent=6)
        for change in step.carried:
            out_folded(f"    also carries out, now: {escape(change.what)}  {_effect_text(change.effect)}", indent=6)
        show_pending(step.address, step.pending)
        if step.error:
            out_folded(f"    [red]refused:[/] {escape(step.error.message)}", indent=6)
            for line in step.error.hint.splitlines():
                out.print(f"    [bold]hint:[/] {escape(completed(line))}")
        elif step.held_by:
            out_folded(
                f"    [red]held back:[/] belongs together with {escape(step.held_by)}, which is refused", indent=6
            )
    for owned in undeclared:
        out.print(f"[cyan]? undeclared {escape(owned.address)}[/]  [dim]{escape(owned.observed.id)}[/]")


def show_pending(address: str, pending: Iterable[PendingChange]) -> None:
    """Show what AWS holds back: what it waits for, what it does, and the command that carries it out."""
    for change in pending:
        waits = f"{change.what} waits for {change.until}"
        out_folded(f"[cyan]! pending {escape(address)}[/]: {escape(waits)}  {_effect_text(change.effect)}")
        out.print(f"    [bold]now:[/] {escape(completed(change.command))}")


def noteworthy(step: Step) -> str:
    """Return a step's note; empty if it is an id that only repeats the name, as most ARNs do."""
    name = step.address.partition("/")[2].partition(":")[0]
    return "" if step.action is Action.DELETE and name in step.note else step.note


def summary(steps: Sequence[Step], undeclared: Sequence[Owned] = ()) -> str:
    """Return the counts of a plan in one line."""
    counts = Counter(step.action for step in steps)
    parts = [f"{counts[action]} to {action}" for action in Action if action is not Action.NO_OP and counts[action]]
    parts.append(f"{counts[Action.NO_OP]} unchanged")
    if undeclared:
        parts.append(f"{len(undeclared)} undeclared")
    return ", ".join(parts) + ignored_text(steps)


def ignored_text(steps: Iterable[Step]) -> str:
    """Return the end of a line that counts the ignored differences, and names the first; "" without any."""
    ignored = [f"{step.address} {key}" for step in steps for key in step.ignored]
    return f"; ignored by the file: {joined(ignored, max_names=3)}" if ignored else ""


def show_undeclared_environments(environment: str, undeclared: Mapping[str, Collection[str]]) -> None:
    """Show environments that exist in the account and have no file, before a new one is created.

    The new one may be one of them, renamed in its file: AWS names contain the environment's name.
    """
    for name, addresses in undeclared.items():
        has_database = any(address.startswith("rds-instance/") for address in addresses)
        resources = counted(len(addresses), "resource") + (" including a database" if has_database else "")
        info_folded(f"this account also has {name} ({resources}), which has no file {name}.toml: was it renamed?")
        info_folded(f"an environment cannot be renamed: {environment} would be created, and {name} left as it is")


def plan_json(
    environment: str,
    steps: Sequence[Step],
    undeclared: Sequence[Owned],
    undeclared_environments: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Return a plan as JSON. Keys are stable."""
    counts = Counter(str(step.action) for step in steps)
    return {
        "environment": environment,
        "steps": [
            _step_json(step) for step in sorted(steps, key=lambda step: step.address) if step.action is not Action.NO_OP
        ],
        "pending": [{"address": step.address, **change.to_dict()} for step in steps for change in step.pending],
        "ignored": [{"address": step.address, "property": key} for step in steps for key in step.ignored],
        "unclaimed": sorted(owned.address for owned in undeclared),
        "without_file": {name: len(addresses) for name, addresses in (undeclared_environments or {}).items()},
        "summary": {str(action): counts[str(action)] for action in Action if counts[str(action)]},
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "address": step.address,
        "action": str(step.action),
        "class": str(step.effect),
        "changes": {key: {"live": live, "desired": desired} for key, (live, desired) in step.changes.items()},
        **({"carried_out": [change.to_dict() for change in step.carried]} if step.carried else {}),
        **({"refused": step.error.message, "hint": step.error.hint} if step.error else {}),
        **({"held_by": step.held_by} if step.held_by else {}),
    }


def result_json(
    plan: Mapping[str, Any], *, url: str | None, users: bool, applied: bool, elapsed: float | None
) -> dict[str, Any]:
    """Return what a change did as JSON, beside the keys of its plan: stable keys. `users`: the service shows them."""
    return {
        **plan,
        "applied": applied,
        "urls": {"url": f"{url}/", "users": f"{url}/users" if users else None} if url else None,
        "duration_seconds": None if elapsed is None else round(elapsed, 1),
    }


def is_interactive() -> bool:
    """Whether an operator can answer a question."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Return after a yes. Raises UsageError without a terminal and `yes`, OrderopsError for any other answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("stdin is not a terminal, so orderops cannot ask", "pass --yes")
    err.print(f"[bold]{escape(question)}[/] {escape('[y/N]')} ", end="")
    # Anything else means no, an empty line as well.
    if input().strip().lower() not in ("y", "yes"):
        raise OrderopsError("not confirmed; nothing was changed")


def confirm_name(name: str, what: str, *, given: Sequence[str], yes: str = "continue", no: str = "stop") -> bool:
    """Whether this name was given as --confirm, or is typed now."""
    # Typing the name, unlike a yes, cannot happen by habit.
    if name in given:
        return True
    if not sys.stdin.isatty():
        return False
    err.print(f"{escape(what)}. Type [bold]{escape(name)}[/] to {yes}, or nothing to {no}: ", end="")
    return input().strip() == name


def show_leftovers(leftovers: Iterable[Leftover]) -> None:
    """Show resources that are kept intentionally, and the command that removes each kind."""
    info("left behind, until you remove it:")
    for leftover in leftovers:
        # Every name: each may hold data that nothing else mentions any more.
        for name in leftover.names:
            info(f"  {leftover.what}: {name}")
        # Several names, or a command that would not fit on a line, keep the placeholder.
        command = leftover.command.replace("NAME", leftover.names[0])
        shown = command if len(leftover.names) == 1 and len(command) <= COMMAND else leftover.command
        info(f"    {shown}")


def show_checks(checks: Iterable[Check]) -> None:
    """Show what was checked, with a hint below what is missing."""
    for check in checks:
        word, colour = ("ok", "green") if check.ok else ("missing", "red") if check.needed else ("absent", "yellow")
        out.print(f"[{colour}]{word:8}[/]{escape(check.name):26}{escape(check.detail)}")
        if not check.ok:
            out.print(f"        [bold]hint:[/] {escape(completed(check.hint))}")


def show_policies(policies: Iterable[Mapping[str, Any]]) -> None:
    """Show what each policy allows, and the two commands that attach it to a role."""
    for policy in policies:
        size = f"{policy['characters']} characters"
        out.print(f"[bold]{escape(policy['name'])}[/]  [dim]for the {policy['for']}, {size}[/]")
        for statement in policy["document"]["Statement"]:
            out.print(f"  [cyan]{escape(statement['Sid'])}[/]  {escape(', '.join(statement['Action']))}")
            for arn in statement["Resource"]:
                out.print(f"    [dim]on {escape(arn)}[/]")
            for operator, keys in statement.get("Condition", {}).items():
                for key, value in keys.items():
                    wanted = value if isinstance(value, str) else " or ".join(value)
                    out.print(f"    [dim]if {escape(operator)} {escape(key)}: {escape(wanted)}[/]")
        out.print(escape(policy["create"]))
        out.print(escape(policy["attach"]))


def show_unfinished(error: Unfinished) -> None:
    """Show each failed step with its cause and hint. What several steps have in common is printed once."""
    by_hint: dict[str, list[str]] = {}
    for address, refusal in error.failures.items():
        by_hint.setdefault(refusal.hint, []).append(address)
    for hint, addresses in by_hint.items():
        for address in sorted(addresses):
            first = error.failures[address].lines[:1]
            _explain(f"[red]x {escape(address)}[/]: ", "".join(first), indent=4)
        for line in dict.fromkeys(line for address in sorted(addresses) for line in error.failures[address].lines[1:]):
            _explain("", line, indent=4)
        for line in hint.split("\n") if hint else ():
            err.print("    [bold]hint:[/] " + escape(completed(line)))
    blocked = f", {error.left} {'is' if error.left == 1 else 'are'} blocked by {_them(error)}" if error.left else ""
    rest = "nothing was changed" if error.dry_run else "the rest is done"
    err.print(f"[bold red]error:[/] {counted(len(error.failures), 'step')} failed{blocked}; {rest}")
    err.print("[bold] hint:[/] fix the cause, then re-run this command to continue")


def _them(error: Unfinished) -> str:
    return "it" if len(error.failures) == 1 else "them"


def _explain(lead: str, text: str, *, indent: int) -> None:
    """Print a sentence after a lead, wrapped at words on a terminal; on one line elsewhere."""
    space = " " * indent
    # In a pipe or a log, whole lines are easier to search.
    if not err.is_terminal:
        err.print((lead or space) + escape(text))
        return
    width = Text.from_markup(lead).cell_len if lead else indent
    # Placeholder for the lead: textwrap would count its markup.
    fold = textwrap.TextWrapper(err.width, "x" * width, space, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(fold.wrap(visible(text))):
        err.print((space if number else lead or space) + escape(line[indent if number else width :]))


def _show_change(key: str, live: Any, desired: Any) -> None:
    if isinstance(live, list) and isinstance(desired, list):
        # Lists such as the rules of a security group have no order: only additions and removals are shown.
        for removed in [element for element in live if element not in desired]:
            out_folded(f"    {escape(key)}: [red]- {escape(value_text(removed))}[/]", indent=6)
        for added in [element for element in desired if element not in live]:
            out_folded(f"    {escape(key)}: [green]+ {escape(value_text(added))}[/]", indent=6)
    elif isinstance(live, dict) and isinstance(desired, dict):
        for inner in sorted({*live, *desired}):
            if live.get(inner) != desired.get(inner):
                _show_change(f"{key}.{inner}", live.get(inner), desired.get(inner))
    else:
        change = f"[red]{escape(value_text(live))}[/] -> [green]{escape(value_text(desired))}[/]"
        out_folded(f"    {escape(key)}: {change}", indent=6)


def value_text(value: Any) -> str:
    """A value of a property as it is shown."""
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _effect_text(effect: Effect) -> str:
    colour = "dim" if effect is Effect.SAFE else "yellow" if effect is Effect.RESTARTS else "bold red"
    return f"[{colour}]{effect}[/]"
