"""Following a job until it ends: its output as it arrives, and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from orderops import __version__
from orderops.aws.validation import Malformed, validated
from orderops.errors import Interrupted, OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.remote.framing import Mark, OutputLine, parse_line
from orderops.remote.task import RemoteTask

OutputHandler = Callable[[OutputLine], None]
"""Shows a line of the command: OUT is data, everything else goes to stderr."""
OnJobWait = Callable[[str, str], None]
"""Shows what a task (by its id) is waiting for."""

DOING = {
    "PROVISIONING": "gets a network interface",
    "PENDING": "pulls its image",
    "ACTIVATING": "starts",
    "RUNNING": "starts the command",
    "DEACTIVATING": "ends",
    "STOPPING": "ends",
    "DEPROVISIONING": "ends",
}
"""What a task does, by its status in ECS."""


class JobObserver(Frozen):
    """What a job's output and its waits are shown with."""

    on_output: OutputHandler
    on_wait: OnJobWait


class FollowTiming(Frozen):
    """Intervals and limits, in seconds."""

    interval: float = 1.0
    """Between two reads."""
    # CloudWatch Logs delivers a container's last lines some seconds after it has stopped.
    log_lag: float = 5.0
    """For the last lines after a task has stopped."""
    # DescribeTasks is eventually consistent: a new task may be missing from it at first.
    unseen: float = 90.0
    """Until a new task must be listed."""
    # ECS kills a container at most two minutes (stopTimeout) after the signal.
    stop: float = 150.0
    """For a task to end after it was stopped."""


class JobEnd(Frozen):
    """How a command ended: its exit code and its error, if any."""

    exit_code: int
    error: OrderopsError | None = None
    reported: bool = True
    """Whether the command itself reported its end, and not only ECS."""


class JobRefused(OrderopsError):
    """The error of the command inside the task, with its exit code."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def follow(
    task: RemoteTask,
    observer: JobObserver,
    timing: FollowTiming = FollowTiming(),
    *,
    within: float | None = None,
) -> JobEnd:
    """Show a command's output until it ends, or for at most `within` seconds.

    Raises OrderopsError if the task is never listed or does not end in time.
    """
    output = _Output(task, observer.on_output)
    started = seen_at = monotonic()
    stopped_at = 0.0
    while True:
        # The state is read before the log, so that the log of a stopped task is read at least once more.
        state = task.describe()
        # The command reports its end half a minute before ECS reports the task as stopped.
        if end := output.read():
            return end
        now = monotonic()
        seen_at = now if state else seen_at
        if now - seen_at > timing.unseen:
            raise _not_ended(task, "was started, but ECS does not list it")
        if state and state["lastStatus"] == "STOPPED":
            stopped_at = stopped_at or now
            if task.exit_code(state) is None:
                return JobEnd(1, task.start_error(state), reported=False)
            if now - stopped_at > timing.log_lag:
                return JobEnd(_exit_code(task, state), _cut_off(task, state, output), reported=False)
        if within and now - started > within:
            raise _not_ended(task, "was stopped, but does not end")
        observer.on_wait(task.id, output.silence() or DOING.get(state["lastStatus"] if state else "", "is starting"))
        sleep(timing.interval)


def interrupt(task: RemoteTask, command: str, observer: JobObserver, timing: FollowTiming = FollowTiming()) -> JobEnd:
    """Stop a task, which interrupts its command as Ctrl+C does, and show the rest of its output.

    A command that ends before it is interrupted counts as ended.
    """
    task.stop("interrupted by the operator")
    unfinished = JobEnd(Interrupted.exit_code, Interrupted([command]), reported=False)
    try:
        end = follow(task, observer, timing, within=timing.stop)
    except OrderopsError:
        return unfinished
    return end if end.reported else unfinished


@dataclass
class _Output:
    """The output of a task, as far as it has been read."""

    task: RemoteTask
    on_output: OutputHandler
    begin: Mapping[str, Any] = field(default_factory=dict)
    """The command's first line; empty before it."""
    last_at: float = field(default_factory=monotonic)
    incomplete: str = ""

    def read(self) -> JobEnd | None:
        """Pass on new lines; returns the command's end once it is reported."""
        for line in self._new_lines():
            self.last_at = monotonic()
            if line.mark is Mark.END:
                return self._end(line)
            if line.mark is Mark.BEGIN:
                # A first line that is none says as much as none at all.
                with suppress(Malformed):
                    self.begin = line.document
            else:
                self.on_output(line)
        return None

    def _end(self, line: OutputLine) -> JobEnd:
        try:
            return _reported_end(validated(line.document, EndShape), self._version_hint())
        except Malformed as error:
            hint = f"read its log: orderops status --env {self.task.placement.environment}"
            return JobEnd(1, JobRefused(f"the last line of task {self.task.id} {error}", hint, 1))

    def silence(self) -> str:
        """Return how long a running command has written nothing; "" before it starts."""
        return f"no output for {monotonic() - self.last_at:.0f} s" if self.begin else ""

    def _version_hint(self) -> str:
        """Return a hint if the image has another version, which may not know the same options; else ""."""
        image, environment = str(self.begin.get("version", __version__)), self.task.placement.environment
        if image == __version__:
            return ""
        return (
            f"the image has orderops {image}, this machine {__version__}; "
            f"update the image: orderops up --env {environment}"
        )

    def _new_lines(self) -> Iterator[OutputLine]:
        """Yield new lines. The last line, a JSON document, is put together; output stays in pieces."""
        for log_line in self.task.lines():
            line = parse_line(log_line)
            if line.mark is not Mark.END:
                yield line
                continue
            self.incomplete += line.text
            if line.ends:
                yield OutputLine(line.mark, self.incomplete)


@dataclass(frozen=True)
class EndShape:
    """The last line of a command, to validate it with."""

    exit_code: int
    message: str = ""
    hint: str = ""
    left: tuple[str, ...] = ()


def _reported_end(end: EndShape, version_hint: str) -> JobEnd:
    code = end.exit_code
    if not code:
        return JobEnd(0)
    if code == Interrupted.exit_code:
        return JobEnd(code, Interrupted(end.left))
    # An option that the image does not know is a usage error there.
    hint = end.hint or (version_hint if code == UsageError.exit_code else "")
    return JobEnd(code, JobRefused(end.message, hint, code))


def _cut_off(task: RemoteTask, state: Mapping[str, Any], output: _Output) -> OrderopsError:
    """Return the error for a command that ended without reporting it."""
    code = _exit_code(task, state)
    if not output.begin:
        return JobRefused(
            f"the image of {task.placement.service} cannot run jobs: its command ended with {code}",
            f"use the same orderops in the image as here: orderops up --env {task.placement.environment}",
            code,
        )
    reasons = "; ".join(
        str(container["reason"])
        for container in state.get("containers", ())
        if container["name"] == task.placement.container and container.get("reason")
    )
    return JobRefused(
        f"the command in task {task.id} was killed with exit code {code}: "
        f"{reasons or state.get('stoppedReason') or 'ECS gives no reason'}",
        "re-run this command; it continues where this run ended",
        code,
    )


def _not_ended(task: RemoteTask, problem: str) -> OrderopsError:
    return OrderopsError(f"task {task.id} {problem}", f"check it: orderops status --env {task.placement.environment}")


def _exit_code(task: RemoteTask, state: Mapping[str, Any]) -> int:
    # A command that did not report its end has not succeeded, even if its process exited with 0.
    return task.exit_code(state) or 1
