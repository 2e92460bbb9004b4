"""The role of an environment, in which everything is done: assumed with the operator's own credentials.

Its session has the operator's name, so that CloudTrail, the record of runs and `infra drift` name a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orderops.aws.translate import SentCall, translate_error

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session

# STS, AssumeRole: the form of RoleSessionName.
LONGEST_NAME = 64
NOT_IN_NAMES = re.compile(r"[^\w+=,.@-]", re.ASCII)


def session_with_role(new_session: Callable[..., Session], role: str, environment: str) -> Callable[..., Session]:
    """What makes the sessions of `new_session`, with the credentials of this role (an ARN)."""

    def new(**options: Any) -> Session:
        session = new_session(**options)
        session.register_component("credential_provider", _RoleProvider(session, role, environment))
        return session

    return new


def session_name(caller: str) -> str:
    """The name of a role's session, from the ARN of whoever begins it: the name of a user or of its own session."""
    # The shortest name has two characters, and one that is left out is no reason to fail.
    return NOT_IN_NAMES.sub("-", caller.rpartition("/")[2])[:LONGEST_NAME].ljust(2, "-")


def is_session_of(caller: str, role: str) -> bool:
    """Whether the ARN of a caller is that of a session of the role. The session's ARN lacks the role's path."""
    account, name = role.split(":")[4], role.rpartition("/")[2]
    return re.fullmatch(rf"arn:[a-z-]+:sts::{account}:assumed-role/{re.escape(name)}/[^/]+", caller) is not None


class _RoleProvider:
    """Provides the credentials of a role to a session, as botocore expects it of a component."""

    def __init__(self, session: Session, role: str, environment: str) -> None:
        self._session = session
        self._role = role
        self._environment = environment

    def load_credentials(self) -> Any:
        """The credentials of the role; those of the operator, if they are of the role; None without any."""
        from botocore.credentials import DeferredRefreshableCredentials, create_credential_resolver

        source = create_credential_resolver(self._session).load_credentials()
        if source is None:
            return None
        caller = self._sent(source, "get_caller_identity")["Arn"]
        if is_session_of(caller, self._role):
            return source
        name = session_name(caller)
        return DeferredRefreshableCredentials(lambda: self._assumed(source, name), "orderops-role")

    def _assumed(self, source: Credentials, name: str) -> Mapping[str, str]:
        """Begin a session, in the form in which botocore takes credentials that end."""
        found = self._sent(source, "assume_role", RoleArn=self._role, RoleSessionName=name)["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }

    def _sent(self, source: Credentials, operation: str, **params: str) -> Any:
        """Call STS with the operator's own credentials. Raises AwsError."""
        try:
            keys = source.get_frozen_credentials()
            client = self._session.create_client(
                "sts",
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
            )
            return getattr(client, operation)(**params)
        except Exception as error:
            call = SentCall(
                "sts", operation, params, str(self._session.get_config_variable("region")), self._environment
            )
            if translated := translate_error(call, error):
                raise translated from None
            raise
