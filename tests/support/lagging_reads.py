"""Lagging reads: for a while they return old responses and leave out new resources, as AWS's may."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from orderops.local.emulator.protocol import ApiError, Request, Response, refused

# S3 reads are strongly consistent, and calls about credentials do not name a resource.
EXACT = frozenset({"s3", "sts", ""})
ID = re.compile(r"[a-z]+-[0-9a-f]{8,17}|arn:aws[\w-]*:.+|https?://.+/\d{12}/.+|A[A-Z]{3}[0-9A-Z]{16,}")
# The error for a single resource that is not visible yet.
UNHEARD_OF = {"iam": ApiError("NoSuchEntity", "The role cannot be found.", 404)}
# Creates with an empty response: the parameter that names the resource.
SILENT = {("logs", "CreateLogGroup"): "logGroupName"}


class Lagging:
    """Returns earlier responses for `seconds`, and leaves out resources younger than that."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._responses: dict[tuple[str, str, bytes], tuple[float, Response]] = {}
        self._known: set[str] = set()
        self._born: dict[str, float] = {}

    def answer(self, call: Request, ask: Callable[[], Response]) -> Response:
        """The response to this call, possibly an earlier one."""
        if not self.seconds or call.service in EXACT:
            return ask()
        if not call.reads:
            return self._changed(call, ask())
        # In a REST API, the path and the query say what is read.
        asked = f"{call.path}?{call.environ.get('QUERY_STRING', '')}".encode()
        now, key = time.monotonic(), (call.service, call.action, asked + call.body)
        at, answer = self._responses.get(key, (0.0, None))
        if answer is None or now - at > self.seconds:
            answer = self._without_the_young(call, ask(), now)
            self._responses[key] = now, answer
        return answer

    def _changed(self, call: Request, answer: Response) -> Response:
        named = call.json.get(SILENT[call.service, call.action]) if (call.service, call.action) in SILENT else None
        new = {str(named)} if named else set(_ids(answer)) - self._known
        if answer.ok:
            self._born.update(dict.fromkeys(new, time.monotonic()))
        return answer

    def _without_the_young(self, call: Request, answer: Response, now: float) -> Response:
        young = {name for name, born in self._born.items() if now - born < self.seconds}
        self._known.update(_ids(answer))
        if not young or not answer.ok:
            return answer
        if answer.body[:1] == b"<":
            pruned = _pruned_xml(answer.body, young)
            return replace(answer, body=pruned) if pruned else refused(call, UNHEARD_OF[call.service])
        if answer.body[:1] == b"{":
            return replace(answer, body=json.dumps(_pruned(json.loads(answer.body), young)).encode())
        return answer


def _ids(answer: Response) -> Iterator[str]:
    """Texts in a response that look like an id or ARN of a resource."""
    texts: Iterator[str] = iter(())
    if answer.body[:1] == b"<":
        texts = (element.text or "" for element in ElementTree.fromstring(answer.body).iter())
    elif answer.body[:1] == b"{":
        texts = _texts(json.loads(answer.body))
    return (text for text in texts if ID.fullmatch(text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _pruned(value: Any, young: set[str]) -> Any:
    """The JSON value without list entries that have one of these names."""
    if isinstance(value, dict):
        return {key: _pruned(part, young) for key, part in value.items()}
    if isinstance(value, list):
        return [_pruned(part, young) for part in value if not _has_name(part, young)]
    return value


def _has_name(entry: Any, young: set[str]) -> bool:
    if isinstance(entry, dict):
        return any(isinstance(value, str) and value in young for value in entry.values())
    return isinstance(entry, str) and entry in young


def _pruned_xml(body: bytes, young: set[str]) -> bytes | None:
    """The XML without elements that have a child with one of these names; None if the whole response is about one."""
    root = ElementTree.fromstring(body)
    space = root.tag.partition("}")[0].lstrip("{") if root.tag.startswith("{") else ""
    if space:
        ElementTree.register_namespace("", space)
    for parent in list(root.iter()):
        for child in list(parent):
            if any((grandchild.text or "") in young for grandchild in child):
                if parent.tag.endswith("Result"):
                    return None
                parent.remove(child)
    pruned: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return pruned
