"""What moto keeps of a database instance and of a balancer, told as the real things behind them are.

moto calls a thing ready the moment it is made. Here moto's word is the wish, and the data plane says when it came true.
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
import moto.sns.models as sns

from orderops.local.emulator.background import Background
from orderops.local.emulator.origin import RestoreOrigin

WISHES = {"available": "starting", "stopped": "stopping"}
AT_REST = frozenset({"stopping", "stopped", "deleting", "failed", "incompatible-network", "incompatible-restore"})
"""Nothing is written to the log of such an instance any more, nor can be."""


class MasterUserSecret(rds.MasterUserSecret):  # type: ignore[misc]  # moto is read without types
    """The managed password of a database, made for the instance's own master user."""

    def _generate_secret_string(self) -> str:
        return json.dumps({"username": self.resource.master_username, "password": new_password()})

    def rotate_secret(self) -> None:
        """Put a new password in the secret; the data plane gives it to the database."""
        change_password(self.secretsmanager, self.secret.arn)


class DBInstance(rds.DBInstance):  # type: ignore[misc]  # moto is read without types
    """An instance that is what its server is; engines other than PostgreSQL stay what moto makes of them."""

    backup_lag: ClassVar[timedelta] = timedelta()
    """By how much the latest time to which an instance can be restored lies behind the clock."""

    endpoint_port: int | None = None
    declared_port: int | None = None
    origin: RestoreOrigin | None = None
    restorable_since: datetime | None = None
    logged_until: datetime | None = None
    """The last moment after which there is a commit in the log for certain."""
    retained: DBInstance | None = None
    """What goes on being known of an instance whose backups are kept when it is deleted."""
    misfortune: str = ""
    """Why it is what it never leaves again."""

    def __init__(self, backend: Any, **settings: Any) -> None:
        super().__init__(backend, **settings)
        if self.is_real:
            random = base64.b32encode(uuid.uuid4().bytes).decode().rstrip("=")
            self.dbi_resource_id = f"db-{random}"
            self.settle("creating")

    @property
    def is_real(self) -> bool:
        """A server stands behind this instance."""
        return self.engine == "postgres" and not self.is_replica and not self.db_cluster_identifier

    @property
    def status(self) -> str:
        return self._status

    @status.setter
    def status(self, wish: str) -> None:
        self._status = WISHES.get(wish, wish) if getattr(self, "engine", None) == "postgres" else wish

    def settle(self, status: str) -> None:
        """What the instance is from now on."""
        self._status = status

    def suffer(self, status: str, why: str) -> None:
        """It cannot be helped any more: say so, and why."""
        self.settle(status)
        self.misfortune = why
        self.tell(f"{why}.", "failure")

    def tell(self, message: str, *categories: str) -> None:
        """An event that DescribeEvents tells; moto knows only some, with words of their own."""
        event = rds.Event("DB_INSTANCE_CREATE", self)
        event.message, event.event_categories = message, list(categories)
        self.backend.events.append(event)

    @property
    def endpoint(self) -> dict[str, Any] | None:
        if not self.is_real:
            return dict(super().endpoint)
        return {"Address": "127.0.0.1", "Port": self.endpoint_port} if self.endpoint_port else None

    @property
    def latest(self) -> datetime:
        """Up to when a restore brings what was there, to the transaction."""
        latest = datetime.now(UTC) - self.backup_lag
        return min(latest, self.logged_until or latest) if self.status in AT_REST else latest

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """From which to which whole second an instance can be restored; none before the first backup."""
        since, latest = self.restorable_since, self.latest.replace(microsecond=0)
        if since is None or not self.logged_until or not self.backup_retention_period:
            return None
        return (since, latest) if latest >= since else None

    @property
    def latest_restorable_time(self) -> Any:
        if not self.is_real:
            return super().latest_restorable_time
        return self.window[1].replace(tzinfo=None) if self.window else None

    @property
    def master_credentials(self) -> tuple[str, str | None]:
        """User and password as they stand in the account now; a restored one has the password that is in its data."""
        if getattr(self, "manage_master_user_password", False):
            return self.master_username, current_password(self.master_user_secret.secret)
        return self.master_username, self._master_user_password


class LoadBalancer(elbv2.FakeLoadBalancer):  # type: ignore[misc]  # moto is read without types
    """A balancer on this machine."""

    trouble: str = ""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "dns_name": "localhost"})

    @property
    def load_balancer_state(self) -> dict[str, str]:
        return {"Code": "failed", "Reason": self.trouble} if self.trouble else {"Code": self.state}


def install() -> None:
    """Let moto make these instead of its own."""
    rds.MasterUserSecret = MasterUserSecret
    rds.DBInstance = DBInstance
    elbv2.FakeLoadBalancer = LoadBalancer
    every_partition = iam.IAMBackend._init_aws_policies
    # moto makes the thousand policies of AWS anew for China, the government and others.
    iam.IAMBackend._init_aws_policies = lambda backend: every_partition(backend) if backend.region_name == "aws" else []
    # moto posts to a subscriber within the call that publishes: a silent one would hold the whole emulator.
    sns.requests = Background()


def new_password() -> str:
    """A password without characters that need quoting anywhere."""
    return secrets.token_urlsafe(24).replace("-", "x").replace("_", "y")


def current_password(secret: Any) -> str:
    """The password in the secret's current version."""
    for version in secret.versions.values():
        if "AWSCURRENT" in version["version_stages"]:
            return str(json.loads(version["secret_string"])["password"])
    return ""


def change_password(secretsmanager: Any, secret_id: str) -> None:
    """A new current version of a managed secret; the one before stays as AWSPREVIOUS."""
    secret = secretsmanager.secrets[secret_id]
    for version in secret.versions.values():
        if "AWSCURRENT" in version["version_stages"]:
            changed = {**json.loads(version["secret_string"]), "password": new_password()}
            break
    secretsmanager.put_secret_value(secret_id, json.dumps(changed), None, str(uuid.uuid4()), ["AWSCURRENT"])
