"""orderops database analyze: gather the planner's statistics, by the way that leads to the database."""

from __future__ import annotations

from orderops.database.connection import Login, connect
from orderops.database.statistics import Analysis
from orderops.database.statistics import analyze as gather
from orderops.infra.workspace import Workspace
from orderops.operations.options import DatabaseOptions
from orderops.operations.remote import answer_of_task, argv
from orderops.operations.restore import open_databases
from orderops.operations.workspace import open_workspace
from orderops.remote.request import DATABASE, DatabaseEndpoint, JobRequest
from orderops.restore.endpoints import connection_info
from orderops.restore.instances import Instance, load_instances
from orderops.text.durations import measured
from orderops.ui import console


def analyze(where: DatabaseOptions, *, as_json: bool) -> None:
    """Run ANALYZE on the database of an environment, and show how long it took."""
    if where.job:
        where.job.set_result(_analyze(where.job.login()).to_dict())
        return
    workspace = open_workspace(where.env, where.environments)
    done = analyze_instance(workspace, load_instances(workspace.aws, workspace.stack).require_primary())
    if as_json:
        console.show_json(done.to_dict())
    else:
        console.info(f"statistics of {done.tables} tables gathered in {measured(done.seconds)}")


def analyze_instance(workspace: Workspace, instance: Instance) -> Analysis:
    """Run ANALYZE on an instance: directly, through the tunnel, or by a task. Raises OrderopsError."""
    if workspace.environment.database.access != "task":
        with open_databases(workspace, instance) as (login,):
            return _analyze(login)
    endpoint = DatabaseEndpoint(**connection_info(workspace.stack, instance))
    request = JobRequest(tuple(argv("database", "analyze")), databases={DATABASE: endpoint})
    return answer_of_task(workspace, request, Analysis)


def _analyze(login: Login) -> Analysis:
    with connect(login, name="orderops database analyze") as connection:
        return gather(connection)
