"""What is different on the laptop: its state may not be saved, and its own commands explain what does not answer."""

from __future__ import annotations

from orderops.health.component import ComponentState, ComponentStatus
from orderops.infra.workspace import Workspace


def laptop_status(workspace: Workspace) -> tuple[ComponentStatus, ...]:
    """The laptop environment where its state is not saved; empty everywhere else, and for its tasks."""
    if not workspace.environment.emulated:
        return ()
    from orderops import local

    if local.inside_task():
        return ()
    problems = local.saving_problems(local.status()["state"])
    state, command = ComponentState.DEGRADED, "orderops local status"
    return tuple(ComponentStatus("laptop", state, problem, command) for problem in problems[:1])


def repairing(workspace: Workspace, status: str) -> str:
    """The command for a database or a load balancer in a status in which it serves nobody."""
    # On the laptop a failed server's own message is shown by `local status`; a stopped one is started by `up`.
    explained = workspace.environment.emulated and not status.startswith("stop")
    return "orderops local status" if explained else "orderops up"


def explaining(workspace: Workspace) -> str:
    """The command that shows why something that AWS calls well does not answer."""
    # On AWS, the usual reasons are a rule of a security group or a password that was changed by hand.
    return "orderops local logs" if workspace.environment.emulated else "orderops infra plan"


def looking_into(workspace: Workspace, service: str) -> str:
    """The command that shows what a database that answers late is busy with."""
    return "orderops local psql" if workspace.environment.emulated else f"orderops service logs {service}"


def explaining_replica(workspace: Workspace, name: str) -> str:
    """The command that shows why a replica does not replicate."""
    events = f"aws rds describe-events --source-type db-instance --source-identifier {name} --duration 1440"
    return "orderops local logs" if workspace.environment.emulated else events


def catching_up(workspace: Workspace, name: str) -> str:
    """The command for a replica that is late."""
    # On the laptop, a pause made by hand is the usual reason; on AWS it catches up, or the alarm goes on.
    return f"orderops local replay {name} --resume" if workspace.environment.emulated else "orderops status --watch"


def exact_lag(workspace: Workspace) -> bool:
    """Whether the measured lag of a replica is exact, and does not climb while nothing is committed."""
    return workspace.environment.emulated
