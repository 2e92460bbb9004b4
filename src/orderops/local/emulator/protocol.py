"""A call to AWS as it arrives over HTTP, and answers in the words of its protocol. No service is known here."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from orderops.local.emulator.operations import name_of

Environ = dict[str, Any]
READING = ("Describe", "List", "Get", "Head", "BatchGet", "Lookup", "Search", "Filter", "Simulate", "Test", "Decode")
XML_NAMESPACES = {
    "elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    "rds": "http://rds.amazonaws.com/doc/2014-10-31/",
}


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status < 300


class ApiError(Exception):
    """A call that AWS would refuse, in AWS's words; `shape` where a service names the error in two ways."""

    def __init__(self, code: str, message: str, status: int = 400, shape: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.shape = shape
        self.code = code
        self.message = message
        self.status = status


class Request:
    """One request: which service, which action, with which parameters."""

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.body = _body(environ)
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ.get("PATH_INFO", "/")
        self.service, self.region = _scope(environ)
        self.target: str = environ.get("HTTP_X_AMZ_TARGET", "")

    @cached_property
    def action(self) -> str:
        """The operation's name; method and path where no model of AWS has a name for it."""
        if self.target:
            return self.target.rpartition(".")[2]
        query = self.environ.get("QUERY_STRING", "")
        told = self.form.get("Action") or name_of(self.service, self.method, self.path, query, self.environ)
        return str(told or f"{self.method} {self.path}")

    @property
    def reads(self) -> bool:
        """The call changes nothing."""
        if self.action.startswith(f"{self.method} "):
            return self.method in ("GET", "HEAD")
        return self.action.startswith(READING)

    @cached_property
    def form(self) -> dict[str, str]:
        """The flat parameters of the query protocol."""
        if "x-www-form-urlencoded" not in self.environ.get("CONTENT_TYPE", ""):
            return {}
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @cached_property
    def json(self) -> dict[str, Any]:
        """The parameters of the JSON protocol."""
        found = json.loads(self.body or b"{}")
        return found if isinstance(found, dict) else {}

    def members(self, name: str) -> list[dict[str, str]]:
        """A list of structures in the query protocol: `Targets.member.1.Id=…` becomes [{"Id": …}]."""
        found: dict[int, dict[str, str]] = {}
        for key, value in self.form.items():
            parts = key.split(".")
            if parts[:2] == [name, "member"] and len(parts) == 4:
                found.setdefault(int(parts[2]), {})[parts[3]] = value
        return [found[index] for index in sorted(found)]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the query protocols unfolded: `Targets.member.1.Id=…` becomes {"Targets": [{"Id": …}]}."""
        found: dict[str, Any] = {}
        for key, value in self.form.items():
            inner = found
            *above, last = (part for part in key.split(".") if part != "member")
            for part in above:
                inner = inner.setdefault(part, {})
            inner[last] = value
        return {name: _unfolded(value) for name, value in found.items()}

    def with_form(self, parameters: Mapping[str, str]) -> Environ:
        """Another request in the query protocol, sent by the same caller."""
        return self._with_body(urlencode(parameters).encode())

    def with_json(self, parameters: Mapping[str, Any]) -> Environ:
        """The same request with other parameters."""
        return self._with_body(json.dumps(parameters).encode())

    def again(self) -> Environ:
        """The request as it came, its body readable once more."""
        return self._with_body(self.body)

    def _with_body(self, body: bytes) -> Environ:
        environ = dict(self.environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return environ


def json_answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """An answer of the JSON protocols; times go as seconds."""
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid.uuid4()))]
    return Response(status, json.dumps(value).encode(), headers)


def xml_answer(call: Request, result: str) -> Response:
    """An answer of the query protocol around the XML of its result."""
    space = XML_NAMESPACES[call.service]
    text = (
        f'<{call.action}Response xmlns="{space}"><{call.action}Result>{result}</{call.action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{call.action}Response>"
    )
    return Response(200, text.encode(), [("Content-Type", "text/xml")])


def element(name: str, content: object) -> str:
    """An XML element with text."""
    return f"<{name}>{escape(str(content))}</{name}>"


def refused(call: Request, refusal: ApiError) -> Response:
    """A refusal in the protocol of the call."""
    if call.target:
        name = refusal.shape or refusal.code
        answer = json_answer({"__type": name, "message": refusal.message}, refusal.status)
        headers = [*answer.headers, ("x-amzn-errortype", name)]
        if refusal.shape:
            headers.append(("x-amzn-query-error", f"{refusal.code};Sender"))
        return Response(answer.status, answer.body, headers)
    error = f"<Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
    request = element("RequestId", uuid.uuid4())
    if call.service == "ec2":
        text = f"<Response><Errors><Error>{error}</Error></Errors>{request}</Response>"
    elif call.form or call.service == "route53":
        text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>{request}</ErrorResponse>"
    elif call.service == "s3":
        text = f"<Error>{error}{request}</Error>"
    else:
        return json_answer({"__type": refusal.code, "message": refusal.message}, refusal.status)
    return Response(refusal.status, text.encode(), [("Content-Type", "text/xml")])


def _unfolded(value: Any) -> Any:
    """Structures whose names are numbers are lists."""
    if not isinstance(value, dict):
        return value
    if all(name.isdigit() for name in value):
        return [_unfolded(value[name]) for name in sorted(value, key=int)]
    return {name: _unfolded(inner) for name, inner in value.items()}


def _body(environ: Environ) -> bytes:
    stream = environ["wsgi.input"]
    if length := int(environ.get("CONTENT_LENGTH") or 0):
        body = bytes(stream.read(length))
        if len(body) < length:  # AWS acts on whole requests only; moto on half of one, and makes what nobody asked for
            raise ConnectionAbortedError("the client went away in the middle of its request")
        return body
    return bytes(stream.read()) if environ.get("wsgi.input_terminated") else b""


def _scope(environ: Environ) -> tuple[str, str]:
    """Service and region as the signature names them: Credential=ID/date/region/service/aws4_request."""
    told: Iterable[str] = environ.get("HTTP_AUTHORIZATION", "").replace(",", " ").split()
    for part in told:
        if part.startswith("Credential="):
            pieces = part.split("/")
            if len(pieces) == 5:
                return pieces[3], pieces[2]
    return "", ""
