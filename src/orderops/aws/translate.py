"""What botocore raises, put into our words: the code, whether it took effect, what it means, what to type next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orderops.aws.call_log import where_to_look
from orderops.aws.diagnosis.catalog import codes_of, explain
from orderops.aws.diagnosis.permissions import action_of, readable
from orderops.aws.diagnosis.rule import ErrorContext
from orderops.errors import AwsError, Meaning

LATER_CODES = frozenset(
    {
        "PriorRequestNotComplete",
        "ConcurrentModification",
        "ConcurrentUpdateException",
        "OperationAbortedException",
        "OperationAborted",
        "ConcurrentAccess",
    }
)
# AWS gave up waiting for the request, or for its answer: nobody knows, whatever the HTTP status says.
LOST_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})
READING = ("Describe", "List", "Get", "BatchGet")
PAGE = re.compile(rb"\s*<(\?xml[^>]*>\s*<)?(!doctype html|html)", re.IGNORECASE)


@dataclass(frozen=True)
class Sent:
    """A call as it was sent, and where."""

    service: str
    operation: str
    params: Mapping[str, Any]
    region: str
    environment: str = ""

    @property
    def call(self) -> str:
        return f"{self.service}.{self.operation}"


def translate_error(sent: Sent, error: Exception) -> AwsError | None:
    """An error of a call as a refusal; None when it is a mistake of ours, or already in our words."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    match error:
        case ClientError():
            return _refused(sent, error)
        case BotoCoreError():
            return _unheard(sent, error)
        case ResponseParserError():  # a proxy's page, or half an answer
            return refusal(sent, "LostAnswer", str(error).partition("\n")[0], Meaning.LOST)
        case RuntimeError() if "still expired" in str(error):
            return refusal(sent, "ExpiredToken", str(error), Meaning.NO)
        case ValueError() if re.search(r"endpoint|\bURL\b", str(error)):
            return refusal(sent, "InvalidEndpoint", str(error), Meaning.NO)
        case KeyError() | IndexError():  # what botocore's parsers stumble over
            text = f"not an AWS response ({type(error).__name__}: {error})"
            return refusal(sent, "LostAnswer", text, Meaning.LOST)
        case OSError() | ValueError():  # a program that gives credentials, a file of certificates, a proxy's address
            return refusal(sent, type(error).__name__, str(error), Meaning.NO)
    return None


def refuse_broken(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Refuse pages and halves with HTTP 200: they would be read as an answer that says there is nothing."""
    from botocore.parsers import ResponseParserError

    body, status = response_dict["body"], response_dict["status_code"]
    if not isinstance(body, bytes):
        return
    if status < 500 and PAGE.match(body[:1000]):
        raise ResponseParserError(f"HTTP {status} with a page that is not an AWS response")
    if status < 300 and operation_model.service_model.resolved_protocol == "json":
        asked = operation_model.output_shape
        empty = not body and asked is not None and asked.members and operation_model.name.startswith(READING)
        if empty or (body and not _is_json(body)):
            raise ResponseParserError(f"HTTP {status} with half an answer")


def metadata_of(error: Exception) -> Mapping[str, Any]:
    """What AWS said about its answer, as far as one came."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, Mapping) else {}
    return metadata if isinstance(metadata, Mapping) else {}


def refusal(
    sent: Sent, code: str, text: str, meaning: Meaning, *, request_id: str = "", operation: str = ""
) -> AwsError:
    """The refusal that the catalogue knows, or one that says where to look."""
    action = action_of(sent.service, operation or _as_in_the_api(sent.operation))
    said = ErrorContext(sent.call, code, text, action, sent.region, sent.environment, request_id, sent.params)
    known = explain(said)
    if known:
        means, hint = known.meaning, known.hint
    else:
        means, hint = "", _where(said)
    return AwsError(sent.call, code, readable(text), meaning, request_id=request_id, explanation=means, hint=hint)


def _refused(sent: Sent, error: Any) -> AwsError:
    told, meta = error.response.get("Error", {}), metadata_of(error)
    code, status = str(told.get("Code", "Unknown")), int(meta.get("HTTPStatusCode", 0))
    meaning = Meaning.NO
    if status == 429 or code in LATER_CODES or code in codes_of("throttled"):
        meaning = Meaning.LATER
    elif code in LOST_CODES or status >= 500:
        meaning = Meaning.LOST
    text = str(told.get("Message", "")).strip()
    if status >= 500 and (code in ("", "Unknown") or PAGE.match(text.encode())):
        code, text = f"HTTP {status}", "not an AWS response"
    request_id = str(meta.get("RequestId", ""))
    return refusal(sent, code, text, meaning, request_id=request_id, operation=str(error.operation_name))


def _unheard(sent: Sent, error: Any) -> AwsError:
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
        (botocore.HTTPClientError, "LostAnswer", Meaning.LOST),
    ]
    text = _with_cause(error)
    for kind, code, meaning in known:
        if isinstance(error, kind):
            return refusal(sent, code, text, meaning)
    return refusal(sent, type(error).__name__, text, Meaning.NO)


def _with_cause(error: Any) -> str:
    """The error's words, and the cause that it keeps to itself: whether there was no name or nobody listening."""
    text, cause = str(error), str(error.kwargs.get("error", "")) if hasattr(error, "kwargs") else ""
    why = re.sub(r"^<?[\w.]+(?:\(.*?\)| object at \w+>): ", "", cause)
    return f"{text} ({why})" if why and why not in text else text


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _as_in_the_api(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


def _where(said: ErrorContext) -> str:
    """Where to look when nobody knows the failure."""
    look = where_to_look(said.request_id)
    about = f"request {said.request_id}" if said.request_id else "it has no request id"
    return f"{about}; what was sent: {look}" if look else f"{about}; orderops doctor --env {said.environment or 'NAME'}"
