"""Listening to an errand until it has ended: its lines as they come, and how it ended by its own word or by AWS's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from orderops import __version__
from orderops.errors import Interrupted, OrderopsError, UsageError
from orderops.remote.framing import Mark, OutputLine, parse_line
from orderops.remote.task import RemoteTask

OutputHandler = Callable[[OutputLine], None]
"""Shows a line of the command's; `out` is data, `err` is all else."""
OnJobWait = Callable[[str, str], None]
"""Shows what a task (its id) waits for."""

EVERY = 1.0
"""Seconds between two looks."""
LAG = 5.0
"""Seconds that the last lines of a task that stopped may take to arrive."""
UNSEEN = 90.0
"""Seconds in which a task just started must be seen."""
STOPS = 150.0
"""Seconds for a task to end that was asked to: two minutes are the most that ECS gives it."""
DOING = {
    "PROVISIONING": "is given a network interface",
    "PENDING": "pulls its image",
    "ACTIVATING": "starts",
    "RUNNING": "starts the command",
    "DEACTIVATING": "ends",
    "STOPPING": "ends",
    "DEPROVISIONING": "ends",
}


@dataclass(frozen=True)
class JobEnd:
    """How a command ended: its exit code, and its refusal where there was one."""

    exit_code: int
    error: OrderopsError | None = None
    by_its_word: bool = True
    """Whether it said so, and was not found dead."""


class JobRefused(OrderopsError):
    """A refusal of the command inside, with its exit code."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def follow(task: RemoteTask, *, on_output: OutputHandler, on_wait: OnJobWait, within: float | None = None) -> JobEnd:
    """Pass on what the command says until it has ended.

    By its own word it ends before its task, which takes half a minute more to go.
    """
    listening = _Listening(task, on_output)
    began = seen_at = monotonic()
    stopped_at = 0.0
    while True:
        raw = task.describe()
        if ended := listening.ended():
            return ended
        now = monotonic()
        seen_at = now if raw else seen_at
        if now - seen_at > UNSEEN:
            raise OrderopsError(
                f"task {task.id} was started and is not seen", f"orderops status --env {task.placement.environment}"
            )
        if raw and raw["lastStatus"] == "STOPPED":
            stopped_at = stopped_at or now
            if task.exit_code(raw) is None:
                return JobEnd(1, task.start_error(raw), by_its_word=False)
            if now - stopped_at > LAG:
                return JobEnd(_code(task, raw), _cut_off(task, raw, listening), by_its_word=False)
        if within and now - began > within:
            raise OrderopsError(
                f"task {task.id} was asked to end and does not",
                f"look: orderops status --env {task.placement.environment}",
            )
        on_wait(task.id, listening.silent_for() or DOING.get(raw["lastStatus"] if raw else "", "is started"))
        sleep(EVERY)


def interrupted(task: RemoteTask, command: str, *, on_output: OutputHandler, on_wait: OnJobWait) -> JobEnd:
    """Ask the command to end in good order, and pass on its last words; it may be done before it is asked."""
    task.stop("interrupted by the operator")
    left = JobEnd(Interrupted.exit_code, Interrupted([command]), by_its_word=False)
    try:
        ended = follow(task, on_output=on_output, on_wait=on_wait, within=STOPS)
    except OrderopsError:
        return left
    return ended if ended.by_its_word else left


@dataclass
class _Listening:
    """What was heard of a task."""

    task: RemoteTask
    pass_on: OutputHandler
    begun: Mapping[str, Any] = field(default_factory=dict)
    last_at: float = field(default_factory=monotonic)
    half: str = ""

    def ended(self) -> JobEnd | None:
        """Pass on what is new; answers how the command ended when it says so."""
        for said in self._new():
            self.last_at = monotonic()
            if said.mark is Mark.END:
                return _by_its_word(said.document, self._other_version())
            if said.mark is Mark.BEGIN:
                self.begun = said.document
            else:
                self.pass_on(said)
        return None

    def silent_for(self) -> str:
        """That the command works and says nothing."""
        return f"has said nothing for {monotonic() - self.last_at:.0f} s" if self.begun else ""

    def _other_version(self) -> str:
        """What to do where image and machine differ: then one may know words that the other does not."""
        there, name = self.begun.get("version", __version__), self.task.placement.environment
        if there == __version__:
            return ""
        return (
            f"the image has orderops {there}, this machine {__version__}; let both be alike: orderops up --env {name}"
        )

    def _new(self) -> Iterator[OutputLine]:
        """Lines of the errand's own are whole, whatever their length; the command's go on in pieces."""
        for line in self.task.lines():
            said = parse_line(line)
            if said.mark is not Mark.END:
                yield said
                continue
            self.half += said.text
            if said.ends:
                yield OutputLine(said.mark, self.half)


def _by_its_word(told: Mapping[str, Any], other_version: str) -> JobEnd:
    code = int(told["exit_code"])
    if not code:
        return JobEnd(0)
    if code == Interrupted.exit_code:
        return JobEnd(code, Interrupted(told.get("left", ())))
    hint = told.get("hint", "") or (other_version if code == UsageError.exit_code else "")
    return JobEnd(code, JobRefused(told.get("message", ""), hint, code))


def _cut_off(task: RemoteTask, raw: Mapping[str, Any], listening: _Listening) -> OrderopsError:
    """The refusal for a command that ended without a last word."""
    code = _code(task, raw)
    if not listening.begun:
        return JobRefused(
            f"the image of {task.placement.service} does not know errands: its command ended with {code}",
            f"let it have the same orderops as this machine: orderops up --env {task.placement.environment}",
            code,
        )
    why = "; ".join(
        str(each["reason"])
        for each in raw.get("containers", ())
        if each["name"] == task.placement.container and each.get("reason")
    )
    return JobRefused(
        f"the command in task {task.id} was cut off with exit code {code}: "
        f"{why or raw.get('stoppedReason') or 'no reason is told'}",
        "the same command again finds out what is done and goes on",
        code,
    )


def _code(task: RemoteTask, raw: Mapping[str, Any]) -> int:
    """A command without a last word has not succeeded, whatever its process says."""
    return task.exit_code(raw) or 1
