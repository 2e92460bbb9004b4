"""What a customer sees: the answer of the page of the service, through the load balancer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orderops.frozen import Frozen
from orderops.health.component import ComponentState, ComponentStatus
from orderops.health.entrance import url_of
from orderops.health.laptop import looking_into
from orderops.infra.alert_rule import Priority
from orderops.infra.page import NoAnswer, PageAnswer, ask_page
from orderops.infra.readiness import ReadyAnswer, ReadyState, asked_service, on_this_machine
from orderops.infra.workspace import Workspace
from orderops.text.durations import measured
from orderops.text.outside import plain

USERS = "/users"
ERRORS = range(500, 600)
SLOW = 2_000
"""Milliseconds. The service gives a statement five seconds; a customer leaves before."""
LABEL = "page"

AskPage = Callable[[str, str], PageAnswer]
"""Asks the load balancer at a URL for a path."""


class CustomerView(Frozen):
    """The answer of a page, as a customer gets it."""

    path: str
    status: int
    milliseconds: int
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {"path": self.path, "status": self.status or None, "ms": self.milliseconds, "problem": self.problem}


def read_page(
    workspace: Workspace, entrance: Mapping[str, Any] | None, ready: ReadyAnswer | None, ask: AskPage = ask_page
) -> CustomerView | None:
    """Ask for the page; None where there is none, or nothing can be asked from this machine."""
    unasked = (ReadyState.UNREACHABLE, ReadyState.NOT_ASKED)
    if entrance is None or not workspace.environment.demonstration or ready is None or ready.state in unasked:
        return None
    answer = ask(url_of(workspace, entrance), USERS)
    if answer.missing is NoAnswer.UNREACHABLE and not on_this_machine(answer.url):
        # A firewall, or a proxy, says nothing about other clients.
        return None
    problem = answer.detail or (f"{answer.status} {plain(answer.reason, 40)}" if answer.status in ERRORS else "")
    return CustomerView(USERS, answer.status, answer.milliseconds, problem.strip())


def page_status(workspace: Workspace, seen: CustomerView) -> ComponentStatus:
    """The component for what a customer sees."""
    service = asked_service(workspace.environment) or ""
    # Without a healthy target nobody answers, whatever the reason of that is.
    follows = ("database", f"service {service}", "balancer", "readiness")
    command = looking_into(workspace, service)
    if seen.problem:
        return ComponentStatus(LABEL, ComponentState.DOWN, f"{seen.path}: {seen.problem}", command, follows=follows)
    took = f"{seen.path} answers {seen.status} in {measured(seen.milliseconds / 1000)}"
    if seen.milliseconds >= SLOW:
        state, priority = ComponentState.DEGRADED, Priority.P2
        return ComponentStatus(LABEL, state, f"{took}, which is slow", command, priority=priority, follows=follows)
    return ComponentStatus(LABEL, ComponentState.OK, took)
