"""The role that the services log in as with tokens of IAM instead of a password.

It is a role of its own, since PostgreSQL on RDS takes no password from a member of rds_iam. It owns nothing and is
granted nothing by itself: it inherits what the role with the password may do, so that one grant covers both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from orderops.database.role_access import role_exists
from orderops.database.service_role import ROLE
from orderops.errors import OrderopsError

if TYPE_CHECKING:
    from psycopg import Connection

IAM_ROLE = "orderops_service_iam"
RDS_IAM = "rds_iam"
"""The role that RDS makes in every instance; its members log in with tokens only."""
MEMBER = "select from pg_auth_members where member = %s::regrole and roleid = %s::regrole"


def establish(connection: Connection, still_opens: Callable[[], object]) -> None:
    """Make the role and its memberships. Harmless to repeat; the role of the services has to exist.

    The connection is one of the master user, in autocommit, and `still_opens` opens another one. If that fails, RDS
    takes the master user for a member of rds_iam as well, and no password of that user any more: the membership is
    taken back while this connection lasts. Raises OrderopsError then, and on a server that is no RDS.
    """
    from psycopg import errors, sql

    if not role_exists(connection, RDS_IAM):
        raise OrderopsError(
            f"the database server has no role {RDS_IAM}, which RDS makes in every instance: it takes no tokens of IAM",
            'let the services log in by password: login = "password" in [database]',
        )
    if not role_exists(connection, IAM_ROLE):
        # Another operator may make it at the same moment.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN INHERIT").format(sql.Identifier(IAM_ROLE)))
    lacking = [role for role in (ROLE, RDS_IAM) if connection.execute(MEMBER, [IAM_ROLE, role]).fetchone() is None]
    for role in lacking:
        with suppress(errors.UniqueViolation):
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(IAM_ROLE)))
    # Services that log in as a member already would be cut off.
    if RDS_IAM in lacking:
        _keep_master_in(connection, still_opens)


def _keep_master_in(connection: Connection, still_opens: Callable[[], object]) -> None:
    from psycopg import sql

    try:
        still_opens()
    except OrderopsError as error:
        revoke = sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(RDS_IAM), sql.Identifier(IAM_ROLE))
        connection.execute(revoke)
        raise OrderopsError(
            f"with {IAM_ROLE} as a member of {RDS_IAM}, the server refuses the master user: {error.message}; "
            "the membership was taken back",
            f"take the role from the master user: revoke {IAM_ROLE} from MASTER; "
            'or let the services log in by password: login = "password" in [database]',
        ) from None
