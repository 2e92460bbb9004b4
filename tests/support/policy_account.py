"""An emulated account with IAM: every call is recorded, evaluated against policies, and denied where they say so."""

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
from support.policy_requests import PREFIXES, Question, questions_of

CALLER = "arn:aws:iam::123456789012:user/ann"
CODES = {
    "ec2": "UnauthorizedOperation",
    "sns": "AuthorizationError",
    **dict.fromkeys(("elasticloadbalancing", "iam", "rds", "s3", "sts"), "AccessDenied"),
}


class Account:
    """In front of the proxy: records the calls of each command, and denies what `documents` do not allow."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.url = ""
        self.command = ""
        self.called: dict[str, set[str]] = defaultdict(set)
        self.documents: Sequence[Document] = ()
        self.denied: list[tuple[str, Question]] = []
        self.used: set[tuple[str, str]] = set()
        """Each permission that was needed, with the Sid of the statement that allowed it."""
        self.needed: dict[str, tuple[str, Question]] = {}
        """Each permission that was needed, with the service of the call and its first question."""
        self.wide: set[tuple[str, str, str]] = set()
        """Permissions needed on one resource and allowed on all, with the Sid and that resource."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        call = Request(environ)
        self.called[f"{PREFIXES.get(call.service, call.service)}:{call.action}"].add(self.command)
        denied = self._evaluate(call) if self.documents else None
        if denied is None:
            return self.proxy(call.unchanged(), start_response)
        response = refused(call, denied)
        start_response(f"{response.status} .", [*response.headers, ("Content-Length", str(len(response.body)))])
        return [response.body]

    @contextmanager
    def allowing(self, documents: Sequence[Document]) -> Iterator[None]:
        """Evaluate calls against these policies, and deny in AWS's words what they do not allow; [] allows all."""
        self.documents = documents
        try:
            yield
        finally:
            self.documents = ()

    def _evaluate(self, call: Request) -> ApiError | None:
        questions = questions_of(call)
        assert questions or call.service == "sts", f"the permissions of {call.service}:{call.action} are not known"
        for question in questions:
            self.needed.setdefault(question.action, (call.service, question))
            allowed: list[Statement] = allowing(question, self.documents)
            for statement in allowed:
                self.used.add((question.action, statement["Sid"]))
                if question.resource != "*" and "*" in statement["Resource"]:
                    self.wide.add((question.action, statement["Sid"], question.resource))
            if not allowed:
                self.denied.append((self.command, question))
                return denial(call.service, question)
        return None


def denial(service: str, question: Question) -> ApiError:
    """Return AWS's error for a missing permission."""
    text = (
        f"User: {CALLER} is not authorized to perform: {question.action} on resource: {question.resource} "
        f"because no identity-based policy allows the {question.action} action"
    )
    if service == "ec2":
        text = f"You are not authorized to perform this operation. {text}. Encoded authorization failure message: 4GIOH"
    return ApiError(CODES.get(service, "AccessDeniedException"), text, 400 if service not in CODES else 403)


@contextmanager
def served_account() -> Iterator[Account]:
    """Serve an empty account on a free port of this machine."""
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
