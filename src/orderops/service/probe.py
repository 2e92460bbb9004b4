"""Health check of the container: `python -m orderops.service.probe /health` asks this task's own port.

ECS runs it in a worker, which no load balancer asks. Imports no library, since it runs every few seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException

# Less than the 5 s after which ECS counts a check as failed.
ANSWER_SECONDS = 4


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return 0 if the path is answered with 200, else 1; stderr says what was answered."""
    path = arguments[0] if arguments else "/health"
    try:
        port = int(environment.get("PORT") or 8080)
        connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        sys.stderr.write(f"GET {path}: {error or type(error).__name__}\n")
        return 1
    sys.stderr.write(f"GET {path}: {status}\n")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
