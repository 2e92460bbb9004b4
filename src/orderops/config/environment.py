"""An environment, as `environments/<name>.toml` declares it.

Values that are the same in most environments are defaults, so that a file holds only what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import Field

from orderops.config import types as values
from orderops.config.alerts import AlertsConfig
from orderops.config.api import ApiConfig
from orderops.config.api_names import name_mistakes, redirected_names
from orderops.config.board import BoardConfig
from orderops.config.capacity import capacity_mistakes
from orderops.config.database import DatabaseConfig
from orderops.config.domain import DomainConfig
from orderops.config.drift import DriftConfig
from orderops.config.firewall_places import FirewallPlace, firewall_mistakes, firewall_places
from orderops.config.loader import Key, Mistake, TomlTable, no_keys, read, refusal
from orderops.config.migrations import MigrationsConfig
from orderops.config.network import NetworkConfig, Tier
from orderops.config.routing import Routing
from orderops.config.service import ServiceConfig
from orderops.config.types import between, counted
from orderops.config.waf import WafConfig
from orderops.errors import UsageError

__all__ = [
    "AlertsConfig",
    "BalancerConfig",
    "ClusterConfig",
    "DatabaseConfig",
    "Environment",
    "IamConfig",
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

# Names of target groups and load balancers have at most 32 characters.
LONGEST_NAME = 32


def load_environment(name: str, folder: Path | None = None) -> Environment:
    """Read one environment. Raises UsageError with every mistake in its file."""
    source = environments_folder(folder)
    names = environment_names(source)
    if name not in names:
        raise UsageError(f"no environment named {name!r}", "\n".join(_known(name, names, source)))
    return read(source / f"{name}.toml", Environment, name, missing={("database",): _without_database(name)})


def refuse(name: str, folder: Path | None, mistakes: Iterable[Mistake]) -> None:
    """Raise UsageError for mistakes in a loaded file that other packages found; return if there are none."""
    if found := list(mistakes):
        raise refusal(environments_folder(folder) / f"{name}.toml", name, found)


def _known(name: str, names: list[str], folder: Path) -> Iterator[str]:
    """The known names, and the command that restores the file from git if it may have existed."""
    yield f"available: {', '.join(names)}"
    under_git = any((parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents))
    if under_git and values.is_environment_name(name) and not get_close_matches(name, names):
        yield f"if its file was deleted or renamed: {restore_command(folder / f'{name}.toml')}"


def restore_command(file: Path) -> str:
    """The commands that restore a deleted file from git."""
    return f"git log --oneline -- {file}; git checkout COMMIT~ -- {file}"


def _without_database(name: str) -> str:
    database = f"orderops-{name}-database"
    return (
        "restore [database] as it was; to remove the database intentionally, with [database] in the file: "
        f"orderops down --env {name} --only rds-instance/{database} --confirm {database}"
    )


def other_environments(name: str, folder: Path | None = None) -> list[Environment]:
    """Read the other environments of a folder; one with mistakes is left out, since `env check` reports them."""
    found = []
    for other in environment_names(folder):
        if other != name:
            with suppress(UsageError):
                found.append(load_environment(other, folder))
    return found


def environment_names(folder: Path | None = None) -> list[str]:
    """The names of the environments declared in a folder, sorted."""
    source = environments_folder(folder)
    try:
        names = sorted(path.stem for path in source.iterdir() if path.suffix == ".toml" and path.stem[0] != ".")
    except OSError as error:
        raise UsageError(
            f"the environments folder {str(source)!r} cannot be read: {(error.strerror or str(error)).lower()}",
            "name the folder that holds your NAME.toml files: --environments DIR",
        ) from None
    if not names:
        raise UsageError(
            f"the environments folder {str(source)!r} holds no *.toml",
            "name the folder that holds your NAME.toml files: --environments DIR",
        )
    return names


def environments_folder(given: Path | None = None) -> Path:
    """The folder with the environment files: as given, else in the working directory, else the packaged one."""
    if given is not None:
        return given
    here = Path("environments")
    return here if any(here.glob("*.toml")) else packaged(Path(__file__).parents[1])


def packaged(package: Path) -> Path:
    """The environments that orderops includes: inside an installed package, next to `src` in a checkout."""
    inside = package / "_environments"
    return inside if inside.is_dir() else package.parents[1] / "environments"


def oldest_database_version(folder: Path | None = None) -> int | None:
    """The oldest major version of PostgreSQL that environments on AWS declare; None if there is none.

    Files with mistakes are left out.
    """
    versions = []
    for name in environment_names(folder):
        with suppress(UsageError):
            environment = load_environment(name, folder)
            if not environment.emulated:
                versions.append(int(environment.database.engine_version.partition(".")[0]))
    return min(versions, default=None)


class ClusterConfig(TomlTable):
    """The ECS cluster."""

    container_insights: bool = True
    """Whether CloudWatch Container Insights is on."""
    insights_days: values.LogDays = 7
    """Days for which the events of Container Insights are kept."""


class BalancerConfig(TomlTable):
    """The load balancer that all services share."""

    port: values.Port = 80
    """Port of the HTTP listener."""
    idle_timeout_seconds: Annotated[int, between(1, 4000)] = 60
    """Seconds after which an idle connection is closed."""
    deletion_protection: bool = False
    """Whether AWS refuses to delete the load balancer."""
    access_log_days: values.Days = 30
    """Days for which the access logs are kept."""
    # Each range is a rule, and a security group has at most 60 by default (VPC quotas, "Inbound rules").
    allowed_cidrs: Annotated[list[values.AnyCidr], counted(1, 60)] = Field(["0.0.0.0/0"])
    """IPv4 ranges from which clients may connect."""


class IamConfig(TomlTable):
    """The roles of tasks and flow logs."""

    path: values.RolePath = "/"
    """Path of every role; the path of an existing role cannot be changed."""
    permissions_boundary: values.PolicyArn | None = None
    """Managed policy that is the permissions boundary of every role; when left out, roles have none."""


class ImagesConfig(TomlTable):
    """The image repositories of the services."""

    keep: Annotated[int, between(1, 1000)] = 30
    """Number of images to keep for each service; older images are deleted, except those that run or ran lately."""


class Environment(TomlTable):
    """An environment: the resources that its services share, and the services."""

    name: values.EnvironmentName
    """Name of the file without `.toml`."""
    region: values.Region = "ap-southeast-2"
    """AWS region."""
    account: values.Account | None = None
    """AWS account that the environment is pinned to; when left out, any account."""
    role: values.RoleArn | None = None
    """Role that orderops assumes for everything that it does in the environment; when left out, none."""
    emulated: bool = False
    """Whether the environment runs in the emulator on this machine."""
    protected: bool = False
    """Whether the operator has to type the environment's name before a change."""
    tags: Annotated[dict[values.TagKey, values.TagValue], counted(0, 40)] = Field(default_factory=dict)
    """Additional tags for every resource."""
    network: NetworkConfig = no_keys()
    """The VPC."""
    cluster: ClusterConfig = no_keys()
    """The ECS cluster."""
    balancer: BalancerConfig = no_keys()
    """The load balancer."""
    waf: WafConfig = no_keys()
    """The firewall in front of the load balancer, or of a REST API."""
    api: ApiConfig = no_keys()
    """An API in front of the load balancer."""
    domain: DomainConfig = no_keys()
    """The name of the environment, and HTTPS."""
    database: DatabaseConfig
    """The PostgreSQL instance: a table [database], empty for the defaults. Without it, an existing one is kept."""
    iam: IamConfig = no_keys()
    """The roles of tasks and flow logs."""
    images: ImagesConfig = no_keys()
    """The image repositories."""
    alerts: AlertsConfig = no_keys()
    """The receivers of alarms."""
    board: BoardConfig = no_keys()
    """The page about the environment."""
    migrations: MigrationsConfig = no_keys()
    """How migrations are applied."""
    drift: DriftConfig = no_keys()
    """Differences between the account and this file that are left alone."""
    # Each service is a rule of the database's security group, which has at most 60 by default.
    services: Annotated[dict[values.ServiceName, ServiceConfig], counted(1, 60)]
    """At least one service: a table [services.NAME]."""

    @property
    def demonstration(self) -> bool:
        """Whether a service shows the pages of the demonstration."""
        return any(service.demonstration for service in self.services.values())

    @property
    def anomaly_detection(self) -> bool:
        """Whether alarms watch for what is unusual: as declared, or else if the environment is protected."""
        declared = self.alerts.anomaly_detection
        return self.protected if declared is None else declared

    @property
    def firewall(self) -> bool:
        """Whether there is a web ACL: as declared, or else if the environment is protected."""
        return self.protected if self.waf.enabled is None else self.waf.enabled

    @property
    def firewall_places(self) -> tuple[FirewallPlace, ...]:
        """Where the web ACL is; nowhere without one."""
        return firewall_places(self.api) if self.firewall else ()

    @property
    def iam_login(self) -> bool:
        """Whether the services log in to the database with tokens of IAM: as declared, or else on AWS."""
        declared = self.database.login
        return not self.emulated if declared is None else declared == "iam"

    @property
    def prefix(self) -> str:
        """The prefix of the names of its resources."""
        return f"orderops-{self.name}"

    def with_database_version(self, version: str) -> Environment:
        """The environment, with this version of PostgreSQL if its file declares none."""
        if "engine_version" in self.database.model_fields_set:
            return self
        return self.model_copy(update={"database": self.database.model_copy(update={"engine_version": version})})

    def service_name(self, service: str) -> str:
        """The name of a service and of its resources in AWS. Raises UsageError if it is too long."""
        name = f"{self.prefix}-{service}"
        if len(name) > LONGEST_NAME:
            raise UsageError(f"service {service!r}: {self._too_long(service)}", "choose a shorter name")
        return name

    @property
    def entries(self) -> list[str]:
        """The services that the load balancer sends requests to: all but the workers."""
        return [name for name, service in self.services.items() if service.role != "worker"]

    def workers_of(self, service: str) -> list[str]:
        """The workers that empty the queue of a service."""
        return [name for name, other in self.services.items() if other.works_for == service]

    @property
    def routing(self) -> Routing:
        """The routing rules of the services that get requests."""
        return Routing({name: self.services[name] for name in self.entries})

    def mistakes(self) -> Iterator[Mistake]:
        """Check protection, emulation, names of services, and routing rules against each other."""
        yield from self._unprotected()
        boundary = self.iam.permissions_boundary
        owner = boundary.split(":")[4] if boundary else "aws"
        if self.account and owner not in ("aws", self.account):
            rule = f"is a policy of account {owner}; the environment is pinned to {self.account}"
            yield Mistake(("iam", "permissions_boundary"), boundary, rule, (("account",),))
        yield from self._misplaced_role()
        for index, zone in enumerate(self.network.zone_names):
            if zone[:-1] != self.region:
                rule = f"is no zone of {self.region}, the region"
                yield Mistake(("network", "zones", index), zone, rule, (("region",),))
        yield from self._tokens_without_tls()
        if not self.emulated:
            yield from self.alerts.unencrypted()
        if self.protected and self.emulated:
            rule = "cannot be combined with emulated = true: the emulator holds nothing to protect"
            yield Mistake(("protected",), self.protected, rule, (("emulated",),))
        for service, declared in self.services.items():
            key: Key = ("services", service)
            if len(f"{self.prefix}-{service}") > LONGEST_NAME:
                yield Mistake(key, service, self._too_long(service))
            if (declared.image or "").startswith("process://") and not self.emulated:
                rule = "runs on this machine; allowed only with emulated = true"
                yield Mistake((*key, "image"), declared.image, rule, (("emulated",),))
        yield from self.domain.beside(self.balancer.port, len(self.balancer.allowed_cidrs), emulated=self.emulated)
        yield from self._workers()
        yield from (*self.routing.mistakes(), *self.routing.no_priorities(redirected_names(self.domain, self.api)))
        yield from self.routing.unknown_hosts(self.domain.all_names)
        yield from self._without_tokens()
        yield from self._tags_alike()
        yield from self.board.misnamed(self.prefix)
        yield from self.api.misfits(self.services, self.balancer.allowed_cidrs, emulated=self.emulated)
        yield from firewall_mistakes(self.waf, self.api, self.firewall_places)
        yield from name_mistakes(self.domain, self.api, self.services, emulated=self.emulated)
        yield from capacity_mistakes(self.network, self.database.instance_class, self.services)

    def _misplaced_role(self) -> Iterator[Mistake]:
        if self.role and self.account not in (None, self.role.split(":")[4]):
            rule = f"is a role of another account; the environment is pinned to {self.account}"
            yield Mistake(("role",), self.role, rule, (("account",),))
        if self.role and self.emulated:
            rule = "cannot be combined with emulated = true: the laptop is used with a key of its own"
            yield Mistake(("role",), self.role, rule, (("emulated",),))

    def _tokens_without_tls(self) -> Iterator[Mistake]:
        if self.iam_login and self.database.sslmode == "disable":
            rule = 'needs TLS: RDS takes tokens of IAM only with it; set sslmode = "verify-full", or login = "password"'
            yield Mistake(("database", "login"), "iam", rule, (("database", "sslmode"),))

    def _workers(self) -> Iterator[Mistake]:
        """Workers of a service that has no queue, and workers without the metric that they scale on."""
        for name, declared in self.services.items():
            if declared.role != "worker":
                continue
            key: Key = ("services", name)
            if declared.works_for and declared.works_for not in self.entries:
                kind = "is a worker itself" if declared.works_for in self.services else "is no service of this file"
                rule = f"{kind}; services with a queue: {', '.join(self.entries) or 'none'}"
                yield Mistake((*key, "works_for"), declared.works_for, rule, (key,))
            if not self.cluster.container_insights:
                rule = "scales on the number of running tasks, which AWS counts with container_insights = true only"
                yield Mistake((*key, "role"), declared.role, rule, (key, ("cluster", "container_insights")))

    def _tags_alike(self) -> Iterator[Mistake]:
        """Tag keys that differ by case only: IAM takes them for one key (IAM user guide, "Tagging IAM resources")."""
        earlier = {"name": "Name, which orderops sets"}
        for tag, value in self.tags.items():
            if (other := earlier.setdefault(tag.lower(), tag)) != tag:
                yield Mistake(("tags", tag), value, f"IAM does not tell its key from {other}; use another key")

    def _too_long(self, service: str) -> str:
        name = f"{self.prefix}-{service}"
        longest = LONGEST_NAME - len(self.prefix) - 1
        return (
            f"{name} has {len(name)} characters, at most {LONGEST_NAME} are allowed; "
            f"shorten the service's name to {longest}"
        )

    def _unprotected(self) -> Iterator[Mistake]:
        if self.name == "prod" and not self.protected:
            yield Mistake(("protected",), self.protected, "must be true: the environment is named prod")
        if self.protected or self.name == "prod":
            for table, protected in (
                ("balancer", self.balancer.deletion_protection),
                ("database", self.database.deletion_protection),
            ):
                if not protected:
                    key = (table, "deletion_protection")
                    yield Mistake(key, protected, "must be true: the environment is protected", (("protected",),))

    def _without_tokens(self) -> Iterator[Mistake]:
        """Order processors of a protected environment that everybody may use who reaches the load balancer."""
        if not (self.protected or self.name == "prod") or self.api.authorises_orders(self.services):
            return
        for service, declared in self.services.items():
            # Of another image, it is not known how it checks its clients.
            own = declared.image or declared.dockerfile
            if declared.role != "worker" and not own and not declared.token_secret:
                rule = (
                    'needs a token_secret, such as "ORDERS_TOKEN": everybody who reaches the load balancer could order'
                )
                yield Mistake(("services", service), service, rule, (("protected",),))
