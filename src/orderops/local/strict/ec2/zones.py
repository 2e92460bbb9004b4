"""Zones that are no ordinary availability zones: an account that has opted in to a Local Zone gets it listed, too."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from orderops.local.emulator.protocol import Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.xml import edited

# From the list of AWS Local Zones: zone name and zone id, by the parent region.
LOCAL_ZONES = {
    "ap-southeast-2": ("ap-southeast-2-per-1a", "apse2-per1-az1"),
    "us-east-1": ("us-east-1-bos-1a", "use1-bos1-az1"),
    "us-west-2": ("us-west-2-lax-1a", "usw2-lax1-az1"),
}


def register(emulator: Emulator, _delays: Delays) -> None:
    """List the Local Zone of the region unless a filter leaves it out."""
    emulator.on_after("ec2", "DescribeAvailabilityZones", _add_local_zone)


def _add_local_zone(request: Request, response: Response) -> Response | None:
    filters = {entry["Name"]: entry.get("Value", []) for entry in request.parameters.get("Filter", ())}
    zone = LOCAL_ZONES.get(request.region)
    excluded = "local-zone" not in filters.get("zone-type", ["local-zone"]) or "ZoneName.1" in request.form
    if zone is None or excluded or "opt-in-not-required" in filters.get("opt-in-status", ()):
        return None

    def add(root: Element) -> None:
        listing = root.find("availabilityZoneInfo")
        if listing is None:
            return
        item = SubElement(listing, "item")
        values = {
            "zoneName": zone[0],
            "zoneId": zone[1],
            "zoneState": "available",
            "zoneType": "local-zone",
            "optInStatus": "opted-in",
            "groupName": zone[0][:-1],
            "regionName": request.region,
            "parentZoneName": f"{request.region}a",
        }
        for key, text in values.items():
            SubElement(item, key).text = text

    return edited(response, add)
