"""Twins: several resources that carry one address.

An address is only a tag. A person, another tool or a copied resource can carry it as well, and then it does not say
which one is meant: deleting one for the other loses data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from orderops.aws.ownership import ADDRESS
from orderops.engine.inventory import Key, Owned
from orderops.errors import OrderopsError


def check_no_twins(
    found: Iterable[Owned], holds: Mapping[Key, str], delete: str, *, named: Collection[str] = ()
) -> None:
    """Raise OrderopsError for an address that several resources carry, unless each of them is named by its identity.

    `delete` is the command that deletes them, to which `--only` and `--confirm` are added.
    """
    for address, twins in _twins(found).items():
        names = identities(twins)
        if {*names} <= {*named}:
            continue
        described = [
            f"{name} ({_described(twin, holds.get(twin.key, ''))})" for name, twin in zip(names, twins, strict=True)
        ]
        confirmed = " ".join(f"--confirm {name}" for name in names)
        raise OrderopsError(
            f"{address} was found {len(twins)} times, nothing was deleted:\n" + "\n".join(described),
            f"remove the tag {ADDRESS} from those that are not the environment's, then re-run this command\n"
            f"or, to delete all of them: {delete} --only {address} {confirmed}",
        )


def identities(twins: Sequence[Owned]) -> list[str]:
    """Their names in AWS where these differ; else their ids, since a name can be a tag that all of them carry."""
    names = [twin.own_name for twin in twins]
    return names if len({*names}) == len(twins) else [twin.observed.id for twin in twins]


def _twins(found: Iterable[Owned]) -> dict[str, list[Owned]]:
    by_address: dict[str, list[Owned]] = {}
    for owned in found:
        by_address.setdefault(owned.address, []).append(owned)
    return {address: twins for address, twins in by_address.items() if len(twins) > 1}


def _described(twin: Owned, data: str) -> str:
    return f"{twin.kind.kind}, holds {data}" if data else f"{twin.kind.kind}, holds nothing"
