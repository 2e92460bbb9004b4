"""A new environment file like an existing one: its text with another name and another address range."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from orderops.config.edit import BYTE_ORDER_MARK, with_values
from orderops.config.environment import Environment
from orderops.errors import OrderopsError

# Lists of subnets are addresses inside the range of the VPC, and go with it.
SUBNETS = ("public_subnets", "private_subnets", "isolated_subnets")
PRIVATE = IPv4Network("10.0.0.0/8")


def text_like(text: str, source: Environment, others: Iterable[Environment]) -> str:
    """Return the text of a file like that of `source`, with a free range for its VPC.

    `others` are all environments that the range must not overlap. Raises OrderopsError if none is free, or if the text
    sets what belongs to one environment alone.
    """
    document = tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))
    given = [key for key in SUBNETS if key in document.get("network", {})]
    if given:
        raise OrderopsError(
            f"{source.name}.toml sets {given[0]}, whose addresses belong to its own VPC",
            "copy an environment that derives its subnets from cidr, or write the file by hand",
        )
    taken = [IPv4Network(environment.network.cidr) for environment in others]
    own = IPv4Network(source.network.cidr)
    return with_values(text, {("network", "cidr"): str(_free(own, taken))})


def _free(own: IPv4Network, taken: list[IPv4Network]) -> IPv4Network:
    """The first range of the same size, after the own one if there is any, that overlaps none."""
    candidates = (network for network in _after(own) if not any(network.overlaps(other) for other in taken))
    found = next(candidates, None)
    if found is None:
        raise OrderopsError(
            f"no range of the size of {own} is free in {PRIVATE}",
            "remove an environment file that is not used, or set a smaller cidr in the one to copy",
        )
    return found


def _after(own: IPv4Network) -> Iterator[IPv4Network]:
    """Ranges of the same size in 10.0.0.0/8: those behind the own one first."""
    size, first = own.num_addresses, int(PRIVATE.network_address)
    count = PRIVATE.num_addresses // size
    start = (int(own.network_address) - first) // size + 1 if own.subnet_of(PRIVATE) else 0
    for number in (*range(start, count), *range(start)):
        yield IPv4Network((first + number * size, own.prefixlen))


def mentions(text: str, name: str) -> list[int]:
    """The lines of a text in which the name of an environment stands as a word, such as in a path or a comment."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])|orderops[-/]{re.escape(name)}(?![\w])")
    return [number for number, line in enumerate(text.split("\n"), 1) if word.search(line)]


def settings(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every setting of nested tables by its key; an empty table is a setting, too."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            found |= settings(value, (*above, name))
        else:
            found[(*above, name)] = value
    return found
