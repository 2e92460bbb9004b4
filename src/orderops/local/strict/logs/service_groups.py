"""Log groups that RDS and Container Insights make by themselves: without retention, and kept after their writers.

"Publishing PostgreSQL logs to Amazon CloudWatch Logs" in the RDS user guide, and "Container Insights performance log
events" in the CloudWatch user guide.
"""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.rds.parameters import backend_of


def register(emulator: Emulator) -> None:
    """Make the groups when an export or Container Insights is turned on."""
    for action in ("CreateDBInstance", "ModifyDBInstance"):
        emulator.on_after("rds", action, _exported)
    for action in ("CreateCluster", "UpdateCluster", "UpdateClusterSettings"):
        emulator.on_after("ecs", action, _observed)


def make_export_groups(request: Request, instance: Any) -> None:
    """Make the groups of an instance's exports, where they do not exist."""
    for export in instance.enabled_cloudwatch_logs_exports or ():
        _make(request, f"/aws/rds/instance/{instance.db_instance_identifier}/{export}")


def _exported(request: Request, response: Response) -> None:
    instances = backend_of(request).databases
    name = request.form.get("NewDBInstanceIdentifier") or request.form.get("DBInstanceIdentifier", "")
    instance = instances.get(name.lower()) or instances.get(request.form.get("DBInstanceIdentifier", "").lower())
    if instance is not None:
        make_export_groups(request, instance)


def _observed(request: Request, response: Response) -> None:
    name = str(request.json.get("clusterName") or request.json.get("cluster") or "default").rpartition("/")[2]
    settings = {setting["name"]: setting["value"] for setting in request.json.get("settings", ())}
    if settings.get("containerInsights") in ("enabled", "enhanced"):
        _make(request, f"/aws/ecs/containerinsights/{name}/performance")


def _make(request: Request, name: str) -> None:
    backend = get_backend("logs")[DEFAULT_ACCOUNT_ID][request.region]
    if name not in backend.groups:
        backend.create_log_group(name, {})
