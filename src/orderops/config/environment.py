"""An environment, as `environments/<name>.toml` declares it.

What is alike everywhere is a default here, so that a file says only what is different in its environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from orderops.config import types as values
from orderops.config.loader import Key, Mistake, TomlTable, read
from orderops.config.network import NetworkConfig, Tier
from orderops.config.service import ServiceConfig, takes_all
from orderops.config.types import between, counted, unreserved
from orderops.errors import UsageError

__all__ = [
    "AlertsConfig",
    "BalancerConfig",
    "ClusterConfig",
    "DatabaseConfig",
    "Environment",
    "ImagesConfig",
    "MigrationsConfig",
    "NetworkConfig",
    "ServiceConfig",
    "Tier",
    "environment_names",
    "environments_folder",
    "load_environment",
    "packaged",
]

LONGEST_NAME = 32  # of a target group


def load_environment(name: str, folder: Path | None = None) -> Environment:
    """Read one environment, or refuse it with every mistake in its file."""
    place = environments_folder(folder)
    names = environment_names(place)
    if name not in names:
        raise UsageError(f"no environment is named {name!r}", "\n".join(_known(name, names, place)))
    return read(place / f"{name}.toml", Environment, name, missing={("database",): _without_database(name)})


def _known(name: str, names: list[str], place: Path) -> Iterator[str]:
    """The names there are; and how to get a file back, where there may have been one."""
    yield f"environments here: {', '.join(names)}"
    under_git = any((folder / ".git").exists() for folder in (place.resolve(), *place.resolve().parents))
    if under_git and values.is_environment_name(name) and not get_close_matches(name, names):
        yield f"if its file was deleted or renamed: {way_back(place / f'{name}.toml')}"


def way_back(file: Path) -> str:
    """How to get a file back from git."""
    return f"git log --oneline -- {file}; git checkout COMMIT~ -- {file}"


def _without_database(name: str) -> str:
    database = f"orderops-{name}-database"
    return (
        "put [database] back as it was; to remove a database on purpose, with [database] in the file: "
        f"orderops down --env {name} --only rds-instance/{database} --confirm {database}"
    )


def environment_names(folder: Path | None = None) -> list[str]:
    """The names of the environments declared in a folder, sorted."""
    place = environments_folder(folder)
    try:
        names = sorted(path.stem for path in place.iterdir() if path.suffix == ".toml" and path.stem[0] != ".")
    except OSError as error:
        raise UsageError(
            f"the environments folder {str(place)!r} cannot be read: {(error.strerror or str(error)).lower()}",
            "name the folder that holds your NAME.toml files: --environments DIR",
        ) from None
    if not names:
        raise UsageError(
            f"the environments folder {str(place)!r} holds no *.toml",
            "name the folder that holds your NAME.toml files: --environments DIR",
        )
    return names


def environments_folder(given: Path | None = None) -> Path:
    """Where the environments are: as given, else in the working directory, else those that come with orderops."""
    if given is not None:
        return given
    here = Path("environments")
    return here if any(here.glob("*.toml")) else packaged(Path(__file__).parents[1])


def packaged(package: Path) -> Path:
    """The environments that come with orderops: inside an installed package, beside `src` in a checkout."""
    inside = package / "_environments"
    return inside if inside.is_dir() else package.parents[1] / "environments"


class ClusterConfig(TomlTable):
    """The ECS cluster."""

    container_insights: bool = True
    """Whether CloudWatch measures tasks and containers."""


class BalancerConfig(TomlTable):
    """The load balancer before all services."""

    port: values.Port = 80
    """Port on which it listens for HTTP."""
    idle_timeout_seconds: Annotated[int, between(1, 4000)] = 60
    """Seconds after which a silent connection is closed."""
    deletion_protection: bool = False
    """Whether AWS refuses to delete it."""
    access_log_days: values.Days = 30
    """Days for which access logs are kept."""
    allowed_cidrs: Annotated[list[values.AnyCidr], counted(1)] = Field(["0.0.0.0/0"])
    """Addresses that may connect."""


class DatabaseConfig(TomlTable):
    """The PostgreSQL instance."""

    engine_version: values.EngineVersion = "16"
    """PostgreSQL version: major, or major and minor."""
    instance_class: values.InstanceClass = "db.t3.micro"
    """Size of the machine."""
    storage_gb: Annotated[int, between(20, 65536)] = 20
    """Gigabytes of gp3 storage; it can grow and never shrink."""
    max_storage_gb: Annotated[int, between(22, 65536)] | None = None
    """Gigabytes to which AWS may grow the storage by itself; not at all when left out."""
    multi_az: bool = False
    """Whether a standby waits in another zone."""
    backup_days: Annotated[int, between(1, 35, "without backups nothing can be restored")] = 7
    """Days to which a restore can go back, 1 to 35."""
    deletion_protection: bool = False
    """Whether AWS refuses to delete it."""
    performance_insights: bool = True
    """Whether AWS measures the load by statement."""
    log_exports: Annotated[list[Literal["postgresql", "upgrade"]], counted(0)] = Field(["postgresql"])
    """Logs that go to CloudWatch."""
    port: Annotated[int, between(1150, 65535)] = 5432
    """Port on which PostgreSQL listens."""
    name: Annotated[values.SqlName, unreserved(values.RESERVED_DATABASES)] = "orders"
    """Database inside the instance."""
    username: Annotated[values.UserName, unreserved(values.RESERVED_USERS, ("pg_", "rds_"))] = "orderops"
    """Master user; its password is in Secrets Manager."""
    access: Literal["direct", "task", "tunnel"] = "direct"
    """How this machine reaches it: by itself, through a one-off task in the VPC, or through a tunnel."""
    sslmode: Literal["disable", "require", "verify-full"] = "verify-full"
    """How far the server's certificate is trusted, in libpq's words."""
    slow_query_ms: Annotated[int, between(0, 3_600_000)] = 500
    """Milliseconds from which a statement is logged."""
    backup_window: values.DailyWindow = "16:00-16:30"
    """Time of day of the daily backup, UTC."""
    maintenance_window: values.WeeklyWindow = "sun:17:00-sun:17:30"
    """Time of the week at which AWS may change the instance, UTC."""

    def mistakes(self) -> Iterator[Mistake]:
        """Room to grow, and windows that must not meet."""
        if not 1 <= self.backup_days <= 35:
            yield Mistake(
                ("backup_days",), self.backup_days, "allowed are 1 to 35; without backups nothing can be restored"
            )
        least = -(-self.storage_gb * 11 // 10)
        if self.max_storage_gb is not None and self.max_storage_gb < least:
            allowed = f"allowed are {least} to 65536, at least 10 % more than storage_gb"
            yield Mistake(("max_storage_gb",), self.max_storage_gb, allowed, (("storage_gb",),))
        backup, backup_length = values.window(self.backup_window, values.DAY)
        upkeep, upkeep_length = values.window(self.maintenance_window, values.WEEK)
        if (upkeep - backup) % values.DAY < backup_length or (backup - upkeep) % values.DAY < upkeep_length:
            allowed = f"overlaps backup_window, {self.backup_window}"
            yield Mistake(("maintenance_window",), self.maintenance_window, allowed, (("backup_window",),))


class ImagesConfig(TomlTable):
    """The repository of service images."""

    keep: Annotated[int, between(1, 1000)] = 30
    """Images that are kept for each service; older ones are removed."""


class AlertsConfig(TomlTable):
    """Who hears of alarms."""

    emails: Annotated[list[values.Email], counted(0)] = Field(default_factory=list)
    """Mail addresses; each one confirms by itself."""
    https: Annotated[list[values.HttpsUrl], counted(0)] = Field(default_factory=list)
    """Endpoints such as a pager's."""


class MigrationsConfig(TomlTable):
    """How the database's changes are applied."""

    on_up: bool = False
    """Whether `orderops up` applies them too."""
    rehearsed: bool = False
    """Whether only what was rehearsed on a copy may be applied."""
    receipt_days: values.Days = 7
    """Days for which the receipt of a rehearsal is good for that."""
    max_replication_lag_seconds: Annotated[int, between(1, 3600)] = 10
    """Seconds that a replica may be behind before rows changed in batches wait for it."""
    max_waiting_sessions: Annotated[int, between(1, 1000)] = 10
    """Sessions that may wait for locks before rows changed in batches wait for them."""

    def mistakes(self) -> Iterator[Mistake]:
        """`up` rehearses nothing."""
        if self.rehearsed and self.on_up:
            told = "cannot be beside on_up = true: orderops up applies without a rehearsal"
            yield Mistake(("rehearsed",), self.rehearsed, told, (("on_up",),))


class Environment(TomlTable):
    """A whole environment: one shared base and its services."""

    name: values.EnvironmentName
    """The file's name without .toml."""
    region: values.Region = "ap-southeast-2"
    """AWS region."""
    account: values.Account | None = None
    """The one AWS account in which it may live; any when left out."""
    emulated: bool = False
    """Whether its AWS is this machine's emulator."""
    protected: bool = False
    """Whether changes want its name typed."""
    tags: Annotated[dict[values.TagKey, values.TagValue], counted(0, 40)] = Field(default_factory=dict)
    """Extra tags for everything in it."""
    network: NetworkConfig = NetworkConfig()
    """The VPC."""
    cluster: ClusterConfig = ClusterConfig()
    """The ECS cluster."""
    balancer: BalancerConfig = BalancerConfig()
    """The load balancer."""
    database: DatabaseConfig
    """The PostgreSQL instance, a table [database], empty for the defaults; one that is there stays as it is."""
    images: ImagesConfig = ImagesConfig()
    """The image repository."""
    alerts: AlertsConfig = AlertsConfig()
    """Who hears of alarms."""
    migrations: MigrationsConfig = MigrationsConfig()
    """How the database's changes are applied."""
    services: Annotated[dict[values.ServiceName, ServiceConfig], counted(1)]
    """At least one service, each a table [services.NAME]."""

    @property
    def prefix(self) -> str:
        """What the name of everything in it begins with."""
        return f"orderops-{self.name}"

    def service_name(self, service: str) -> str:
        """The name in AWS of a service and of what belongs to it."""
        name = f"{self.prefix}-{service}"
        if len(name) > LONGEST_NAME:
            raise UsageError(f"service {service!r}: {self._too_long(service)}", "choose a shorter name")
        return name

    def rule_priority(self, service: str) -> int:
        """The place of a service's rule on the balancer."""
        given = self.services[service].priority
        return given if given is not None else 100 * (list(self.services).index(service) + 1)

    def mistakes(self) -> Iterator[Mistake]:
        """What only the whole shows: protection, emulation, and services side by side."""
        yield from self._unprotected()
        if self.protected and self.emulated:
            told = "cannot be beside emulated = true: nobody is asked before what can harm nothing"
            yield Mistake(("protected",), self.protected, told, (("emulated",),))
        for service, declared in self.services.items():
            key: Key = ("services", service)
            if len(f"{self.prefix}-{service}") > LONGEST_NAME:
                yield Mistake(key, service, self._too_long(service))
            if (declared.image or "").startswith("process://") and not self.emulated:
                told = "runs on this machine; allowed in an environment with emulated = true"
                yield Mistake((*key, "image"), declared.image, told, (("emulated",),))
        yield from self._rivals()

    def _too_long(self, service: str) -> str:
        name = f"{self.prefix}-{service}"
        most = LONGEST_NAME - len(self.prefix) - 1
        return f"{name} has {len(name)} characters and may have {LONGEST_NAME}; shorten the service's name to {most}"

    def _unprotected(self) -> Iterator[Mistake]:
        if self.name == "prod" and not self.protected:
            yield Mistake(("protected",), self.protected, "allowed is true, the environment is named prod")
        if self.protected or self.name == "prod":
            for table, protected in (
                ("balancer", self.balancer.deletion_protection),
                ("database", self.database.deletion_protection),
            ):
                if not protected:
                    key = (table, "deletion_protection")
                    yield Mistake(key, protected, "allowed is true, the environment is protected", (("protected",),))

    def _rivals(self) -> Iterator[Mistake]:
        """Services that want the same place or path on the balancer, and those whose requests another one takes."""
        order = sorted(self.services, key=self.rule_priority)
        for service, earlier in ((service, other) for place, service in enumerate(order) for other in order[:place]):
            mine, theirs = self.services[service].paths, self.services[earlier].paths
            key, other = ("services", service), ("services", earlier)
            if self.rule_priority(earlier) == self.rule_priority(service):
                told = f"is the priority of {earlier} too; allowed are 1 to 50000, each once"
                yield Mistake((*key, "priority"), self.rule_priority(service), told, ((*other, "priority"),))
            if shared := [pattern for pattern in mine if pattern in theirs]:
                told = f"is a path of {earlier} too; allowed once"
                yield Mistake((*key, "paths", mine.index(shared[0])), shared[0], told, ((*other, "paths"),))
            elif takes_all(theirs, mine):
                told = f"{earlier} takes it all at priority {self.rule_priority(earlier)}; the wider paths come last"
                among = ((*other, "paths"), (*other, "priority"), (*key, "priority"))
                yield Mistake((*key, "paths"), mine, told, among)
