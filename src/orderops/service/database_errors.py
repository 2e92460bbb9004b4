"""Errors of PostgreSQL, told apart by what the service can do about them, in words for the log and for clients."""

from __future__ import annotations

import re

import psycopg

from orderops.service.address import Address
from orderops.service.circuit import Away, Rejected, Unavailable, Unusable

# libpq has no error codes for failed connections: its messages are all there is to tell them apart. Beside each, the
# reason for the log and the reason for clients.
_LOGIN_REASONS = (
    (
        # RDS asks IAM by PAM, and tells clients no more; its log export iam-db-auth-error has the cause.
        "PAM authentication failed",
        "the server at {address} refuses the token of {user}: the task's role may not use rds-db:connect on this user "
        "of this instance (each restored one has another DbiResourceId), the token is signed for another host, port or "
        "region, or the credentials that signed it have expired",
        "the server rejects the login",
    ),
    (
        "no encryption",
        "the server at {address} takes {user} only with TLS",
        "the server rejects the login",
    ),
    (
        "password authentication failed",
        "the server at {address} rejects the password of {user}",
        "the server rejects the login",
    ),
    ("Connection refused", "no server listens at {address}", "no server listens at its address"),
    ("timeout expired", "no answer from {address} within {seconds} s", "no answer within {seconds} s"),
    ("could not translate host name", "the host name {host} cannot be resolved", "its host name cannot be resolved"),
    ("failed to resolve host", "the host name {host} cannot be resolved", "its host name cannot be resolved"),
    ("the database system is starting up", "the server at {address} is starting up", "the server is starting up"),
    ("the database system is shutting down", "the server at {address} is shutting down", "the server is shutting down"),
    ("too many clients", "the server at {address} has no free connection slot", "no free connection slot"),
    ("remaining connection slots", "the server at {address} has no free connection slot", "no free connection slot"),
    (
        "server does not support SSL",
        "the server at {address} offers no TLS, which sslmode requires",
        "the server offers no TLS, which sslmode requires",
    ),
    (
        "certificate verify failed",
        "the certificate of {address} is not signed by the CA bundle in DATABASE_CA",
        "the certificate of the server is not signed by the CA bundle in DATABASE_CA",
    ),
)


def after_login(error: psycopg.Error, address: Address, seconds: int) -> Away:
    """Return why a login failed."""
    text = str(error)
    if address.by_token and "password authentication failed" in text:
        # A server that takes a token for a password: it asks IAM only for members of this role.
        reason = f"the server at {address} takes no tokens for {address.username}, which is no member of rds_iam"
        return Away(f"{reason}: orderops migrate grant", "the server rejects the login")
    for pattern, reason, public in _LOGIN_REASONS:
        if pattern in text:
            words = {"address": address, "host": address.host, "user": address.username, "seconds": seconds}
            return Away(reason.format(**words), public.format(**words))
    return Away(f"{address} rejects the login: {_first_line(text)}", "the server rejects the login")


def after_query(error: psycopg.Error, seconds: float) -> Unavailable:
    """Return what a failed query says: about the connection, the database, or the values of the query."""
    line, state = _first_line(str(error)), error.sqlstate or ""
    match error:
        case psycopg.errors.QueryCanceled():
            reason = f"the query took longer than {seconds:g} s and was stopped"
            return Unavailable(reason, reason)
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return Unusable(f"{line}: a migration is missing", f"{line}: a migration is missing")
        case psycopg.errors.InsufficientPrivilege():
            return Unusable(f"{line}: the login may not use it", f"{line}: the login may not use it")
        case psycopg.DataError() | psycopg.IntegrityError():
            return Rejected(line, "the values are refused")
    # Classes of SQLSTATE, from appendix A of PostgreSQL's documentation.
    match state[:2]:
        case "25":
            return Unusable(line, "the server accepts no changes")
        case "42" | "53" | "58":
            return Unusable(line)
        case "40" | "55":
            return Unavailable(line, "other changes are in the way")
    # InterfaceError: the connection is closed on our side, since the server went away before.
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Away(f"the connection was lost: {line}", "the connection was lost")
    return Unavailable(line)


def _first_line(text: str) -> str:
    line = re.split(r"[\r\n]", text.strip(), maxsplit=1)[0]
    return re.sub(r"^.*FATAL:\s+", "", line) or "no reason given"
