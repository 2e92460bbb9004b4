"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orderops.service.logs import request_id
from orderops.service.pages import NO_STORE_HEADERS

MEDIA_TYPE = "application/problem+json"


class RefusedRequest(Exception):
    """Refusal of a request; the detail is for clients and names no host, port or role."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        problems: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = dict(problems or {})
        self.headers = dict(headers or {})


def document(status: int, detail: str, path: str, problems: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the members of a problem document; `problems` has a text for each wrong field."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
        "request_id": request_id.get(),
        **({"problems": dict(problems)} if problems else {}),
    }


def problem_answer(request: Request, problem: RefusedRequest) -> Response:
    """Return the response to a refused request."""
    content = document(problem.status, problem.detail, request.url.path, problem.problems)
    return JSONResponse(content, problem.status, {**NO_STORE_HEADERS, **problem.headers}, MEDIA_TYPE)
