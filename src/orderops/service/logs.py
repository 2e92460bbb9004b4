"""Log lines as JSON objects on standard output, for the service and its libraries."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
trace_id: ContextVar[str] = ContextVar("trace_id", default="")

_FIELDS = (
    "method",
    "path",
    "status",
    "duration_ms",
    "client",
    "order_id",
    "message_id",
    "receives",
    "reason",
    "orders",
)


def configure(level: str) -> None:
    """Send the lines of all loggers to standard output as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Only warnings of libraries: at DEBUG, botocore prints whole responses, secrets included.
    for name in ("boto3", "botocore", "urllib3", "psycopg", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """Formatter that writes a record, with the ids of its request and its trace, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        # A message carries the id of the request that sent it.
        if current := getattr(record, "request_id", "") or request_id.get():
            line["request_id"] = current
        if current := getattr(record, "trace_id", "") or trace_id.get():
            line["trace_id"] = current
        line.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        # The embedded metric format needs its members at the top of the object.
        line.update(getattr(record, "members", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
