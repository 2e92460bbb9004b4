"""botocore's sessions: one that loads the recorded operations only, and one with whole models for everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.utils import parse_timestamp

from orderops.aws import service_models
from orderops.aws.event_handlers import all_handlers, handlers_of
from orderops.aws.service_models import SERVICES, names_of

if TYPE_CHECKING:
    from botocore.session import Session


class AwsSessions:
    """The two sessions of one user in one region. Each client comes from the one that loads less and has what it needs.

    `new_session` takes the argument `include_builtin_handlers` of botocore's sessions. Making clients is not
    thread-safe, as in botocore.
    """

    def __init__(self, new_session: Callable[..., Session], region: str) -> None:
        self._new_session = new_session
        self._region = region

    def client(self, service: str, operation: str, **options: Any) -> Any:
        """Return a client that has this operation; with "" as operation, the one that loads less."""
        if service in SERVICES:
            if self._recorded is not self._whole:
                # Copied for the client, so it holds the handlers of this service alone.
                self._recorded.register_component("event_emitter", handlers_of(names_of(service)))
            client = self._recorded.create_client(service, region_name=self._region, **options)
            if not operation or operation in client.meta.method_to_api_mapping:
                return client
        return self._whole.create_client(service, region_name=self._region, **options)

    @cached_property
    def _whole(self) -> Session:
        session = self._opened()
        session.lazy_register_component("event_emitter", all_handlers)
        # What finds credentials makes clients of its own, without a region, such as one of STS to assume a role.
        session.set_config_variable("region", self._region)
        return session

    @cached_property
    def _recorded(self) -> Session:
        whole, loader = self._whole, service_models.recorded_loader()
        # The operator's own models replace and extend those of botocore, so nothing is known about them.
        if whole.get_config_variable("data_path") or Path(loader.CUSTOMER_DATA_PATH).exists():
            return whole
        session = self._opened()
        session.register_component("data_loader", loader)
        # Finding credentials takes operations that are not recorded. Found once, as they may cost a code of a device.
        session.register_component("credential_provider", _CredentialsOf(whole))
        session.lazy_register_component("token_provider", lambda: whole.get_component("token_provider"))
        return session

    def _opened(self) -> Session:
        session = self._new_session(include_builtin_handlers=False)
        # Some fifty settings of each client ask for the profile, which botocore puts together anew each time.
        vars(session)["get_scoped_config"] = cache(session.get_scoped_config)
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=time_of)
        return session


def time_of(value: Any) -> datetime:
    """The time in an answer of AWS. botocore reads every form of it by the parser that takes the least regular one."""
    if isinstance(value, str) and value[10:11] == "T":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    read: datetime = parse_timestamp(value)
    return read


class _CredentialsOf:
    """Provides the credentials of another session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def load_credentials(self) -> Any:
        """Return them as botocore expects."""
        return self._session.get_credentials()
