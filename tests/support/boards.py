"""Readings of a board in the situations that it has to show, written down and not read from an account."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from orderops.board.incidents import FoundIncidents, Incident, IncidentUpdate
from orderops.board.marks import ChangeMark
from orderops.board.reading import BoardReading
from orderops.board.samples import HealthSample, KeptSamples
from orderops.board.series import DaySeries, ServiceSeries, Values
from orderops.frozen import replace

NOW = datetime(2026, 11, 29, 3, 12, 20, tzinfo=UTC)
OK = {
    "database": "ok",
    "queue order-processor": "ok",
    "service order-processor": "ok",
    "balancer": "ok",
    "readiness": "ok",
    "page": "ok",
    "alarms": "ok",
}
DETAILS = {
    "database": "available, PostgreSQL 18.1, db.t4g.medium",
    "queue order-processor": "12 waiting, 0 dead letters",
    "service order-processor": "3 of 3 tasks, revision 41",
    "balancer": "3 of 3 targets healthy",
    "readiness": "every dependency answers",
    "page": "/users answers 200 in 0.1 s",
    "alarms": "none of 14 alarms is raised",
}


def health(verdict: str = "healthy", cause: str = "", answers: str = "ready", **states: str) -> dict[str, Any]:
    """A health as `orderops status --json` has it; states by the first word of the component's name."""
    parts = [
        {"name": name, "state": states.get(name.split()[0], state), "detail": DETAILS[name]}
        for name, state in OK.items()
    ]
    return {
        "environment": "prod",
        "verdict": verdict,
        "cause": cause,
        "next": "orderops status --watch --env prod" if cause else "",
        "urls": {"url": "http://orderops-prod-balancer-1234.ap-southeast-2.elb.amazonaws.com"},
        "notes": [],
        "denied": [],
        "components": parts,
        "releases": [
            {
                "service": "order-processor",
                "version": "2026.11.3",
                "digest": "sha256:" + "ab" * 32,
                "image": "123456789012.dkr.ecr.ap-southeast-2.amazonaws.com/orders@sha256:" + "ab" * 32,
                "revision": 41,
                "since": "2026-11-28T21:20:00Z",
                "rollout": "completed",
                "outdated_tasks": 0,
                "changed_secrets": [],
                "next": None,
            }
        ],
        "secrets": [],
        "readiness": {"state": answers, "detail": "", "url": "", "reasons": {}},
        "runs": [],
        "pending": [],
        "restorable_until": None,
        "proven_restore": None,
        "unreadable": [],
    }


def sample(at: datetime, orders: str = "ok", pages: str = "ok", **states: str) -> HealthSample:
    verdict = "down" if orders == "down" else "degraded" if orders == "delayed" else "healthy"
    components = {name: states.get(name.split()[0], state) for name, state in OK.items()}
    return HealthSample(at, verdict, {"orders": orders, "pages": pages}, components)


def ninety_days() -> KeptSamples:
    """A sample every five minutes since 63 days, with two delays and an outage."""
    samples = []
    for back in range(63, -1, -1):
        day = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=back)
        for number in range(288):
            at = day + number * timedelta(minutes=5)
            if at > NOW:
                break
            orders = pages = "ok"
            if back == 40 and 100 <= number < 117:
                orders = pages = "down"
            elif back == 12 and 30 <= number < 60:
                orders = "delayed"
            elif back == 3 and 200 <= number < 204:
                orders, pages = "delayed", "delayed"
            samples.append(sample(at, orders, pages))
    return KeptSamples(tuple(samples))


def day_series(*, trouble: bool = False) -> DaySeries:
    """A day with a night, two releases, and in the end more messages than the tasks empty."""
    end = NOW.replace(minute=10, second=0)

    def values(base: float, swing: float, *, gap: bool = False, late: float = 1.0) -> Values:
        found: list[float | None] = []
        for index in range(288):
            wave = (
                math.sin((index - 60) / 288 * 2 * math.pi) + 0.18 * math.sin(index * 1.7) + 0.1 * math.sin(index * 0.61)
            )
            value = base + swing * wave
            if trouble and index > 270:
                value *= late
            found.append(None if gap and 120 <= index < 132 else max(0.0, value))
        return tuple(found)

    running = tuple(2.0 if index < 90 else 3.0 if not (trouble and index > 272) else 1.0 for index in range(288))
    wanted = tuple(2.0 if index < 88 else 3.0 for index in range(288))
    errors = tuple(0.0 if not (trouble and index > 270) else 7.5 for index in range(288))
    service = ServiceSeries(
        "order-processor",
        {
            "latency": values(0.18, 0.06, gap=True, late=9),
            "errors": errors,
            "requests": values(640, 420, gap=True),
            "waiting": values(40, 30, late=30),
            "running": running,
            "wanted": wanted,
        },
        6,
    )
    worker = ServiceSeries("worker", {"running": (2.0,) * 288, "wanted": (2.0,) * 288}, 4)
    return DaySeries(end, (service, worker))


MARKS = (
    ChangeMark(
        NOW - timedelta(hours=15),
        "migration",
        "V007, V008",
        "arn:aws:sts::123456789012:assumed-role/ops/ana",
        "done",
        "migrate apply --env prod",
    ),
    ChangeMark(
        NOW - timedelta(hours=5, minutes=52),
        "release",
        "orderops-prod-order-processor",
        "arn:aws:sts::123456789012:assumed-role/ops/ana",
        "done",
        "service deploy --env prod",
    ),
)
INCIDENT = Incident(
    "20261129-0258-7f3a",
    "Orders are processed late",
    "orders",
    "2026-11-29T02:58:00Z",
    (
        IncidentUpdate(
            "2026-11-29T02:58:00Z", "ana", "Orders are accepted as usual. Confirmations arrive some minutes late."
        ),
        IncidentUpdate(
            "2026-11-29T03:07:00Z", "ana", "We have found the cause and are bringing capacity back.\nNo order is lost."
        ),
    ),
)
CLOSED = Incident(
    "20261120-1010-aa01",
    "Pages were slow",
    "pages",
    "2026-11-20T10:10:00Z",
    (IncidentUpdate("2026-11-20T10:31:00Z", "ben", "A slow query was removed."),),
    "2026-11-20T10:40:00Z",
)


def situations() -> dict[str, BoardReading]:
    """Healthy, degraded, down and without any data."""
    whole = BoardReading(
        NOW, "prod", "Acme Orders", health(), ninety_days(), FoundIncidents((CLOSED,)), day_series(), MARKS
    )
    impaired = health(
        "degraded",
        "service order-processor is degraded: 1 of 3 tasks, revision 41; last stop: OutOfMemoryError",
        service="degraded",
    )
    impaired["components"][2]["detail"] = "1 of 3 tasks, revision 41; last stop: OutOfMemoryError"
    degraded = {
        **impaired,
        "priority": "P1",
        "cause_component": "service order-processor",
        "since": "2026-11-29T02:47:00Z",
        "last_change": {
            "at": "2026-11-28T21:20:00Z",
            "who": "ana",
            "what": "release of order-processor",
            "tool": "orderops",
        },
    }
    down = health(
        "down",
        "database is down: storage-full",
        "not-ready",
        database="down",
        readiness="down",
        balancer="down",
        page="down",
    )
    return {
        "healthy": whole,
        "degraded": replace(
            whole, health=degraded, incidents=FoundIncidents((INCIDENT, CLOSED)), series=day_series(trouble=True)
        ),
        "down": replace(whole, health=down, series=day_series(trouble=True), incidents=FoundIncidents()),
        "no-data": BoardReading(
            NOW,
            "prod",
            "Acme Orders",
            series=DaySeries(
                NOW, (ServiceSeries("order-processor", {"latency": (None,) * 288, "waiting": (None,) * 288}, 5),)
            ),
            problems=("health: AccessDenied: not allowed to perform rds:DescribeDBInstances",),
        ),
    }
