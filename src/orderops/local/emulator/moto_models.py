"""moto's models of a database instance and a balancer, extended by the state of the real processes behind them.

moto reports a resource as ready as soon as it is created. Here, moto's status is the target, and the data plane
sets the status that was reached.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import moto.elbv2.models as elbv2
import moto.iam.models as iam
import moto.rds.models as rds

from orderops.local.emulator.origin import RestoreOrigin
from orderops.local.emulator.replication import status_infos

TRANSITIONS = {"available": "starting", "stopped": "stopping"}
# Statuses in which the server commits nothing more, so that its log does not grow.
NOT_RUNNING = frozenset({"stopping", "stopped", "deleting", "failed", "incompatible-network", "incompatible-restore"})


class MasterUserSecret(rds.MasterUserSecret):  # type: ignore[misc]  # moto is read without types
    """Managed password of an instance, generated for the instance's own master user."""

    def _generate_secret_string(self) -> str:
        return json.dumps({"username": self.resource.master_username, "password": new_password()})

    def rotate_secret(self) -> None:
        """Store a new password in the secret; the data plane sets it in the database."""
        change_password(self.secretsmanager, self.secret.arn)


class DBInstance(rds.DBInstance):  # type: ignore[misc]  # moto is read without types
    """Instance with a PostgreSQL server; instances of other engines stay as moto makes them."""

    backup_lag: ClassVar[timedelta] = timedelta()
    """How far the latest restorable time is behind the clock."""

    endpoint_port: int | None = None
    declared_port: int | None = None
    origin: RestoreOrigin | None = None
    restorable_since: datetime | None = None
    logged_until: datetime | None = None
    """Time after which the log certainly contains a commit."""
    retained: DBInstance | None = None
    """Copy that describes retained backups after the instance is deleted."""
    failure_reason: str = ""
    """Cause of a final failure; empty otherwise."""
    applied_credentials: tuple[str, str | None] | None = None
    """User and password of the account that the server was given last: SQL may have changed the password since."""
    replicates_from: str = ""
    """Resource id of the source of a replica, also after its promotion."""
    promotion: int | None = None
    """Days of backups after a promotion that was requested; None otherwise."""

    applied_class: str = ""
    """Instance class that the server was started with last."""

    def __init__(self, backend: Any, **settings: Any) -> None:
        super().__init__(backend, **settings)
        if self.has_server:
            # moto gives every instance the same resource id, and the data directory is named after it.
            random = base64.b32encode(uuid.uuid4().bytes).decode().rstrip("=")
            self.dbi_resource_id = f"db-{random}"
            self.set_status("creating")

    @property
    def has_server(self) -> bool:
        """True when a PostgreSQL server runs for this instance."""
        return self.engine == "postgres" and not self.db_cluster_identifier

    @property
    def status(self) -> str:
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        self._status = TRANSITIONS.get(status, status) if getattr(self, "engine", None) == "postgres" else status

    def set_status(self, status: str) -> None:
        """Set the status that was reached."""
        self._status = status

    def fail(self, status: str, reason: str) -> None:
        """Set a final status and record its cause."""
        self.set_status(status)
        self.failure_reason = reason
        self.add_event(f"{reason}.", "failure")

    def add_event(self, message: str, *categories: str) -> None:
        """Add an event for DescribeEvents; moto supports only some, with fixed messages."""
        event = rds.Event("DB_INSTANCE_CREATE", self)
        event.message, event.event_categories = message, list(categories)
        self.backend.events.append(event)

    @property
    def endpoint(self) -> dict[str, Any] | None:
        if not self.has_server:
            return dict(super().endpoint)
        # AWS returns no endpoint while an instance is created.
        return {"Address": "127.0.0.1", "Port": self.endpoint_port} if self.endpoint_port else None

    @property
    def latest_restorable(self) -> datetime:
        """Latest time to which every committed transaction can be restored."""
        until = datetime.now(UTC) - self.backup_lag
        return min(until, self.logged_until or until) if self.status in NOT_RUNNING else until

    @property
    def restore_window(self) -> tuple[datetime, datetime] | None:
        """Earliest and latest restorable time in whole seconds; None before the first backup."""
        since, latest_restorable = self.restorable_since, self.latest_restorable.replace(microsecond=0)
        if since is None or not self.logged_until or not self.backup_retention_period:
            return None
        return (since, latest_restorable) if latest_restorable >= since else None

    @property
    def latest_restorable_time(self) -> Any:
        if not self.has_server:
            return super().latest_restorable_time
        return self.restore_window[1].replace(tzinfo=None) if self.restore_window else None

    @property
    def status_infos(self) -> list[dict[str, Any]]:
        return status_infos(self)

    @property
    def master_credentials(self) -> tuple[str, str | None]:
        """Current user and password. None as password: the one in the data of a restored instance or a replica."""
        if getattr(self, "manage_master_user_password", False):
            return self.master_username, current_password(self.master_user_secret.secret)
        return self.master_username, self._master_user_password


class LoadBalancer(elbv2.FakeLoadBalancer):  # type: ignore[misc]  # moto is read without types
    """Balancer that listens on this machine."""

    problem: str = ""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "dns_name": "localhost"})

    @property
    def load_balancer_state(self) -> dict[str, str]:
        return {"Code": "failed", "Reason": self.problem} if self.problem else {"Code": self.state}


def install() -> None:
    """Replace moto's models by these."""
    # moto looks these classes up in its modules when it creates a resource.
    rds.MasterUserSecret = MasterUserSecret
    rds.DBInstance = DBInstance
    elbv2.FakeLoadBalancer = LoadBalancer
    init_policies = iam.IAMBackend._init_aws_policies
    # moto builds AWS's thousand managed policies again for every partition (China, GovCloud), which takes seconds.
    iam.IAMBackend._init_aws_policies = lambda backend: init_policies(backend) if backend.region_name == "aws" else []


def new_password() -> str:
    """Return a random password without characters that need quoting."""
    return secrets.token_urlsafe(24).replace("-", "x").replace("_", "y")


def current_password(secret: Any) -> str:
    """Return the password in the secret's current version."""
    for version in secret.versions.values():
        if "AWSCURRENT" in version["version_stages"]:
            return str(json.loads(version["secret_string"])["password"])
    return ""


def change_password(secretsmanager: Any, secret_id: str) -> None:
    """Store a new current version of a managed secret; the previous version becomes AWSPREVIOUS."""
    secret = secretsmanager.secrets[secret_id]
    for version in secret.versions.values():
        if "AWSCURRENT" in version["version_stages"]:
            changed = {**json.loads(version["secret_string"]), "password": new_password()}
            break
    secretsmanager.put_secret_value(secret_id, json.dumps(changed), None, str(uuid.uuid4()), ["AWSCURRENT"])
