"""AWS requests as they arrive over HTTP, and responses in each service's protocol. Knows no service in particular."""

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
# Key of the headers as they arrived, which a signature covers: WSGI merges, renames and drops some.
RAW_HEADERS = "orderops.headers"
# Prefixes of operations that change nothing, in the naming of AWS's APIs.
READING = ("Describe", "List", "Get", "Head", "BatchGet", "Lookup", "Search", "Filter", "Simulate", "Test", "Decode")
# boto3 ignores the namespace, other clients check it. From the service models.
XML_NAMESPACES = {
    "elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    "rds": "http://rds.amazonaws.com/doc/2014-10-31/",
}


@dataclass(frozen=True)
class Response:
    """HTTP response."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status < 300


class ApiError(Exception):
    """Error that AWS would return. `shape` is the error's second name in services that moved to JSON (SQS)."""

    def __init__(self, code: str, message: str, status: int = 400, shape: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.shape = shape
        self.code = code
        self.message = message
        self.status = status


class Request:
    """AWS request: service, region, action and parameters."""

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.body = _body(environ)
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ.get("PATH_INFO", "/")
        self.service, self.region = _scope(environ)
        self.target: str = environ.get("HTTP_X_AMZ_TARGET", "")

    @cached_property
    def action(self) -> str:
        """Operation name; method and path when no AWS model matches."""
        if self.target:
            return self.target.rpartition(".")[2]
        query = self.environ.get("QUERY_STRING", "")
        # As it was sent: an ARN in a path has its slashes encoded, which PATH_INFO no longer shows.
        path = self.environ.get("RAW_URI", self.path).partition("?")[0]
        name = self.form.get("Action") or name_of(self.service, self.method, path, query, self.environ)
        return str(name or f"{self.method} {self.path}")

    @property
    def reads(self) -> bool:
        """True when the request changes nothing."""
        if self.action.startswith(f"{self.method} "):
            return self.method in ("GET", "HEAD")
        return self.action.startswith(READING)

    @cached_property
    def form(self) -> dict[str, str]:
        """Flat parameters of the query protocol."""
        if "x-www-form-urlencoded" not in self.environ.get("CONTENT_TYPE", ""):
            return {}
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @cached_property
    def json(self) -> dict[str, Any]:
        """Parameters of the JSON protocol."""
        document = json.loads(self.body or b"{}")
        return document if isinstance(document, dict) else {}

    def members(self, name: str) -> list[dict[str, str]]:
        """Return a list of structures of the query protocol: `Targets.member.1.Id=…` becomes [{"Id": …}]."""
        structures: dict[int, dict[str, str]] = {}
        for key, value in self.form.items():
            parts = key.split(".")
            if parts[:2] == [name, "member"] and len(parts) == 4:
                structures.setdefault(int(parts[2]), {})[parts[3]] = value
        return [structures[index] for index in sorted(structures)]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the query protocol as a tree: `Targets.member.1.Id=…` becomes {"Targets": [{"Id": …}]}."""
        tree: dict[str, Any] = {}
        for key, value in self.form.items():
            branch = tree
            # `member` is an artefact of the query protocol for lists; EC2 leaves it out.
            *parents, last = (part for part in key.split(".") if part != "member")
            for part in parents:
                branch = branch.setdefault(part, {})
            branch[last] = value
        return {name: _unfolded(value) for name, value in tree.items()}

    def path_style(self) -> Request:
        """Return a request of S3 whose bucket is in its host (`BUCKET.localhost`) with the bucket in its path."""
        bucket, _, host = self.environ.get("HTTP_HOST", "").rpartition(".localhost")
        if self.service != "s3" or not bucket:
            return self
        environ = {**self.unchanged(), "HTTP_HOST": f"localhost{host}", "PATH_INFO": f"/{bucket}{self.path}"}
        for name in ("REQUEST_URI", "RAW_URI"):
            environ[name] = f"/{bucket}{environ.get(name, self.path)}"
        return Request(environ)

    def with_form(self, parameters: Mapping[str, str]) -> Environ:
        """Return a request of the query protocol from the same caller with other parameters."""
        return self._with_body(urlencode(parameters).encode())

    def with_json(self, parameters: Mapping[str, Any]) -> Environ:
        """Return the same request with other JSON parameters."""
        return self._with_body(json.dumps(parameters).encode())

    def unchanged(self) -> Environ:
        """Return the original request with its body readable again."""
        return self._with_body(self.body)

    def _with_body(self, body: bytes) -> Environ:
        environ = dict(self.environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return environ


def without_body(environ: Environ) -> Environ:
    """Return a request without its body, which stays unread."""
    return {**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}


def json_answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """Return a response of the JSON protocol; times are seconds since 1970."""
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", str(uuid.uuid4()))]
    return Response(status, json.dumps(value).encode(), headers)


def xml_answer(request: Request, result: str) -> Response:
    """Return a response of the query protocol that wraps the XML of its result."""
    space = XML_NAMESPACES[request.service]
    text = (
        f'<{request.action}Response xmlns="{space}"><{request.action}Result>{result}</{request.action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{request.action}Response>"
    )
    return Response(200, text.encode(), [("Content-Type", "text/xml")])


def element(name: str, content: object) -> str:
    """Return an XML element with text content."""
    return f"<{name}>{escape(str(content))}</{name}>"


def refused(request: Request, error: ApiError) -> Response:
    """Return an error response in the request's protocol."""
    if request.target:
        name = error.shape or error.code
        response = json_answer({"__type": name, "message": error.message}, error.status)
        headers = [*response.headers, ("x-amzn-errortype", name)]
        if error.shape:
            # SQS moved from the query to the JSON protocol. Clients read the old error code from this header.
            headers.append(("x-amzn-query-error", f"{error.code};Sender"))
        return Response(response.status, response.body, headers)
    error_xml = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    request_id = element("RequestId", uuid.uuid4())
    if request.service == "ec2":
        text = f"<Response><Errors><Error>{error_xml}</Error></Errors>{request_id}</Response>"
    elif request.form or request.service == "route53":
        text = f"<ErrorResponse><Error><Type>Sender</Type>{error_xml}</Error>{request_id}</ErrorResponse>"
    # Without a signature, a service of the REST protocols is not known: only S3 answers such requests.
    elif request.service in ("s3", ""):
        text = f"<Error>{error_xml}{request_id}</Error>"
    else:
        return json_answer({"__type": error.code, "message": error.message}, error.status)
    return Response(error.status, text.encode(), [("Content-Type", "text/xml")])


def _unfolded(value: Any) -> Any:
    """Turn structures with numbers as keys into lists."""
    if not isinstance(value, dict):
        return value
    if all(name.isdigit() for name in value):
        return [_unfolded(value[name]) for name in sorted(value, key=int)]
    return {name: _unfolded(inner) for name, inner in value.items()}


def _body(environ: Environ) -> bytes:
    stream = environ["wsgi.input"]
    if length := int(environ.get("CONTENT_LENGTH") or 0):
        body = bytes(stream.read(length))
        if len(body) < length:
            # AWS ignores incomplete requests; moto acts on one and creates the wrong resource.
            raise ConnectionAbortedError("the client disconnected in the middle of its request")
        return body
    return bytes(stream.read()) if environ.get("wsgi.input_terminated") else b""


def _scope(environ: Environ) -> tuple[str, str]:
    """Return service and region from the signature: Credential=ID/date/region/service/aws4_request."""
    words: Iterable[str] = environ.get("HTTP_AUTHORIZATION", "").replace(",", " ").split()
    # A presigned URL has the credential in its query.
    query = parse_qsl(environ.get("QUERY_STRING", ""))
    presigned = [f"Credential={value}" for name, value in query if name == "X-Amz-Credential"]
    for word in (*words, *presigned):
        if word.startswith("Credential="):
            pieces = word.split("/")
            if len(pieces) == 5:
                return pieces[3], pieces[2]
    return "", ""
