"""Settings of the service, read from environment variables only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails


class ProcessRole(StrEnum):
    """What a process does: answer requests for orders, write orders, or both."""

    WEB = "web"
    WORKER = "worker"
    BOTH = "both"


class WrongSettings(Exception):
    """Missing or invalid variables; the message names all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class LogLevel(StrEnum):
    """Minimum level of log lines."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"

    @classmethod
    def _missing_(cls, value: object) -> LogLevel | None:
        return next((level for level in cls if level == str(value).upper()), None)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from a process's variables; an empty variable counts as absent. Raises WrongSettings."""
    variables = {name: value for name, value in environment.items() if value.strip()}
    try:
        return Settings.model_validate(variables)
    except ValidationError as error:
        raise WrongSettings([_problem(detail) for detail in error.errors()]) from None


def _queue_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        raise ValueError("must be the URL of a queue, like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME")
    return value


def _receiver(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the URL of an OTLP receiver, like http://localhost:4318")
    return value


def _existing(value: Path) -> Path:
    if not value.exists():
        raise ValueError("no such file")
    return value


def _secret_name(value: str) -> str:
    # A common mistake: `secrets` in a task definition inserts the secret's value where its name is expected.
    if value.lstrip().startswith("{"):
        raise ValueError("must be the name or the ARN of a secret, not its value")
    return value


QueueUrl = Annotated[str, AfterValidator(_queue_url)]
Receiver = Annotated[str, AfterValidator(_receiver)]


class Settings(BaseModel):
    """Settings of one process of the service."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = Field("0.0.0.0", validation_alias="HOST")
    port: int = Field(8080, ge=1, le=65535, validation_alias="PORT")
    region: str = Field(validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))

    environment: str = Field(validation_alias="ORDEROPS_ENVIRONMENT", max_length=40)
    service: str = Field("order-processor", validation_alias="ORDEROPS_SERVICE", max_length=80)
    version: str = Field("unknown", validation_alias="ORDEROPS_VERSION", max_length=300)
    # Both come with the image. The version above comes with the task, and says which image that is.
    release: str = Field("unknown", validation_alias="ORDEROPS_RELEASE", max_length=300)
    commit: str = Field("unknown", validation_alias="ORDEROPS_COMMIT", max_length=100)

    role: ProcessRole = Field(ProcessRole.BOTH, validation_alias="ORDEROPS_ROLE")
    # Pages with people's data, for everybody who finds the load balancer.
    demonstration: bool = Field(False, validation_alias="DEMONSTRATION")
    token_secret: Annotated[str, AfterValidator(_secret_name)] | None = Field(None, validation_alias="TOKEN_SECRET")

    # Set only where nobody but an API in front can reach the tasks: then no client chooses what this header says.
    client_header: str = Field("", validation_alias="CLIENT_ADDRESS_HEADER", pattern=r"[A-Za-z0-9-]{0,100}")

    queue_url: QueueUrl = Field(validation_alias="QUEUE_URL")
    dead_letter_queue_url: QueueUrl | None = Field(None, validation_alias="DEAD_LETTER_QUEUE_URL")

    database_secret: Annotated[str, AfterValidator(_secret_name)] = Field(validation_alias="DATABASE_SECRET")
    # A file, or a folder with a file for each partition of AWS, as in the image.
    database_ca: Annotated[Path, AfterValidator(_existing)] | None = Field(None, validation_alias="DATABASE_CA")
    database_pool_size: int = Field(4, ge=1, le=100, validation_alias="DATABASE_POOL_SIZE")

    # 0 uses no replica. Others are used while they are at most so many seconds behind.
    max_lag_seconds: int = Field(5, ge=0, le=3600, validation_alias="DATABASE_MAX_LAG_SECONDS")

    # SQS waits at most 20 s. After SIGTERM, an open call is waited for: what it still receives is given back.
    poll_seconds: int = Field(5, ge=0, le=20, validation_alias="POLL_SECONDS")

    # Longer than the idle timeout of the load balancer, which is 4000 s at most.
    keep_alive_seconds: int = Field(75, ge=1, le=4100, validation_alias="KEEP_ALIVE_SECONDS")
    metrics_seconds: int = Field(60, ge=1, le=3600, validation_alias="METRICS_SECONDS")
    log_level: LogLevel = Field(LogLevel.INFO, validation_alias="LOG_LEVEL")
    # On Fargate, ECS waits 30 s by default and 120 s at most between SIGTERM and SIGKILL (stopTimeout).
    drain_seconds: int = Field(25, ge=1, le=115, validation_alias="DRAIN_SECONDS")

    # The names that OpenTelemetry gives them; its library reads these and its other variables by itself.
    otlp_endpoint: Receiver | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    otlp_traces_endpoint: Receiver | None = Field(None, validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    otel_disabled: str = Field("", validation_alias="OTEL_SDK_DISABLED")
    otel_exporter: str = Field("", validation_alias="OTEL_TRACES_EXPORTER")

    @property
    def traced(self) -> bool:
        """Whether requests and orders are traced."""
        wanted = self.otlp_endpoint or self.otlp_traces_endpoint
        off = self.otel_disabled.strip().lower() == "true" or self.otel_exporter.strip().lower() == "none"
        return bool(wanted) and not off

    @property
    def uses_replicas(self) -> bool:
        """Whether some reads may go to replicas; a worker has none that may be old."""
        return self.max_lag_seconds > 0 and self.role is not ProcessRole.WORKER

    @property
    def consumers(self) -> int:
        """Number of threads that receive; each needs a connection to the database, and requests need some, too."""
        if self.role is ProcessRole.WEB:
            return 0
        return self.database_pool_size if self.role is ProcessRole.WORKER else max(1, self.database_pool_size // 2)

    @property
    def ca_file(self) -> Path | None:
        """The file with the CA certificates of RDS in this region; it may not exist."""
        if self.database_ca is None or self.database_ca.is_file():
            return self.database_ca
        return self.database_ca / f"{_partition(self.region)}.pem"


# These may contain a password or a token by mistake.
_CONFIDENTIAL = (
    "DATABASE_SECRET",
    "TOKEN_SECRET",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


def _partition(region: str) -> str:
    # Certificates of RDS differ by partition: commercial regions, China and GovCloud.
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _problem(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    if detail["type"] == "missing":
        return f"{name} is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
    shown = "" if name in _CONFIDENTIAL else f" is {detail['input']!r}:"
    return f"{name}{shown} {message}"
