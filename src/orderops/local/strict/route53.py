"""Route 53: changes that are pending for a while, and records that are what they were said to be."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.xml import NAMESPACE, edited, put

CHANGING = ("ChangeResourceRecordSets", "CreateHostedZone", "DeleteHostedZone")
ALIKE = re.compile(r"\\052")


def take_part(emulator: Emulator, pace: Delays) -> None:
    """Give every change an identifier and a time, and check a batch as a whole before any of it is done."""

    def changed(_call: Request, answer: Response) -> Response:
        name = f"C{uuid.uuid4().hex[:13].upper()}"
        zones = _backend()
        zones.changes = {**getattr(zones, "changes", {}), name: time.time() + pace.changes}

        def mark(root: Element) -> None:
            for info in root.iter("ChangeInfo"):
                put(info, "Id", f"/change/{name}")
                put(info, "Status", "PENDING")

        return edited(answer, mark)

    for action in CHANGING:
        emulator.on_after("route53", action, changed)
    emulator.on_after("route53", "GetChange", _change)
    emulator.on_before("route53", "GetChange", _known)
    emulator.on_before("route53", "ChangeResourceRecordSets", _as_they_stand)
    emulator.on_before("route53", "CreateHostedZone", _once)


def _backend() -> Any:
    return get_backend("route53")[DEFAULT_ACCOUNT_ID]["aws"]


def _known(call: Request) -> None:
    name = call.path.rpartition("/")[2]
    if name not in getattr(_backend(), "changes", {}):
        raise ApiError("NoSuchChange", f"Could not find resource with ID: {name}", 404)


def _change(call: Request, answer: Response) -> Response:
    ready_at = _backend().changes[call.path.rpartition("/")[2]]
    if ready_at <= time.time():
        return answer
    return replace(answer, body=answer.body.replace(b">INSYNC<", b">PENDING<"))


def _once(call: Request) -> None:
    asked = _root(call).findtext("CallerReference")
    if any(one.caller_reference == asked for one in _backend().zones.values()):
        raise ApiError("HostedZoneAlreadyExists", f"A hosted zone has already been created with {asked}.", 409)


def _as_they_stand(call: Request) -> None:
    zone = _backend().zones.get(call.path.split("/hostedzone/")[-1].split("/")[0])
    there = {_key(one.name, one.type, one.set_identifier): one for one in zone.rrsets} if zone else {}
    for action, asked in _asked(call) if zone else ():
        name, kind = str(asked.findtext("Name")).rstrip(".") + ".", str(asked.findtext("Type"))
        found = there.get(_key(name, kind, asked.findtext("SetIdentifier")))
        what = f"resource record set [name='{name}', type='{kind}']"
        if action == "CREATE" and found:
            raise _batch(f"Tried to create {what} but it already exists")
        if action == "DELETE" and found is None:
            raise _batch(f"Tried to delete {what} but it was not found")
        if action == "DELETE" and not _same(asked, found):
            raise _batch(f"Tried to delete {what} but the values provided do not match the current values")


def _asked(call: Request) -> Iterator[tuple[str, Element]]:
    for change in _root(call).iter("Change"):
        record = change.find("ResourceRecordSet")
        if record is not None:
            yield str(change.findtext("Action")), record


def _same(asked: Element, found: Any) -> bool:
    values = [one.findtext("Value") for one in asked.iter("ResourceRecord")]
    ttl = asked.findtext("TTL")
    return sorted(map(str, values)) == sorted(map(str, found.records or ())) and (ttl or "") == str(found.ttl or "")


def _key(name: str, kind: str, identifier: str | None) -> tuple[str, str, str]:
    return ALIKE.sub("*", name.rstrip(".").lower()), kind, identifier or ""


def _batch(words: str) -> ApiError:
    return ApiError("InvalidChangeBatch", f"[{words}]")


def _root(call: Request) -> Element:
    return ElementTree.fromstring(NAMESPACE.sub(b"", call.body))
