"""Where HTTP and REST APIs differ for a caller: the stage in the path, and the answers of API Gateway itself."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from orderops.local.apigateway.account import ServedApi

BY_NAME = "orderops.domain_name"
"""In the scope of a request: the domain name of API Gateway by which it came."""
Answer = tuple[int, str]
"""Status and message."""


@dataclass(frozen=True)
class Wording:
    """What is answered where no route is, where no load balancer answers, and where it answers too late."""

    no_route: Answer
    no_way: Answer
    late: Answer


HTTP = Wording((404, "Not Found"), (503, "Service Unavailable"), (503, "Service Unavailable"))
REST = Wording(
    (403, "Missing Authentication Token"), (500, "Internal server error"), (504, "Endpoint request timed out")
)


def forbidden() -> Response:
    """Return the answer to a host that is none of the API's, and to a request that its web ACL blocks."""
    return JSONResponse({"message": "Forbidden"}, 403)


def wording_of(api: ServedApi) -> Wording:
    """Return the answers of this kind of API."""
    return REST if api.stage else HTTP


def path_in(api: ServedApi, scope: Scope, path: str) -> str | None:
    """Return a path without the stage of a REST API; None if it leads to no stage. Under a domain name it has none."""
    if not api.stage or BY_NAME in scope:
        return path
    start, stage, rest = path.partition(f"/{api.stage}")
    return (rest or "/") if stage and not start and rest[:1] in ("", "/") else None
