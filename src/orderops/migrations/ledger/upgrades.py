"""The ledger as it was before: how each form is read, and how it becomes today's."""

from __future__ import annotations

from typing import LiteralString

FIRST_FORM: LiteralString = """
alter table orderops.ledger rename to ledger_of_0_1;
alter table orderops.ledger_of_0_1 rename constraint ledger_pkey to ledger_of_0_1_pkey;
"""
FROM_FIRST_FORM: LiteralString = """
insert into orderops.ledger (version, description, action, state, checksum, who, host, tool_version, started, finished)
select version, description, 'apply', 'done', checksum, applied_by, '', '0.1', applied_at, applied_at
from orderops.ledger_of_0_1 order by version;
drop table orderops.ledger_of_0_1;
"""
AS_IN_FIRST_FORM: LiteralString = """
row_number() over (order by version), version, description, 'apply', 'done', checksum, applied_by, '', '0.1',
applied_at, applied_at, 0, interval '0', 0, 0, null, '{}'::text[], null, null, null, null::interval, null
"""
"""What `COLUMNS` are in a ledger of version 0.1, which had one row a migration."""
FROM_UNREHEARSED: LiteralString = """
alter table orderops.ledger add column if not exists predicted interval, add column if not exists receipt text
"""
AS_UNREHEARSED: LiteralString = """
id, version, description, action, state, checksum, who, host, tool_version, started, finished, lock_tries,
lock_waited, statements, statements_done, begun, done, batch_after, rows_changed, note, null::interval, null
"""
"""What `COLUMNS` are in a ledger from before there were rehearsals."""
