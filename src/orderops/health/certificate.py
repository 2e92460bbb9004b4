"""The health of the certificate: whether it is issued, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta

from orderops.aws.ownership import ADDRESS, Ownership
from orderops.engine.resource import Observed, State
from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.alert_rule import Priority
from orderops.infra.workspace import Workspace
from orderops.resources.acm_certificate import AcmCertificate
from orderops.text.lists import counted

LABEL = "certificate"
# ACM renews a certificate at least 45 days before its end: with fewer than 30, renewals have failed for two weeks.
LATE, LAST = timedelta(days=30), timedelta(days=7)
EXPLAIN = "orderops infra plan"


def read_certificate(workspace: Workspace) -> Observed | None:
    """The certificate of the environment's names; None if there is none."""
    certificate = workspace.stack.listeners.certificate
    assert certificate
    owner = Ownership(workspace.environment.name, certificate.address, certificate.name)
    found = AcmCertificate.listing(workspace.aws, owner)
    return next((observed for observed in found if (observed.tags or {}).get(ADDRESS) == owner.address), None)


def certificate_status(observed: Observed | None, now: datetime) -> ComponentStatus:
    """The component for a certificate."""
    if observed is None:
        return ComponentStatus(LABEL, ComponentState.ABSENT, "no certificate for the declared names", "orderops up")
    if observed.status.startswith("PENDING_VALIDATION"):
        return ComponentStatus(LABEL, ComponentState.STARTING, "waits for its records in the DNS", "orderops up")
    end = observed.properties["NotAfter"]
    if observed.state is State.FAILED:
        return ComponentStatus(LABEL, ComponentState.DOWN, observed.status, EXPLAIN)
    if end is None:
        return ComponentStatus(LABEL, ComponentState.UNKNOWN, "ACM does not say when it ends")
    left = end - now
    detail = f"{counted(max(left.days, 0), 'day')} left"
    if left >= LATE:
        return ComponentStatus(LABEL, ComponentState.OK, detail)
    priority = Priority.P1 if left < LAST else Priority.P2
    detail = f"{detail}: ACM does not renew it; its CNAME records must be in the DNS, and a listener must use it"
    return ComponentStatus(LABEL, ComponentState.DEGRADED, detail, EXPLAIN, priority=priority)
