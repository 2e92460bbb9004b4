"""Reads that lag: for a while they tell what was, and do not know what was just made, as those of AWS may."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from orderops.local.emulator.protocol import ApiError, Request, Response, refused

# S3 tells what is there from the moment that it is written; credentials are nobody's thing.
EXACT = frozenset({"s3", "sts", ""})
ID = re.compile(r"[a-z]+-[0-9a-f]{8,17}|arn:aws[\w-]*:.+|https?://.+/\d{12}/.+|A[A-Z]{3}[0-9A-Z]{16,}")
# What is said of one thing that is not known yet, where a call asks for just that.
UNHEARD_OF = {"iam": ApiError("NoSuchEntity", "The role cannot be found.", 404)}
# What a create answers nothing for, by the parameter that names it.
SILENT = {("logs", "CreateLogGroup"): "logGroupName"}


class Lagging:
    """Answers for `seconds` what it answered before, and leaves out what is younger than that."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._told: dict[tuple[str, str, bytes], tuple[float, Response]] = {}
        self._known: set[str] = set()
        self._born: dict[str, float] = {}

    def answer(self, call: Request, ask: Callable[[], Response]) -> Response:
        """The answer to this call, perhaps one of the past."""
        if not self.seconds or call.service in EXACT:
            return ask()
        if not call.reads:
            return self._changed(call, ask())
        now, key = time.monotonic(), (call.service, call.action, call.body)
        at, answer = self._told.get(key, (0.0, None))
        if answer is None or now - at > self.seconds:
            answer = self._without_the_young(call, ask(), now)
            self._told[key] = now, answer
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
    """What looks like the name of a thing in an answer."""
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
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _pruned(value: Any, young: set[str]) -> Any:
    """JSON without the entries of lists that are, or go by, one of these names."""
    if isinstance(value, dict):
        return {key: _pruned(each, young) for key, each in value.items()}
    if isinstance(value, list):
        return [_pruned(each, young) for each in value if not _goes_by(each, young)]
    return value


def _goes_by(entry: Any, young: set[str]) -> bool:
    if isinstance(entry, dict):
        return any(isinstance(value, str) and value in young for value in entry.values())
    return isinstance(entry, str) and entry in young


def _pruned_xml(body: bytes, young: set[str]) -> bytes | None:
    """XML without the elements that say in a child of theirs that they are one of these; None when it was about one."""
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
