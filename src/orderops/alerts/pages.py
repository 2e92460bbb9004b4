"""What is wrong with the composite alarms, which page."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from orderops.alerts.finding import AlertFinding
from orderops.alerts.reading import AlertsRead, children_of
from orderops.infra.stack import Stack
from orderops.resources.cloudwatch_composite_alarm import CloudwatchCompositeAlarm


def of_pages(stack: Stack, read: AlertsRead, drilled: Collection[str]) -> Iterator[AlertFinding]:
    """All findings about composite alarms, declared or not; `drilled` are set by a drill that is under way."""
    apply, declared = f"orderops infra apply --env {stack.environment.name}", {page.name: page for page in stack.pages}
    for name in declared.keys() - read.composites.keys():
        yield AlertFinding(name, "the alarm that pages does not exist", apply)
    for name in sorted(read.composites):
        yield from _of_page(name, declared.get(name), read, apply)
        if read.composites[name]["StateValue"] == "ALARM" and not read.raised(name) and name not in drilled:
            what = "it is in ALARM and none of its alarms is, so the next outage would not page"
            yield AlertFinding(name, what, f"orderops alerts fire-drill --set-back --env {stack.environment.name}")


def _of_page(
    name: str, declared: CloudwatchCompositeAlarm | None, read: AlertsRead, apply: str
) -> Iterator[AlertFinding]:
    raw = read.composites[name]
    if not read.topics(name):
        yield AlertFinding(name, "the alarm has no route", apply if declared else "give it a topic, or delete it")
    if not raw.get("ActionsEnabled", True):
        yield AlertFinding(name, "its actions are disabled", apply if declared else "enable its actions, or delete it")
    if declared and set(children_of(raw)) != {child.name for child in declared.children}:
        yield AlertFinding(name, f"its rule was set by hand to {raw['AlarmRule']}", apply)
