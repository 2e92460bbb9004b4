"""Changes to what moto answered in XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import Response

NAMESPACE = re.compile(rb' xmlns="([^"]*)"')


def edited(answer: Response, edit: Callable[[Element], object]) -> Response:
    """The answer after `edit` had its root, in which names stand without their namespace."""
    space = NAMESPACE.search(answer.body)
    root = ElementTree.fromstring(NAMESPACE.sub(b"", answer.body))
    edit(root)
    if space:
        root.set("xmlns", space.group(1).decode())
    return replace(answer, body=ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def having(root: Element, name: str, text: str | None = None) -> Iterator[Element]:
    """Every element below which one of this name stands at once, with this text if it is said."""
    for parent in root.iter():
        child = parent.find(name)
        if child is not None and text in (None, child.text):
            yield parent


def put(parent: Element, name: str, text: str) -> None:
    """Let a child of this name say this, and be there if it was not."""
    child = parent.find(name)
    if child is None:
        child = ElementTree.SubElement(parent, name)
    child.text = text
