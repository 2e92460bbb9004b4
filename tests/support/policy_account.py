"""An emulated account that asks IAM: every call is seen, weighed against policies, and refused where they say so."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import make_server

from orderops.local.emulator.protocol import ApiError, Environ, Request, refused
from support.faulty_proxy import Handler, Proxy, served
from support.policy_evaluation import Document, Statement, allowing
from support.policy_requests import PREFIXES, Asked, asked

WHO = "arn:aws:iam::123456789012:user/ann"
CODES = {
    "ec2": "UnauthorizedOperation",
    "sns": "AuthorizationError",
    **dict.fromkeys(("elasticloadbalancing", "iam", "rds", "s3", "sts"), "AccessDenied"),
}


class Account:
    """Before the proxy: keeps what was called by which command, and refuses what nothing in `documents` allows."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.url = ""
        self.command = ""
        self.called: dict[str, set[str]] = defaultdict(set)
        self.documents: Sequence[Document] = ()
        self.denied: list[tuple[str, Asked]] = []
        self.used: set[tuple[str, str]] = set()
        """Each permission that was asked for, with the statement, by its Sid, that allowed it."""
        self.asked: dict[str, tuple[str, Asked]] = {}
        """Each permission with the service that asked for it, and its first question."""
        self.wide: set[tuple[str, str, str]] = set()
        """The same for what was allowed on anything, though it was asked for on one thing; with that thing."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        call = Request(environ)
        self.called[f"{PREFIXES.get(call.service, call.service)}:{call.action}"].add(self.command)
        refusal = self._weigh(call) if self.documents else None
        if refusal is None:
            return self.proxy(call.unchanged(), start_response)
        answer = refused(call, refusal)
        start_response(f"{answer.status} .", [*answer.headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    @contextmanager
    def allowing(self, documents: Sequence[Document]) -> Iterator[None]:
        """Weigh calls against these policies, and refuse in AWS's words what they do not allow; without any, none."""
        self.documents = documents
        try:
            yield
        finally:
            self.documents = ()

    def _weigh(self, call: Request) -> ApiError | None:
        questions = asked(call)
        assert questions or call.service == "sts", f"what IAM is asked before {call.service}:{call.action} is not known"
        for question in questions:
            self.asked.setdefault(question.action, (call.service, question))
            allowed: list[Statement] = allowing(question, self.documents)
            for each in allowed:
                self.used.add((question.action, each["Sid"]))
                if question.resource != "*" and "*" in each["Resource"]:
                    self.wide.add((question.action, each["Sid"], question.resource))
            if not allowed:
                self.denied.append((self.command, question))
                return denial(call.service, question)
        return None


def denial(service: str, question: Asked) -> ApiError:
    """What AWS says to who may not."""
    text = (
        f"User: {WHO} is not authorized to perform: {question.action} on resource: {question.resource} "
        f"because no identity-based policy allows the {question.action} action"
    )
    if service == "ec2":
        text = f"You are not authorized to perform this operation. {text}. Encoded authorization failure message: 4GIOH"
    return ApiError(CODES.get(service, "AccessDeniedException"), text, 400 if service not in CODES else 403)


@contextmanager
def watched() -> Iterator[Account]:
    """An empty account on a free port of this machine."""
    with served() as proxy:
        account = Account(proxy)
        server = make_server("127.0.0.1", 0, account, threaded=True, request_handler=Handler)
        account.url = f"http://127.0.0.1:{server.port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            thread.join()
