"""The routes of the service."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import AsyncIterator, Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orderops.service.access import Access
from orderops.service.background import BackgroundThreads
from orderops.service.circuit import Away, Unavailable
from orderops.service.database import OrderStore
from orderops.service.metrics import Metrics
from orderops.service.openapi import description
from orderops.service.order_reader import OrderReader
from orderops.service.order_routes import OrderRoutes
from orderops.service.pages import Pages, iso, json_answer, read_at, wants_fresh, wants_page
from orderops.service.problems import RefusedRequest, document, problem_answer
from orderops.service.queues import Depth, Queue
from orderops.service.read_router import ReadRouter
from orderops.service.readiness import CHECK_SECONDS, readiness
from orderops.service.replica import ReadResult
from orderops.service.settings import ProcessRole, Settings
from orderops.service.threads import Threads
from orderops.service.tokens import Tokens
from orderops.service.tracing import Tracing
from orderops.service.users import User, newest_users

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# A page of this size still renders at once on a phone.
USERS_SHOWN = 100
# More than the pool's maximum of connections would only wait for one; the rest serves SQS. Checks have their own.
THREADS, CHECKING_THREADS = 16, 8


def create_app(
    settings: Settings,
    database: OrderStore,
    queue: Queue,
    *,
    started_at: datetime,
    tokens: Tokens | None = None,
    metrics: Metrics | None = None,
    background: BackgroundThreads | None = None,
    tracing: Tracing | None = None,
    reads: ReadRouter | None = None,
) -> ASGIApp:
    """Create the application; it closes the database when it ends."""
    tracing, reads = tracing or Tracing(), reads or ReadRouter(database)
    threads = Threads(THREADS)
    service = OrderService(settings, database, queue, started_at, threads, reads, background)
    routes = [
        Route("/", service.index, methods=["GET"]),
        Route("/health", service.health, methods=["GET"]),
        Route("/ready", service.ready, methods=["GET"]),
        Route("/version", service.version, methods=["GET"]),
        Route("/openapi.json", service.openapi, methods=["GET"]),
    ]
    if settings.demonstration:
        routes.append(Route("/users", service.users, methods=["GET"]))
    if settings.role is not ProcessRole.WORKER:
        pages = service.pages if settings.demonstration else None
        orders = OrderRoutes(OrderReader(database, reads), queue, tokens, metrics or Metrics(), pages, tracing, threads)
        routes.append(Route("/orders", orders.orders, methods=["GET", "POST"]))
        routes.append(Route("/orders/{id}", orders.order, methods=["GET"]))
    handlers: Mapping[Any, Any] = {
        HTTPException: service.refused,
        RefusedRequest: service.problem,
        Exception: service.broken,
    }
    return Access(
        Starlette(routes=routes, exception_handlers=handlers, lifespan=service.lifespan),
        tracing,
        settings.client_header,
    )


class OrderService:
    """Handlers of all routes but those of orders."""

    def __init__(
        self,
        settings: Settings,
        database: OrderStore,
        queue: Queue,
        started_at: datetime,
        threads: Threads,
        reads: ReadRouter,
        background: BackgroundThreads | None = None,
    ) -> None:
        self._database = database
        self._reads = reads
        self._threads = threads
        self._queue = queue
        self._background = background
        self._about = {
            "service": settings.service,
            "version": settings.version,
            "release": settings.release,
            "commit": settings.commit,
            "environment": settings.environment,
            "role": str(settings.role),
            "started_at": iso(started_at),
            "python": platform.python_version(),
        }
        self.pages = Pages(self._about, demonstration=settings.demonstration)
        self._links = ["/ready", "/health", "/version", "/openapi.json"]
        if settings.role is not ProcessRole.WORKER:
            self._links.insert(0, "/orders")
        if settings.demonstration:
            self._links.insert(0, "/users")
        self._openapi = description(settings)

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Provide threads for blocking work and run the consumer; close the database after the last of both."""
        # Checks have threads of their own, so that many clients do not make the service look broken.
        checking = ThreadPoolExecutor(CHECKING_THREADS, thread_name_prefix="check")
        asyncio.get_running_loop().set_default_executor(checking)
        if self._background:
            self._background.start()
        yield
        # In threads, since both wait for the server.
        if self._background:
            await asyncio.to_thread(self._background.end)
        await asyncio.to_thread(self._database.close)
        log.info("drained: all requests are finished and all connections closed")

    async def health(self, _request: Request) -> Response:
        """Report that the process runs. Checks no dependency, since replacing the task would fix none."""
        return json_answer({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """Report whether both dependencies answer, and why not."""
        # A server that hangs answers neither: this, like the checks, is waited for only for a while.
        limited = asyncio.wait_for(_try(asyncio.to_thread(self._database.about)), CHECK_SECONDS)
        state, about = await asyncio.gather(self._readiness(), limited, return_exceptions=True)
        if isinstance(state, BaseException):
            raise state
        database, migrations, schema = about if isinstance(about, tuple) else (None, None, None)
        content = {"database": database, "migrations": migrations, "schema": schema}
        answer = {"ready": state["ready"], "checks": state["checks"], **content}
        return json_answer(answer, 200 if state["ready"] else 503)

    async def version(self, _request: Request) -> Response:
        """Report the running version and its start time."""
        return json_answer(self._about)

    async def openapi(self, _request: Request) -> Response:
        """Describe the paths for programs."""
        return json_answer(self._openapi)

    async def index(self, request: Request) -> Response:
        """Show the state of the dependencies and the available paths."""
        state = await self._readiness()
        if wants_page(request):
            return self.pages.page("index.html", state=state, links=self._links)
        return json_answer({**self._about, **state, "links": self._links})

    async def users(self, request: Request) -> Response:
        """Show the depth of the queue and the newest users, or the part that is available."""
        question = newest_users(USERS_SHOWN + 1)
        depth, users = await asyncio.gather(
            _try(self._threads.answer(self._queue.depth)),
            _try(self._threads.answer(lambda: self._reads.answer(question, fresh=wants_fresh(request)))),
        )
        content = _content(depth, users)
        if wants_page(request):
            return self.pages.page("users.html", content=content, limit=USERS_SHOWN)
        return json_answer(content, 503 if isinstance(users, Unavailable) else 200)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Answer a request for an unknown path or with a wrong method."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        details = {404: "there is no such path", 405: "this path does not support that method"}
        headers = error.headers if isinstance(error, HTTPException) else None
        problem = RefusedRequest(status, details.get(status, "the request cannot be served"), headers=headers)
        return await self.problem(request, problem)

    async def broken(self, request: Request, _error: Exception) -> Response:
        """Answer an unhandled error; the log has its traceback under the same request id."""
        return await self.problem(request, RefusedRequest(500, "internal error: see the log of the service"))

    async def problem(self, request: Request, problem: Exception) -> Response:
        """Answer a refused request."""
        assert isinstance(problem, RefusedRequest)
        if wants_page(request):
            content = document(problem.status, problem.detail, request.url.path, problem.problems)
            response = self.pages.page("error.html", problem.status, content=content)
            response.headers.update(problem.headers)
            return response
        return problem_answer(request, problem)

    async def _readiness(self) -> dict[str, Any]:
        result = await readiness({"database": self._database.check, "queue": self._queue.check})
        return {"ready": result.ready, "checks": asdict(result)["checks"]}


async def _try(answer: Awaitable[Result]) -> Result | Unavailable:
    try:
        return await answer
    except Unavailable as error:
        return error


def _content(depth: Depth | Unavailable, users: ReadResult[list[User]] | Unavailable) -> dict[str, Any]:
    """Return what could be read, with None for the rest."""
    errors = []
    for part, result in (("queue", depth), ("database", users)):
        if isinstance(result, Unavailable):
            log.warning("the %s is not shown: %s", part, result)
            errors.append({"part": part, "title": _title(part, result), "detail": result.public})
    known = [] if isinstance(users, Unavailable) else users.value
    visible, age = known[:USERS_SHOWN], 0.0 if isinstance(users, Unavailable) else users.age
    listed = [{**asdict(user), "created_at": iso(user.created_at)} for user in visible]
    return {
        "queue": None if isinstance(depth, Unavailable) else asdict(depth),
        "users": None if isinstance(users, Unavailable) else listed,
        "more_users": len(known) > USERS_SHOWN,
        "errors": errors,
        "read_at": read_at(age),
    }


def _title(part: str, error: Unavailable) -> str:
    return f"The {part} is unavailable" if isinstance(error, Away) else f"The {part} cannot be read"
