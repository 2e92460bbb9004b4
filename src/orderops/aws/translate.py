"""Errors of botocore as `AwsError`: the code, whether the call took effect, the meaning, and what to type next."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from typing import Any

from orderops.aws.call_log import log_command
from orderops.aws.diagnosis.catalog import codes_of, explain
from orderops.aws.diagnosis.permissions import action_of, readable
from orderops.aws.diagnosis.rule import ErrorContext
from orderops.errors import AwsError, Meaning
from orderops.frozen import Frozen

# Another change of the same resource is under way. The call had no effect; botocore does not retry these.
CONFLICT_CODES = frozenset(
    {
        "PriorRequestNotComplete",
        "ConcurrentModification",
        "ConcurrentUpdateException",
        "OperationAbortedException",
        "OperationAborted",
        "ConcurrentAccess",
    }
)
# AWS gave up waiting for the request, or for its own answer. The call may have taken effect, although these come with
# HTTP 400.
LOST_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
READING = ("Describe", "List", "Get", "BatchGet")
PAGE = re.compile(rb"\s*<(\?xml[^>]*>\s*<)?(!doctype html|html)", re.IGNORECASE)


class SentCall(Frozen):
    """A call to AWS: service, operation, parameters and region."""

    service: str
    operation: str
    params: Mapping[str, Any]
    region: str
    environment: str = ""

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"


def translate_error(call: SentCall, error: Exception) -> AwsError | None:
    """Return the error of a call as an AwsError; None for a bug, or for an error that is orderops's own."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    match error:
        case ClientError():
            return _of_response(call, error)
        case BotoCoreError():
            return _of_botocore(call, error)
        case ResponseParserError():
            return aws_error(call, "LostAnswer", str(error).partition("\n")[0], Meaning.LOST)
    return _of_builtin(call, error)


def check_response(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Raise ResponseParserError for HTML and for incomplete JSON. A handler of botocore's event `before-parse`."""
    from botocore.parsers import ResponseParserError

    body, status = response_dict["body"], response_dict["status_code"]
    if not isinstance(body, bytes):
        return
    # Login pages of proxies and guest networks come with HTTP 200. botocore finds none of the expected elements in
    # them and returns an empty listing, so a plan would create everything again.
    if status < 500 and PAGE.match(body[:1000]):
        raise ResponseParserError(f"HTTP {status} with a page that is not an AWS response")
    # botocore's JSON parser returns {} for a body that it cannot decode.
    if status < 300 and operation_model.service_model.resolved_protocol == "json":
        output = operation_model.output_shape
        expected = output is not None and output.members and operation_model.name.startswith(READING)
        if (expected and not body) or (body and not _is_json(body)):
            raise ResponseParserError(f"HTTP {status} with an incomplete response")


def metadata_of(error: Exception) -> Mapping[str, Any]:
    """Return the ResponseMetadata of an error, or {} where no response arrived."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, Mapping) else {}
    return metadata if isinstance(metadata, Mapping) else {}


def aws_error(
    call: SentCall, code: str, text: str, meaning: Meaning, *, request_id: str = "", operation: str = ""
) -> AwsError:
    """Return an AwsError that the catalogue explains, or one that says where to find the details."""
    action = action_of(call.service, operation or _api_name(call.operation))
    context = ErrorContext(call.name, code, text, action, call.region, call.environment, request_id, call.params)
    known = explain(context)
    return AwsError(
        call.name,
        code,
        readable(text),
        meaning,
        request_id=request_id,
        explanation=known.meaning if known else "",
        hint=known.hint if known else _hint_for_unknown(context),
    )


def _of_response(call: SentCall, error: Any) -> AwsError:
    """Translate an error response of AWS."""
    details, metadata = error.response.get("Error", {}), metadata_of(error)
    code, status = str(details.get("Code", "Unknown")), int(metadata.get("HTTPStatusCode", 0))
    text = str(details.get("Message", "")).strip()
    meaning = _meaning_of(code, status)
    # botocore reads the body of a proxy's error page as the message, and finds no code.
    if status >= 500 and (code in ("", "Unknown") or PAGE.match(text.encode())):
        code, text = f"HTTP {status}", "not an AWS response"
    request_id = str(metadata.get("RequestId", ""))
    return aws_error(call, code, text, meaning, request_id=request_id, operation=str(error.operation_name))


def _meaning_of(code: str, status: int) -> Meaning:
    # Throttling first: EC2 throttles with HTTP 503, which otherwise means that the call may have taken effect.
    if status == 429 or code in CONFLICT_CODES or code in codes_of("throttled"):
        return Meaning.LATER
    if status >= 500 or code in LOST_CODES:
        return Meaning.LOST
    return Meaning.NO


def _of_botocore(call: SentCall, error: Any) -> AwsError:
    """Translate an error that botocore raised because no response arrived."""
    from botocore import exceptions as botocore

    known: list[tuple[type[Exception], str, Meaning]] = [
        (botocore.NoCredentialsError, "NoCredentials", Meaning.NO),
        (botocore.PartialCredentialsError, "PartialCredentials", Meaning.NO),
        (botocore.TokenRetrievalError, "ExpiredToken", Meaning.NO),
        (botocore.UnauthorizedSSOTokenError, "ExpiredToken", Meaning.NO),
        (botocore.SSOTokenLoadError, "ExpiredToken", Meaning.NO),
        (botocore.EndpointConnectionError, "Unreachable", Meaning.LATER),
        (botocore.ProxyConnectionError, "Unreachable", Meaning.LATER),
        (botocore.ConnectTimeoutError, "Unreachable", Meaning.LATER),
        (botocore.SSLError, "SSLError", Meaning.NO),
        # The base class of the four above; any other of its errors may come after AWS received the request.
        (botocore.HTTPClientError, "LostAnswer", Meaning.LOST),
        (botocore.IncompleteReadError, "LostAnswer", Meaning.LOST),
    ]
    # botocore puts a headline before the reasons why it did not send a call, each on a line.
    text = "; ".join(_with_cause(error).removeprefix("Parameter validation failed:").strip().splitlines())
    for kind, code, meaning in known:
        if isinstance(error, kind):
            return aws_error(call, code, text, meaning)
    return aws_error(call, type(error).__name__, text, Meaning.NO)


def _of_builtin(call: SentCall, error: Exception) -> AwsError | None:
    """Translate a built-in exception that botocore lets through; None for one that it did not cause."""
    # botocore has no exception types for these, so the modules that it passed through decide. A KeyError in orderops
    # itself, or in a handler that botocore calls, is a bug and has to surface as one.
    modules, text = _botocore_modules(error), str(error)
    if "botocore.parsers" in modules:  # well-formed XML or JSON that is not from AWS
        return aws_error(call, "LostAnswer", f"not an AWS response ({type(error).__name__}: {text})", Meaning.LOST)
    match error:
        case RuntimeError() if "botocore.credentials" in modules and "still expired" in text:
            return aws_error(call, "ExpiredToken", text, Meaning.NO)
        case ValueError() if modules and re.search(r"endpoint|\bURL\b", text):
            return aws_error(call, "InvalidEndpoint", text, Meaning.NO)
        case OSError() | ValueError() if modules:  # credential_process, CA bundle, proxy's address
            return aws_error(call, type(error).__name__, text, Meaning.NO)
    return None


def _botocore_modules(error: Exception) -> set[str]:
    """Return the modules of boto3 and botocore that an error passed through since orderops called them."""
    modules: set[str] = set()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
        match name.partition(".")[0]:
            case "orderops":
                modules.clear()
            case "boto3" | "botocore":
                modules.add(name)
    return modules


def _with_cause(error: Any) -> str:
    """Return an error's text with its cause, which botocore keeps apart: name resolution, connection refused."""
    text, cause = str(error), str(error.kwargs.get("error", "")) if hasattr(error, "kwargs") else ""
    reason = re.sub(r"^<?[\w.]+(?:\(.*?\)| object at \w+>): ", "", cause)
    return f"{text} ({reason})" if reason and reason not in text else text


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _api_name(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _hint_for_unknown(context: ErrorContext) -> str:
    """Return where to find what was sent, for an error that the catalogue does not know."""
    request = f"request {context.request_id}" if context.request_id else "no request id"
    if command := log_command(context.request_id):
        return f"{request}; show what was sent: {command}"
    return f"{request}; check the setup: orderops doctor --env {context.environment or 'NAME'}"
