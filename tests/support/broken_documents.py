"""Objects that may lie where a JSON document of ours is expected: what people, proxies and newer versions leave."""

from __future__ import annotations

NOT_JSON = {
    "a page": b"<html><title>Log in first</title></html>",
    "half a document": b'{"run": "1f2e", "who": ',
    "nothing": b"",
    "a line break": b"\n",
    "a list": b"[]",
    "a word": b'"released"',
    "null": b"null",
    "another encoding": '{"who": "Zoë"}'.encode("utf-16"),
    "latin-1": b'{"who": "Zo\xeb"}',
    "an image": b"\x89PNG\r\n\x1a\n\x00\x00",
    "no end of lists": b"[" * 200_000,
    "no end of objects": b'{"a":' * 200_000,
    "deep lists": b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}",
    "a number of 10,000 digits": b'{"beat": ' + b"9" * 10_000 + b"}",
    "not a number": b'{"beat": NaN}',
    "half a character": rb'{"run": "\ud800", "who": "ana"}',
    "17 MB": b'{"who": "' + b"a" * (17 * 1024 * 1024) + b'"}',
}
"""None of them is a JSON object that can be used, whatever its keys."""
