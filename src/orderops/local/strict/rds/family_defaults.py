"""Parameters that RDS itself sets in each family of PostgreSQL, and how RDS checks values.

From "RDS for PostgreSQL parameter list", "Requiring an SSL connection" and "Maximum number of database connections"
in the RDS user guide.
"""

from __future__ import annotations

import re

FAMILY = re.compile(r"postgres(\d+)")
# Set by RDS in every family; a parameter that is absent here has no value until an operator sets one.
SET_BY_RDS = {
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_max_workers": "GREATEST({DBInstanceClassMemory/64371566592},3)",
    "autovacuum_vacuum_scale_factor": "0.1",
    "checkpoint_completion_target": "0.9",
    "client_encoding": "UTF8",
    "effective_cache_size": "{DBInstanceClassMemory/16384}",
    "idle_in_transaction_session_timeout": "86400000",
    "log_autovacuum_min_duration": "10000",
    "log_checkpoints": "1",
    "max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)",
    "shared_buffers": "{DBInstanceClassMemory/32768}",
    "shared_preload_libraries": "pg_stat_statements",
    "track_activity_query_size": "4096",
}
# The first major version in whose family clients without TLS are refused unless allowed.
TLS_SINCE = 15
TYPES = {"BOOLEAN": "boolean", "INTEGER": "integer", "REAL": "float"}
LISTS = frozenset({"shared_preload_libraries", "rds.allowed_extensions"})
BOOLEANS = {"on": "1", "true": "1", "yes": "1", "off": "0", "false": "0", "no": "0"}
FORMULA = re.compile(r"(GREATEST|LEAST|SUM)\(.+\)|\{[\w(]+.*\}")
INTEGER = re.compile(r"-?\d+")
FLOAT = re.compile(r"-?\d+(\.\d+)?")


def defaults_of(family: str) -> dict[str, str]:
    """Return the values that RDS sets in this family."""
    match = FAMILY.fullmatch(family)
    if not match:
        return {}
    return {**SET_BY_RDS, "rds.force_ssl": "1" if int(match[1]) >= TLS_SINCE else "0"}


def data_type(name: str, engine_type: str) -> str:
    """Return RDS's DataType of a parameter, from PostgreSQL's type of it."""
    if name in LISTS:
        return "list"
    return "boolean" if name == "rds.force_ssl" else TYPES.get(engine_type, "string")


def normal(kind: str, value: str) -> str:
    """Return a value as RDS stores it."""
    text = value.strip()
    if kind == "boolean":
        return BOOLEANS.get(text.lower(), text)
    return ",".join(item.strip() for item in text.split(",")) if kind == "list" else text


def is_valid(kind: str, value: str) -> bool:
    """Tell whether RDS takes the value. Units are refused: a number counts in the unit of the parameter."""
    if kind == "boolean":
        return normal(kind, value) in ("0", "1")
    if kind in ("integer", "float"):
        pattern = INTEGER if kind == "integer" else FLOAT
        return bool(pattern.fullmatch(value.strip()) or FORMULA.fullmatch(value.strip()))
    return True
