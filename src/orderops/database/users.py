"""The users of a database server: who may log in, what each may do, and who is connected now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

from orderops.database.schema_owner import OWNER
from orderops.database.service_role import READER, ROLE
from orderops.frozen import Frozen
from orderops.text.lists import counted

if TYPE_CHECKING:
    from psycopg import Connection

NAMED = (OWNER, ROLE, READER)
"""Roles whose rights have words of their own."""
# Without the roles of PostgreSQL and RDS. Who makes a role is a member that may give it away, and has none of its
# rights. A user that cannot log in any more and is still connected is shown as well, and the owner of the schema.
USERS: LiteralString = """
select r.rolname, r.rolcanlogin, r.rolsuper or r.oid = any(array(
        select m.member from pg_auth_members m join pg_roles s on s.oid = m.roleid where s.rolname = 'rds_superuser')),
    exists (select from pg_roles g
            where g.rolname = 'rds_iam' and pg_has_role(r.oid, g.oid, 'USAGE') and not r.rolsuper),
    (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p')
     and c.relowner = r.oid and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'),
    array(select distinct g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
          where m.member = r.oid and pg_has_role(r.oid, g.oid, 'USAGE')
          and g.rolname <> all(array['rds_superuser', 'rds_iam']) order by 1),
    r.rolvaliduntil, count(a.pid), min(a.backend_start)
from pg_roles r left join pg_stat_activity a on a.usesysid = r.oid
where r.rolname !~ '^(pg_|rds)'
group by r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolvaliduntil
having r.rolcanlogin or count(a.pid) > 0 or r.rolname = 'orderops_owner'
order by r.rolname
"""


class DatabaseUser(Frozen):
    """A user of the server, by its catalogue."""

    name: str
    logs_in: bool
    administers: bool
    by_iam: bool
    """Whether it logs in with a token of IAM in place of a password."""
    owned_tables: int
    """Tables of the connected database."""
    member_of: tuple[str, ...]
    valid_until: datetime | None
    sessions: int
    connected_since: datetime | None
    """When the oldest of its sessions began."""

    @property
    def may(self) -> str:
        """What it may do, in words."""
        parts = []
        if self.administers:
            parts.append("administer the server")
        if self.name == OWNER:
            parts.append("own the schema")
        elif self.owned_tables or OWNER in self.member_of:
            parts.append("change the schema")
        if self.owned_tables and OWNER in self.member_of:
            parts.append(f"own {counted(self.owned_tables, 'table')} that {OWNER} does not")
        if self.name == ROLE or ROLE in self.member_of:
            parts.append("read and write every table")
        elif READER in self.member_of:
            parts.append("read every table")
        parts += [f"what {role} may" for role in self.member_of if role not in NAMED]
        return ", ".join(parts) or "what was granted to it alone"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with stable keys."""
        return {
            "user": self.name,
            "logs_in": self.logs_in,
            "by": "iam" if self.by_iam else "password",
            "may": self.may,
            "member_of": list(self.member_of),
            "owned_tables": self.owned_tables,
            "valid_until": _in_text(self.valid_until),
            "sessions": self.sessions,
            "connected_since": _in_text(self.connected_since),
        }


def users(connection: Connection) -> list[DatabaseUser]:
    """The users that may log in or are connected, and the owner of the schema, by name."""
    return [
        DatabaseUser(name, logs_in, administers, by_iam, owned, tuple(member_of), valid_until, sessions, since)
        for name, logs_in, administers, by_iam, owned, member_of, valid_until, sessions, since in connection.execute(
            USERS
        ).fetchall()
    ]


def _in_text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
