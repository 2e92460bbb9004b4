"""Target groups on this machine: who is registered, and whether they answer their health check."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from dataclasses import dataclass, field

from orderops.local.ports import HOST

EVERY = 1.0
EVERY_AT_FIRST = 0.2
STARTING_TAKES = 10.0
LONGEST_DRAIN = 30.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthCheck:
    """How a target group asks its targets how they are."""

    path: str = "/"
    matcher: str = "200"
    timeout: float = 5.0
    healthy_after: int = 2
    unhealthy_after: int = 2
    drain: float = LONGEST_DRAIN
    in_use: bool = True

    def accepts(self, status: int) -> bool:
        for part in self.matcher.split(","):
            low, _, high = part.partition("-")
            if int(low) <= status <= int(high or low):
                return True
        return False


@dataclass
class TargetProcess:
    """One process behind a target group."""

    group: str
    port: int
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    since: float = field(default_factory=time.monotonic)
    in_flight: int = 0
    drain_until: float = 0.0
    gone: bool = False

    def turn(self, state: str, reason: str = "", description: str = "") -> None:
        self.state, self.reason, self.description = state, reason, description


class Targets:
    """All registered targets, each asked by a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._targets: dict[tuple[str, int], TargetProcess] = {}
        self._checks: dict[str, HealthCheck] = {}

    def configure(self, checks: dict[str, HealthCheck]) -> None:
        self._checks = checks

    def register(self, group: str, port: int) -> None:
        """Add a process; registered twice it is one."""
        with self._lock:
            if (group, port) in self._targets:
                return
            target = self._targets[group, port] = TargetProcess(group, port)
        threading.Thread(target=self._watch, args=(target,), name=f"health {port}", daemon=True).start()

    def deregister(self, group: str, port: int) -> bool:
        """Send it nothing more; true as soon as it has answered what it got, or its time is up."""
        target = self._targets.get((group, port))
        if target is None:
            return True
        if target.state != "draining":
            check = self._checks.get(group, HealthCheck())
            target.drain_until = time.monotonic() + min(check.drain, LONGEST_DRAIN)
            target.turn("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            return False  # One turn at least: a request may just have been given to it.
        if target.in_flight and time.monotonic() < target.drain_until:
            return False
        self.forget(group, port)
        return True

    def forget(self, group: str, port: int) -> None:
        """It is no more."""
        with self._lock:
            if target := self._targets.pop((group, port), None):
                target.gone = True

    def of(self, group: str) -> list[TargetProcess]:
        with self._lock:
            return [target for (its, _), target in self._targets.items() if its == group]

    def healthy(self, group: str) -> list[TargetProcess]:
        """Who may get a request."""
        return [target for target in self.of(group) if target.state == "healthy"]

    def state(self, group: str, port: int) -> tuple[str, str]:
        target = self._targets.get((group, port))
        return (target.state, target.description) if target else ("unused", "")

    def close(self) -> None:
        with self._lock:
            for target in self._targets.values():
                target.gone = True

    def _watch(self, target: TargetProcess) -> None:
        good = bad = 0
        while not target.gone:
            check = self._checks.get(target.group, HealthCheck())
            reason, description = _ask(target.port, check)
            good, bad = (0, bad + 1) if reason else (good + 1, 0)
            if target.gone or target.state == "draining":
                return
            if not check.in_use:
                target.turn("unused", "Target.NotInUse", "Target group is not configured to receive traffic")
            elif good >= check.healthy_after:
                target.turn("healthy")
            elif bad >= check.unhealthy_after and not _still_starting(target, reason):
                target.turn("unhealthy", reason, description)
            elif target.state == "unused":
                target.turn("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            time.sleep(EVERY_AT_FIRST if target.state in ("initial", "unused") else EVERY)


def _still_starting(target: TargetProcess, reason: str) -> bool:
    """Nobody listens there yet: AWS asks so seldom that a start never counts as a failure."""
    young = time.monotonic() - target.since < STARTING_TAKES
    return target.state == "initial" and reason == "Target.FailedHealthChecks" and young


def _ask(port: int, check: HealthCheck) -> tuple[str, str]:
    """Reason and description of a failure; empty when all is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=check.timeout)
    try:
        connection.request("GET", check.path, headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"})
        status = connection.getresponse().status
    except TimeoutError:
        return "Target.Timeout", "Request timed out"
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks", "Health checks failed"
    finally:
        connection.close()
    if check.accepts(status):
        return "", ""
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"
