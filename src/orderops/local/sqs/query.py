"""The older query protocol of SQS, which curl and clients from before 2024 speak; for messages and their counts.

moto reads and writes it by the service model, with the names that the protocol has had since 2012.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from typing import Any

from moto.core.parse import QueryParser
from moto.core.serialize import SerializationContext, SqsQuerySerializer
from moto.core.utils import get_service_model

from orderops.local.emulator.protocol import Request, Response


def parsed(request: Request) -> dict[str, Any]:
    """Return the parameters of a request; the queue's URL may also be the address that it was sent to."""
    model = get_service_model("sqs").operation_model(request.action)
    # Values of type Binary stay base64, as the JSON protocol has them.
    parser = QueryParser(model, map_type=dict, blob_parser=str)
    values = {"values": request.form, "method": request.method, "headers": {}, "body": "", "url_path": request.path}
    parameters: dict[str, Any] = parser.parse({**values, "url_params": {}})
    if "QueueUrl" in model.input_shape.members:
        parameters.setdefault("QueueUrl", request.path)
    return parameters


def answered(request: Request, answer: Mapping[str, Any]) -> Response:
    """Return a response with this content."""
    model = get_service_model("sqs").operation_model(request.action)
    context = SerializationContext(request_id=str(uuid.uuid4()))
    response = SqsQuerySerializer(model, context).serialize(_with_bytes(answer))
    return Response(200, response["body"].encode(), [("Content-Type", "text/xml")])


def with_attributes(body: bytes, values: Mapping[str, str]) -> bytes:
    """Return the response to GetQueueAttributes with other values for those attributes that it has."""

    def changed(found: re.Match[str]) -> str:
        return f"{found[1]}{values.get(found[2], found[4])}{found[5]}"

    pattern = r"(<Name>(\w+)</Name>(\s*)<Value>)([^<]*)(</Value>)"
    return re.sub(pattern, changed, body.decode()).encode()


def _with_bytes(value: Any) -> Any:
    """Decode binary values, which the protocol encodes again."""
    if isinstance(value, Mapping):
        return {
            name: base64.b64decode(inner) if name == "BinaryValue" else _with_bytes(inner)
            for name, inner in value.items()
        }
    return [_with_bytes(inner) for inner in value] if isinstance(value, list) else value
