"""The table [alerts] of an environment file: the receivers of alarms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from orderops.config import types as values
from orderops.config.loader import Mistake, TomlTable, no_keys
from orderops.config.types import counted


class RouteConfig(TomlTable):
    """The receivers of the alarms of a priority. Without any, they go to those of [alerts]."""

    emails: Annotated[list[values.Email], counted(0, 32)] = Field(default_factory=list)
    """Email addresses; each has to confirm its subscription."""
    https: Annotated[list[values.WebReceiver], counted(0, 32)] = Field(default_factory=list)
    """HTTPS endpoints, such as the one of a paging service; on the laptop also http://127.0.0.1:PORT/ of a test."""
    sms: Annotated[list[values.PhoneNumber], counted(0, 32)] = Field(default_factory=list)
    """Telephone numbers; a second channel, since AWS stops text messages above the spending quota of the account."""

    @property
    def any(self) -> bool:
        """Whether there is a receiver."""
        return bool(self.emails or self.https or self.sms)


class AlertsConfig(RouteConfig):
    """The receivers of alarms: of P1, and of the other priorities where these have none of their own."""

    p0: RouteConfig = no_keys()
    """Receivers of P0: an operator is paged now."""
    p2: RouteConfig = no_keys()
    """Receivers of P2: a ticket for the next business day."""
    dashboard: bool | None = None
    """Whether the environment has a CloudWatch dashboard; when left out, if it is protected. AWS charges for the fourth
    dashboard of an account and all further ones."""
    anomaly_detection: bool | None = None
    """Whether alarms watch for a response time and an age of messages that are unusual for the hour; when left out, if
    the environment is protected. AWS charges about 0.30 USD a month for each of them."""
    time_zone: values.TimeZone | None = None
    """The time zone whose days and hours decide what is usual, such as Australia/Sydney; when left out, UTC."""
    no_pages_because: values.Reason | None = None
    """Why P0 alarms of a protected environment page no operator; without a reason, `orderops up` refuses it."""

    def unencrypted(self) -> Iterator[Mistake]:
        """Receivers that only an emulated environment may have."""
        tables: dict[tuple[str, ...], RouteConfig] = {(): self, ("p0",): self.p0, ("p2",): self.p2}
        for table, route in tables.items():
            for index, url in enumerate(route.https):
                if url.startswith("http://"):
                    rule = "is not encrypted; allowed only with emulated = true"
                    yield Mistake(("alerts", *table, "https", index), url, rule, (("emulated",),))
