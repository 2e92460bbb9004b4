"""Hosted zones of Route 53 and the records in them. Zones are delegated by people, and never made here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.aws.client import Aws, if_found
from orderops.errors import OrderopsError


def zone_id(aws: Aws, zone: str) -> str:
    """The id of the public hosted zone with this name. Raises OrderopsError if there is none, or more than one."""
    found = _public(aws, zone)
    if len(found) == 1:
        return found[0]
    if found:
        raise OrderopsError(
            f"{len(found)} public hosted zones are named {zone}: {', '.join(found)}",
            "one of them is not delegated to: delete that one in Route 53, then re-run this command",
        )
    raise OrderopsError(
        f"this account has no public hosted zone {zone}",
        f"create it in Route 53 and have {zone} delegated to it; if another account or company serves it, set "
        'zone = "elsewhere" in [domain] and make the records by hand',
    )


def zones_above(aws: Aws, name: str) -> Iterator[str]:
    """The ids of the public hosted zones that can hold a record of this name, the closest first."""
    labels = name.rstrip(".").split(".")
    for start in range(len(labels)):
        yield from _public(aws, ".".join(labels[start:]))


def record_of(aws: Aws, zone: str, name: str, kind: str) -> dict[str, Any] | None:
    """The record set of this name and type in a zone, as Route 53 returns it; None if there is none."""
    answer = if_found(
        aws.route53.list_resource_record_sets,
        "NoSuchHostedZone",
        HostedZoneId=zone,
        StartRecordName=absolute(name),
        StartRecordType=kind,
        MaxItems="1",
    )
    for raw in answer["ResourceRecordSets"] if answer else ():
        # The listing begins at the first record that is not before this one, whatever its name.
        if (unescaped(raw["Name"]), raw["Type"]) == (absolute(name), kind):
            return dict(raw)
    return None


def change_records(aws: Aws, zone: str, *changes: tuple[str, Mapping[str, Any]]) -> None:
    """Change record sets, each by its action, in one batch: Route 53 applies it as a whole or not at all."""
    batch = [{"Action": action, "ResourceRecordSet": dict(record)} for action, record in changes]
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})


def absolute(name: str) -> str:
    """A name as Route 53 returns it: in lower case, with a dot at the end."""
    return f"{name.rstrip('.').lower()}."


def unescaped(name: str) -> str:
    r"""A name without Route 53's octal escapes, such as `\052` for `*`."""
    first, *rest = name.split("\\")
    return absolute(first + "".join(f"{chr(int(part[:3], 8))}{part[3:]}" for part in rest))


def _public(aws: Aws, zone: str) -> list[str]:
    """The ids of all public hosted zones with exactly this name; Route 53 lists the names from this one on."""
    answer = aws.route53.list_hosted_zones_by_name(DNSName=absolute(zone), MaxItems="100")
    return [
        str(raw["Id"]).rpartition("/")[2]
        for raw in answer["HostedZones"]
        if unescaped(raw["Name"]) == absolute(zone) and not raw.get("Config", {}).get("PrivateZone")
    ]
