"""The availability zones of an environment: as its file names them, as its subnets have them, else as AWS offers them.

A subnet cannot move. So AWS's list, which may change its order, decides only about zones that no subnet has yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orderops.aws.client import Aws
from orderops.config.environment import Environment
from orderops.config.network import TIERS
from orderops.errors import OrderopsError
from orderops.resources.ec2_zones import offered_zones, zones_by_cidr


def zones_of(aws: Aws, environment: Environment) -> tuple[str, ...]:
    """Return the zones of the subnets, in the order of the subnets. Raises OrderopsError if AWS offers too few."""
    existing = zones_by_cidr(aws, environment.name)
    if named := environment.network.zone_names:
        if not set(named) <= set(existing.values()):
            _check_offered(environment, named, offered_zones(aws))
        return named
    chosen = dict(_kept(environment, existing))
    count = environment.network.zone_count
    if len(chosen) < count:
        offered = offered_zones(aws)
        unused = [zone for zone in dict.fromkeys([*existing.values(), *offered]) if zone not in chosen.values()]
        missing = [index for index in range(count) if index not in chosen]
        if len(unused) < len(missing):
            raise _too_few(environment, offered)
        chosen.update(zip(missing, unused, strict=False))
    return tuple(chosen[index] for index in range(count))


def nominal_zones(environment: Environment) -> tuple[str, ...]:
    """Return zones without reading the account, for what needs only the shape of a stack."""
    letters = "abc"[: environment.network.zone_count]
    return environment.network.zone_names or tuple(f"{environment.region}{letter}" for letter in letters)


def _kept(environment: Environment, existing: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The position of each zone in which a declared subnet exists."""
    for tier in TIERS:
        for index, cidr in enumerate(environment.network.subnets(tier)):
            if cidr in existing:
                yield index, existing[cidr]


def _check_offered(environment: Environment, named: Sequence[str], offered: Sequence[str]) -> None:
    unknown = [zone for zone in named if zone not in offered]
    if unknown:
        raise OrderopsError(
            f"{unknown[0]} is not offered to this account; {environment.region} offers it {', '.join(offered)}",
            f"correct zones under [network] in {environment.name}.toml",
        )


def _too_few(environment: Environment, offered: Sequence[str]) -> OrderopsError:
    hint = f"set zones = {len(offered)} under [network] in {environment.name}.toml, or use another region"
    return OrderopsError(
        f"{environment.region} offers {len(offered)} availability zones to this account ({', '.join(offered)}), "
        f"and {environment.name} declares {environment.network.zone_count}",
        hint if len(offered) > 1 else "use another region",
    )
