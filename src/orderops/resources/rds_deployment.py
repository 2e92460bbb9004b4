"""The instances of an RDS blue/green deployment, by their names: green before the switchover, the old one after it.

RDS copies the tags of the database to green, and gives green the name and the endpoint of the database at the
switchover. So tags alone do not tell which of them the database is ("Switching a blue/green deployment" in the RDS user
guide). For a moment of the switchover nothing has the name of the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orderops.aws.ownership import ADDRESS, ROLE, Tags
from orderops.errors import OrderopsError

GREEN, OLD = "green", "former"
"""The roles of green, and of the instance that was the database before the switchover."""
PROMOTED_AS = "orderops:promoted-as"
"""The tag of an old instance that was made the database again, with its name: its other tags are its own."""
A_GREEN = re.compile(r"(?P<blue>.+)-green-[a-z0-9]{6}")
AN_OLD = re.compile(r"(?P<blue>.+)-old[0-9]+")


def told_apart(kind: str, name: str, tags: Tags) -> dict[str, str]:
    """The tags of an instance, without those that it shares with the database because of a deployment."""
    if tags.get(PROMOTED_AS) == name:
        return dict(tags)
    for pattern, role in ((A_GREEN, GREEN), (AN_OLD, OLD)):
        if ADDRESS in tags and tags[ADDRESS] != f"{kind}/{name}" and pattern.fullmatch(name):
            return {**tags, ADDRESS: f"{kind}/{name}-{role}", "Name": name, ROLE: role}
    return dict(tags)


def tags_when_promoted(name: str) -> dict[str, str]:
    """The tags that an instance of this name needs besides to be the database."""
    return {PROMOTED_AS: name} if AN_OLD.fullmatch(name) else {}


def green_of(name: str, names: Iterable[str]) -> str:
    """The name of the green instance of this one; "" if there is none."""
    found = ((other, A_GREEN.fullmatch(other)) for other in names)
    return next((other for other, match in found if match and match["blue"] == name), "")


def is_old(other: str, name: str) -> bool:
    """Whether an instance was the database of this name before a switchover, by its own name."""
    match = AN_OLD.fullmatch(other)
    return match is not None and match["blue"] == name


def held_by_green(name: str, green: str) -> OrderopsError:
    """Why the database is not changed while it has a green instance."""
    return OrderopsError(
        f"{name} has the green instance {green} of a blue/green deployment: RDS replicates to it, and a change of the "
        "database or its schema may end that",
        "go on with it, or give it up: orderops database upgrade --to VERSION --blue-green [--abandon]\n"
        "if it was made outside of orderops: aws rds describe-blue-green-deployments; then switch it over, or delete "
        "it with its green instance; then re-run this command",
    )


def switched_over(name: str, green: str) -> OrderopsError:
    """Why no database is made while only its green instance exists: it is about to get the name."""
    return OrderopsError(
        f"there is no {name}, and {green} is the green instance of its blue/green deployment: a new database would "
        "be empty, so none is made",
        f"wait until the switchover is over, which gives {green} the name {name}; then re-run this command",
    )
