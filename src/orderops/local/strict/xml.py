"""Edit moto's XML responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from orderops.local.emulator.protocol import Response

NAMESPACE = re.compile(rb' xmlns="([^"]*)"')


def edited(response: Response, change: Callable[[Element], object]) -> Response:
    """Return the response after `change` was applied to its root, whose elements have no namespace."""
    namespace = NAMESPACE.search(response.body)
    root = ElementTree.fromstring(NAMESPACE.sub(b"", response.body))
    change(root)
    if namespace:
        root.set("xmlns", namespace.group(1).decode())
    return replace(response, body=ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def parents_with(root: Element, name: str, text: str | None = None) -> Iterator[Element]:
    """Yield every element that has a child of this name, and with this text if given."""
    for parent in root.iter():
        child = parent.find(name)
        if child is not None and text in (None, child.text):
            yield parent


def set_child(parent: Element, name: str, text: str) -> None:
    """Set the text of a child element, adding it if missing."""
    child = parent.find(name)
    if child is None:
        child = ElementTree.SubElement(parent, name)
    child.text = text
