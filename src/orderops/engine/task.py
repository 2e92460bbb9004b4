"""The work on one resource: read, decide, act and read again, until the observed state is the desired one."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from orderops.aws.diagnosis.catalog import explain
from orderops.aws.diagnosis.rule import ErrorContext
from orderops.engine.decision import TAGS, decide
from orderops.engine.inventory import Inventory
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State, unknown_in
from orderops.engine.step import Action, Step
from orderops.engine.terms import Terms
from orderops.engine.waiting import ReconcileLimits, WaitLimit, retry_reason
from orderops.errors import AwsError, Meaning, OrderopsError
from orderops.frozen import replace

ERROR_CODE = re.compile(r"\b[A-Za-z]+Error\b")
FOREVER = float("inf")


@dataclass
class RecentWrites:
    """Creates that reads may not show yet: those of this run, and those of the run before."""

    created: dict[str, float] = field(default_factory=dict)
    """Address and time (monotonic) of each create of this run."""
    unconfirmed: Mapping[str, float] = field(default_factory=dict)
    """Creates of an interrupted run, each with the seconds for which its absence still proves nothing."""

    def within(self, duration: timedelta) -> list[str]:
        """Addresses created so recently that the reads of the next run may not show them."""
        return [address for address, at in self.created.items() if monotonic() - at < duration.total_seconds()]


class ResourceTask:
    """Brings one resource from its observed to its desired state.

    A cut connection, a lost answer, a slow resource, a lagging read and a half-made resource are one case: read again
    and decide again.
    """

    def __init__(
        self,
        resource: Resource,
        inventory: Inventory,
        outputs: Outputs,
        *,
        dry_run: bool,
        terms: Terms,
        limits: ReconcileLimits,
        recent_writes: RecentWrites,
    ) -> None:
        self._resource = resource
        self._inventory = inventory
        self._outputs = outputs
        self._dry_run = dry_run
        self._terms = terms
        self._limits = limits
        self._recent_writes = recent_writes
        self._wait = WaitLimit(limits.timeout or resource.patience, limits.trouble)
        self._reported: Step | None = None
        """The step to return: the first that was decided, not the last, which is always a no-op."""
        self._sent: Step | None = None
        self._worked_on = False
        """Whether AWS was seen working on the resource since the last change was sent."""
        # An interrupted run may have created the resource. Until its create must be visible, absence proves nothing.
        self._unconfirmed_until = monotonic() + recent_writes.unconfirmed.get(resource.address, 0.0)
        self._reason = "AWS's reads to show what the last run may have created"
        # The shared listing is as old as the plan; a resource that this run has created is read by itself.
        self._fresh_read = resource in outputs

    def run(self) -> Generator[str, None, Step]:
        """Yield the reason of each wait; return the step that was taken."""
        while True:
            try:
                result = self._advance()
            except AwsError as error:
                reason = retry_reason(error, self._resource.retryable_errors)
                # The shared listing may show a resource that is gone; asked for alone, it is absent.
                self._fresh_read = self._fresh_read or error.meaning is Meaning.NO
                result = self._reason = self._wait.troubled(error, reason)
            if isinstance(result, Step):
                return result
            yield result

    def _advance(self) -> Step | str:
        """Read, decide and act once. Returns the step when the resource is as desired, else what to wait for."""
        desired = self._resource.desired(self._outputs)
        observed = self._read(desired)
        if observed and observed.state in (State.PENDING, State.GOING) and not self._dry_run:
            # AWS refuses changes to a resource that it works on, and creates none while the old one goes.
            self._worked_on = True
            return self._wait.waits(observed.status or observed.state)
        address = self._resource.address
        # What this run has created has no users yet, only what AWS gives every new resource.
        if observed and address in self._terms.widen and address not in self._recent_writes.created:
            desired = self._resource.widened(observed.properties, desired)
        adopt = address in self._terms.adopt
        ignored = self._terms.left_alone(address, observed.properties, desired) if observed else {}
        desired = {**desired, **{key: live for key, (live, _) in ignored.items()}}
        step = decide(self._resource, observed, desired, self._inventory.ownership(self._resource), adopt=adopt)
        step = replace(step, ignored=ignored)
        if step.error and not self._dry_run:
            raise step.error
        self._report(step)
        if step.action is Action.NO_OP or self._dry_run:
            return self._finish(observed, step)
        self._check_before_sending(observed, desired, step)
        if self._may_send(observed, step):
            self._send(observed, desired, step)
        return self._wait.waits(self._reason)

    def _read(self, desired: Properties) -> Observed | None:
        get = self._inventory.refresh if self._fresh_read else self._inventory.get
        observed = get(self._resource, desired)
        self._fresh_read = True
        return observed

    def _report(self, step: Step) -> None:
        # A resource that disappears after the first read is created, and that has to be reported.
        if self._reported is None or (step.action is Action.CREATE and self._sent is None):
            self._reported = step

    def _finish(self, observed: Observed | None, step: Step) -> Step | str:
        if step.action is Action.NO_OP and observed and observed.settling and self._settles():
            # AWS shows the new values already and still works on them; the next resource may need them in effect.
            return self._wait.waits(observed.settling)
        if observed and not self._replaces(step):
            self._outputs[self._resource] = observed
        return self._reported or step

    def _settles(self) -> bool:
        """Whether AWS works on what was sent; what it holds back for a maintenance window is not waited for."""
        sent = self._sent
        if sent is None or sent.action is Action.CREATE:
            return sent is not None
        return not self._resource.leaves_pending({key: pair for key, pair in sent.changes.items() if key != TAGS})

    def _check_before_sending(self, observed: Observed | None, desired: Properties, step: Step) -> None:
        if unknown_in(desired):
            raise self._missing_needs()
        if observed and self._sent and self._worked_on and (what := self._not_kept(self._sent, step)):
            raise self._rolled_back(observed, what)

    def _may_send(self, observed: Observed | None, step: Step) -> bool:
        sent = self._sent
        if observed is not None and (sent is None or (sent.action, sent.changes) != (step.action, step.changes)):
            return True
        # The same step again: what was read may be older than what was sent. A create whose answer was lost may have
        # taken effect, and sending it again could make a second VPC or NAT gateway.
        return monotonic() >= self._unconfirmed_until

    def _send(self, observed: Observed | None, desired: Properties, step: Step) -> None:
        if observed and not self._replaces(step):
            self._update(observed, step)
        else:
            self._create_or_replace(observed, desired)
        self._sent, self._worked_on = step, False

    def _update(self, observed: Observed, step: Step) -> None:
        aws = self._inventory.aws
        properties = {key: desired for key, (_, desired) in step.changes.items() if key != TAGS}
        if TAGS in step.changes:
            self._resource.retag(aws, observed, step.changes[TAGS][1])
        if properties:
            self._resource.update(aws, observed, properties)
        # Repeating an update is harmless, so it is sent again once a lagging read must have caught up.
        self._expect(self._limits.seen_within.total_seconds(), f"{step.action} of {', '.join(step.changes)} sent")

    def _create_or_replace(self, observed: Observed | None, desired: Properties) -> None:
        # Through `once`, which never resends: a create is not idempotent.
        aws, address = self._inventory.aws.once, self._resource.address
        self._recent_writes.created[address] = monotonic()
        try:
            if observed is None:
                self._resource.create(aws, desired, self._inventory.ownership(self._resource))
            else:
                self._resource.update(aws, observed, desired)
        except AwsError as error:
            if error.meaning is not Meaning.LOST:
                del self._recent_writes.created[address]
                raise
            self._expect(self._limits.seen_within.total_seconds(), retry_reason(error, frozenset()))
        else:
            # AWS has confirmed the create, so it is never sent again in this run.
            self._expect(FOREVER, "replacement sent" if observed else "create sent")

    def _expect(self, seconds: float, reason: str) -> None:
        self._unconfirmed_until = monotonic() + seconds
        self._reason = reason

    def _replaces(self, step: Step) -> bool:
        """Whether this update makes a new resource, so that sending it twice would make two."""
        return self._resource.replaced_on_update and bool(step.changes.keys() - {TAGS})

    def _not_kept(self, sent: Step, step: Step) -> str:
        """How a change ended that AWS accepted, worked on and did not keep; "" if it was kept."""
        results = [
            f"{key} ended {step.changes[key][0]}" for key in self._resource.result_properties if key in step.changes
        ]
        reverted = sent.action is not Action.CREATE and all(
            sent.changes.get(key) == pair for key, pair in step.changes.items()
        )
        if results:
            return ", ".join(results)
        return f"{', '.join(step.changes)} was accepted and reverted by AWS" if reverted else ""

    def _missing_needs(self) -> OrderopsError:
        missing = sorted(need.address for need in self._resource.needs() if need not in self._outputs)
        names = ", ".join(missing) or "a resource that does not exist yet"
        return OrderopsError(f"needs {names}, which does not exist", "orderops up creates everything that is declared")

    def _rolled_back(self, observed: Observed, what: str) -> OrderopsError:
        aws = self._inventory.aws
        try:
            why = type(self._resource).rollback_reason(aws, observed)
        except AwsError as error:
            why = f"(the reason is unknown: {error.message})"
        # The reason often quotes an AWS error, which the catalogue may explain. The lines below are not AWS's.
        code = ERROR_CODE.search(why.partition("\n")[0])
        context = code and ErrorContext("", code[0], why, region=aws.region, environment=self._inventory.environment)
        known = context and explain(context)
        if known:
            return OrderopsError(f"{what}: {known.meaning}\n{why}", known.hint)
        return OrderopsError(f"{what}: {why}" if why else what, "fix the cause, then re-run this command")
