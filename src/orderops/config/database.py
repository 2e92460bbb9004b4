"""The database instance of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from orderops.config import types as values
from orderops.config.capacity import most_connections
from orderops.config.loader import Mistake, TomlTable
from orderops.config.types import between, counted, unreserved


class DatabaseConfig(TomlTable):
    """The PostgreSQL instance."""

    engine_version: values.EngineVersion = "16"
    """PostgreSQL version: major, or major and minor; when left out and `emulated`, the one of this machine."""
    instance_class: values.InstanceClass = "db.t3.micro"
    """RDS instance class."""
    storage_gb: Annotated[int, between(20, 65536)] = 20
    """Size of the gp3 storage in gigabytes; it can grow and never shrink."""
    max_storage_gb: Annotated[int, between(22, 65536)] | None = None
    """Size in gigabytes up to which RDS grows the storage automatically; when left out, it does not grow."""
    multi_az: bool = False
    """Whether RDS runs a standby in another availability zone."""
    backup_days: Annotated[int, between(1, 35, "without backups nothing can be restored")] = 7
    """Days for which backups are kept, and so how far back a restore can go."""
    deletion_protection: bool = False
    """Whether AWS refuses to delete the instance."""
    performance_insights: bool = True
    """Whether RDS Performance Insights is on."""
    database_insights: Literal["standard", "advanced"] = "standard"
    """Mode of CloudWatch Database Insights; `advanced` is charged, and keeps 465 days of Performance Insights."""
    log_exports: Annotated[list[Literal["postgresql", "upgrade"]], counted(0)] = Field(["postgresql"])
    """PostgreSQL logs that RDS sends to CloudWatch Logs."""
    log_days: values.LogDays = 30
    """Days for which the logs sent to CloudWatch Logs are kept."""
    port: Annotated[int, between(1150, 65535)] = 5432
    """Port on which PostgreSQL listens."""
    name: Annotated[values.SqlName, unreserved(values.RESERVED_DATABASES)] = "orders"
    """Name of the database in the instance."""
    username: Annotated[values.UserName, unreserved(values.RESERVED_USERS, ("pg_", "rds_"))] = "orderops"
    """Master user, as which orderops connects; the services have a role of their own."""
    master: Literal["managed", "own"] = "managed"
    """Who keeps the master user's password: RDS, or a secret of orderops's own, which read replicas need."""
    replicas: Annotated[int, between(0, 5)] = 0
    """Read replicas, each in another availability zone as far as there are zones; they need `master = "own"`."""
    login: Literal["iam", "password"] | None = None
    """How the services log in: with tokens of IAM or by password; when left out, `iam`, or `password` if `emulated`."""
    rotate_days: values.Days | None = None
    """Age in days from which AWS gives the passwords that orderops keeps new values by itself, by a daily task in the
    VPC; when left out, `orderops database rotate` is for somebody to run."""
    logical_replication: bool = False
    """Whether the server can replicate by rows, which a blue/green upgrade to another major version needs; in force
    after a reboot."""
    access: Literal["direct", "task", "tunnel"] = "direct"
    """How this machine connects: directly, by a one-off task in the VPC, or through a tunnel."""
    sslmode: Literal["disable", "require", "verify-full"] = "verify-full"
    """How the server's certificate is verified; libpq's `sslmode`."""
    slow_query_ms: Annotated[int, between(0, 3_600_000)] = 500
    """Duration in milliseconds from which a statement is logged."""
    backup_window: values.DailyWindow = "16:00-16:30"
    """Daily window of the automatic backup, UTC."""
    maintenance_window: values.WeeklyWindow = "sun:17:00-sun:17:30"
    """Weekly window in which RDS may change the instance, UTC."""

    @property
    def low_storage_gb(self) -> float:
        """Gigabytes of free storage below which an operator has to act: a tenth, as in RDS's own growing."""
        return self.storage_gb / 10

    @property
    def much_log_gb(self) -> float:
        """Gigabytes of log kept for a replica above which an operator has to act: a tenth of the storage."""
        return self.storage_gb / 10

    @property
    def many_connections(self) -> int:
        """Connections from which on an operator has to act; 0 for a class of unknown memory."""
        return (most_connections(self.instance_class) or 0) * 9 // 10

    def mistakes(self) -> Iterator[Mistake]:
        """Check the room to grow, and that the windows do not overlap."""
        if not 1 <= self.backup_days <= 35:
            yield Mistake(
                ("backup_days",), self.backup_days, "must be 1 to 35; without backups nothing can be restored"
            )
        least = -(-self.storage_gb * 11 // 10)
        if self.max_storage_gb is not None and self.max_storage_gb < least:
            allowed = f"must be {least} to 65536, at least 10 % more than storage_gb"
            yield Mistake(("max_storage_gb",), self.max_storage_gb, allowed, (("storage_gb",),))
        if self.database_insights == "advanced" and not self.performance_insights:
            rule = "needs performance_insights = true: RDS turns on advanced only with 465 days of Performance Insights"
            yield Mistake(("database_insights",), self.database_insights, rule, (("performance_insights",),))
        if self.replicas and self.master != "own":
            rule = 'needs master = "own": RDS makes no read replica while it manages the master password itself'
            yield Mistake(("replicas",), self.replicas, rule, (("master",),))
        backup, backup_length = values.window(self.backup_window, values.DAY)
        upkeep, upkeep_length = values.window(self.maintenance_window, values.WEEK)
        if (upkeep - backup) % values.DAY < backup_length or (backup - upkeep) % values.DAY < upkeep_length:
            allowed = f"overlaps backup_window, {self.backup_window}"
            yield Mistake(("maintenance_window",), self.maintenance_window, allowed, (("backup_window",),))


def is_instance_class(text: str) -> bool:
    """Whether a text has the form of an instance class."""
    return _has_form(TypeAdapter(values.InstanceClass), text)


def is_engine_version(text: str) -> bool:
    """Whether a text has the form of a version of PostgreSQL that an environment can declare."""
    return _has_form(TypeAdapter(values.EngineVersion), text)


def _has_form(form: TypeAdapter[str], text: str) -> bool:
    try:
        form.validate_python(text)
    except ValidationError:
        return False
    return True
