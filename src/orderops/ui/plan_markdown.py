"""A plan as Markdown, for whoever approves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.aws.redaction import without_secrets
from orderops.engine.resource import Effect
from orderops.engine.step import Action, Step
from orderops.text.outside import plain
from orderops.ui import console

LONGEST = 200
"""Characters of a value."""


def plan_markdown(environment: str, steps: Sequence[Step]) -> list[str]:
    """The lines of a document with a table, most dangerous steps first, and every property below."""
    changing = [step for step in steps if step.action not in (Action.NO_OP, Action.KEEP)]
    ordered = sorted(changing, key=lambda step: (step.action is not Action.DELETE, -step.effect.weight, step.address))
    return [f"# Plan of {environment}", "", f"{console.summary(steps)}.", *_table(ordered), *_details(ordered)]


def _table(steps: Sequence[Step]) -> Iterator[str]:
    if not steps:
        return
    yield from ("", "| action | resource | effect |", "| --- | --- | --- |")
    for step in steps:
        refused = "refused" if step.refused else ""
        effect = "" if step.effect is Effect.SAFE else str(step.effect)
        yield f"| {step.action} | {_code(step.address)} | {refused or effect} |"


def _details(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if not step.changes or step.action is Action.CREATE:
            continue
        yield from (
            "",
            f"## {step.action} {_code(step.address)}",
            "",
            "| property | now | after |",
            "| --- | --- | --- |",
        )
        for key, (live, desired) in step.changes.items():
            yield f"| {_code(key)} | {_code(console.value_text(live))} | {_code(console.value_text(desired))} |"


def _code(text: str) -> str:
    """The text as code that cannot end the cell that it stands in."""
    cleaned = plain(without_secrets(text), LONGEST).replace("`", "'").replace("|", "\\|")
    return f"`{cleaned}`"
