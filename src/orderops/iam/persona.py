"""The personas that policies are written for, and the commands that each runs."""

# The command line imports this module for its help, so it imports nothing else of orderops.
from __future__ import annotations

from enum import StrEnum

READING = (
    "status",
    "history",
    "doctor",
    "alerts list",
    "alerts check",
    "infra drift",
    "report weekly",
    "infra plan",
    "infra outputs",
    "infra export",
    "restore list",
    "queue status",
    "service explain",
    "service logs",
    "service releases",
    "waf report",
    "api keys list",
)
RELEASING = (
    "up",
    "infra apply",
    "service build",
    "service deploy",
    "service restart",
    "service rollback",
    "service sbom",
    "service scale",
)
# As remote jobs. From the operator's machine they need the database's password: `grants.DATABASE_ACCESS`.
ASKING_DATABASE = ("migrate info",)
MIGRATING = (*ASKING_DATABASE, "migrate apply")
ROTATING = ("database rotate",)
CHANGING_DATABASE = ("database analyze", "database extensions", "database scale", "database upgrade")
ENTERING = ("service exec",)
DRILLING = ("alerts fire-drill",)
API_KEYS = ("api keys create", "api keys revoke")
QUEUES = ("queue peek", "queue dlq list", "queue dlq show", "queue dlq replay", "queue dlq purge")
# A viewer may make a board too, whose sample is then not kept.
BOARD = ("board", "board publish")
INCIDENTS = ("board incident open", "board incident update", "board incident close", "board incident list")
RESTORING = (
    "migrate rehearsal",
    "restore",
    "restore back",
    "restore compare",
    "restore discard",
    "restore drill",
    "restore points",
    "restore promote",
)
REMOVING = ("infra apply --prune", "up --prune", "down", "infra destroy", "service destroy")


class Persona(StrEnum):
    """The user of a policy: someone who operates an environment, its pipeline, or someone who only reads."""

    OPERATOR = "operator"
    PIPELINE = "pipeline"
    VIEWER = "viewer"

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that the persona runs."""
        return {
            Persona.OPERATOR: (
                *READING,
                *RELEASING,
                *MIGRATING,
                *ROTATING,
                *CHANGING_DATABASE,
                *ENTERING,
                *DRILLING,
                *API_KEYS,
                *QUEUES,
                *BOARD,
                *INCIDENTS,
                *RESTORING,
                *REMOVING,
            ),
            Persona.PIPELINE: (*READING, *RELEASING, *ASKING_DATABASE, *BOARD),
            Persona.VIEWER: READING,
        }[self]
