"""Target groups: registered processes and their health checks."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from dataclasses import dataclass, field

from orderops.local.ports import HOST

# Seconds. AWS checks every 5 to 300 s; on a laptop a check costs nothing.
INTERVAL = 1.0
# Seconds. A new target becomes healthy about as fast as its process starts.
INITIAL_INTERVAL = 0.2
# Seconds in which a refused connection means that the process is still starting.
STARTUP_GRACE = 20.0
# Seconds, instead of AWS's default of 300: local requests are short.
MAX_DRAIN = 30.0
TIMED_OUT = ("Target.Timeout", "Request timed out")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthCheck:
    """Health check settings of a target group."""

    path: str = "/"
    matcher: str = "200"
    timeout: float = 5.0
    healthy_after: int = 2
    unhealthy_after: int = 2
    drain: float = MAX_DRAIN
    in_use: bool = True

    def accepts(self, status: int) -> bool:
        for part in self.matcher.split(","):
            low, _, high = part.partition("-")
            if int(low) <= status <= int(high or low):
                return True
        return False


@dataclass
class TargetProcess:
    """Process registered in a target group."""

    group: str
    port: int
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    since: float = field(default_factory=time.monotonic)
    in_flight: int = 0
    drain_until: float = 0.0
    removed: bool = False

    def set_state(self, state: str, reason: str = "", description: str = "") -> None:
        self.state, self.reason, self.description = state, reason, description


class Targets:
    """All registered targets, each checked by its own thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._targets: dict[tuple[str, int], TargetProcess] = {}
        self._checks: dict[str, HealthCheck] = {}
        self._blocked: frozenset[tuple[str, int]] = frozenset()

    def configure(self, checks: dict[str, HealthCheck]) -> None:
        self._checks = checks

    def block(self, blocked: frozenset[tuple[str, int]]) -> None:
        """Set the targets that no security group lets the balancer reach."""
        self._blocked = blocked

    def blocked(self, target: TargetProcess) -> bool:
        """Tell whether connections to a target are dropped on their way."""
        return (target.group, target.port) in self._blocked

    def register(self, group: str, port: int) -> None:
        """Register a process; repeating it has no effect."""
        with self._lock:
            if (group, port) in self._targets:
                return
            target = self._targets[group, port] = TargetProcess(group, port)
        threading.Thread(target=self._watch, args=(target,), name=f"health {port}", daemon=True).start()

    def deregister(self, group: str, port: int) -> bool:
        """Stop sending requests to a target; return True once its open ones are answered or its drain time is over."""
        target = self._targets.get((group, port))
        if target is None:
            return True
        if target.state != "draining":
            check = self._checks.get(group, HealthCheck())
            target.drain_until = time.monotonic() + min(check.drain, MAX_DRAIN)
            target.set_state("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            # Wait one tick at least: a request may be on its way to the target.
            return False
        if target.in_flight and time.monotonic() < target.drain_until:
            return False
        self.forget(group, port)
        return True

    def forget(self, group: str, port: int) -> None:
        """Remove a target at once."""
        with self._lock:
            if target := self._targets.pop((group, port), None):
                target.removed = True

    def of(self, group: str) -> list[TargetProcess]:
        with self._lock:
            return [target for (target_group, _), target in self._targets.items() if target_group == group]

    def healthy(self, group: str) -> list[TargetProcess]:
        """Return the targets that may receive requests."""
        return [target for target in self.of(group) if target.state == "healthy"]

    def state(self, group: str, port: int) -> tuple[str, str]:
        target = self._targets.get((group, port))
        return (target.state, target.description) if target else ("unused", "")

    def close(self) -> None:
        with self._lock:
            for target in self._targets.values():
                target.removed = True

    def _watch(self, target: TargetProcess) -> None:
        successes = failures = 0
        while not target.removed:
            check = self._checks.get(target.group, HealthCheck())
            reason, description = TIMED_OUT if self.blocked(target) else _probe(target.port, check)
            successes, failures = (0, failures + 1) if reason else (successes + 1, 0)
            if target.removed or target.state == "draining":
                return
            # As on AWS, a target group without a listener reports its targets as unused.
            if not check.in_use:
                target.set_state("unused", "Target.NotInUse", "Target group is not configured to receive traffic")
            elif successes >= check.healthy_after:
                target.set_state("healthy")
            elif failures >= check.unhealthy_after and not _still_starting(target, reason):
                target.set_state("unhealthy", reason, description)
            elif target.state == "unused":
                target.set_state("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            time.sleep(INITIAL_INTERVAL if target.state in ("initial", "unused") else INTERVAL)


def _still_starting(target: TargetProcess, reason: str) -> bool:
    """Tell whether the process may not listen yet. AWS checks so rarely that a start never counts as a failure."""
    recent = time.monotonic() - target.since < STARTUP_GRACE
    return target.state == "initial" and reason == "Target.FailedHealthChecks" and recent


def _probe(port: int, check: HealthCheck) -> tuple[str, str]:
    """Return reason and description of a failed check; empty strings when the target is healthy."""
    connection = http.client.HTTPConnection(HOST, port, timeout=check.timeout)
    try:
        connection.request("GET", check.path, headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"})
        status = connection.getresponse().status
    except TimeoutError:
        return TIMED_OUT
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks", "Health checks failed"
    finally:
        connection.close()
    if check.accepts(status):
        return "", ""
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"
