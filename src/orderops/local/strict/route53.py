"""Route 53: which changes of records are refused, which zones a look-up lists, and how names are returned.

From the Route 53 API reference (ChangeResourceRecordSets, ListHostedZonesByName) and the developer guide, "DNS domain
name format".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.etree.ElementTree import Element, fromstring

from moto.backends import get_backend

from orderops.local.apigateway.store import every_domain
from orderops.local.emulator.partition import global_backend
from orderops.local.emulator.protocol import ApiError, Request, Response
from orderops.local.emulator.server import Emulator
from orderops.local.strict.delays import Delays
from orderops.local.strict.xml import edited

Records = dict[tuple[str, str], Any]


def register(emulator: Emulator, _delays: Delays) -> None:
    """Reject batches that AWS rejects, and answer look-ups as AWS does."""

    def from_name_on(request: Request) -> Response | None:
        query = parse_qs(request.environ.get("QUERY_STRING", ""))
        name = (query.get("dnsname") or [""])[0]
        for hook in emulator.before.get(("route53", "ListHostedZonesByName"), ()):
            hook(request)
        everything = emulator.call_moto(request, {**request.unchanged(), "QUERY_STRING": ""})
        return edited(everything, lambda root: _leave_out(root, name)) if everything.ok else None

    emulator.on_before("route53", "ChangeResourceRecordSets", _check_batch)
    # moto lists zones of exactly that name; AWS lists all from there on.
    emulator.instead["route53", "ListHostedZonesByName"] = from_name_on
    emulator.on_after("route53", "ListResourceRecordSets", _escape)


def _check_batch(request: Request) -> None:
    zone = _zone_in(request)
    if zone is None:
        return
    # moto refuses to make a record again that was deleted; what exists is checked here.
    for done in zone.rr_changes:
        done["Action"] = done["Action"].replace("CREATE", "UPSERT")
    # A batch is applied as a whole, each change to what the ones before it left.
    records: Records = {(record.name.lower(), record.type): _of_moto(record) for record in zone.rrsets}
    for change in _without_namespaces(fromstring(request.body)).iter("Change"):
        if problem := _problem(change, records, zone.name):
            raise ApiError("InvalidChangeBatch", f"[{problem}]")


def _zone_in(request: Request) -> Any:
    zones = global_backend("route53", request.region).zones
    return next((zones[part] for part in request.path.split("/") if part in zones), None)


def _problem(change: Element, records: Records, apex: str) -> str:
    """Why AWS rejects a change; else apply it to the records."""
    action, name, kind = (change.findtext(path, "") for path in ("Action", ".//Name", ".//Type"))
    name = f"{name.rstrip('.').lower()}."
    wanted, found = _of_request(change), records.get((name, kind))
    what = f"resource record set [name='{name}', type='{kind}']"
    if action == "DELETE":
        if found is None:
            return f"Tried to delete {what} but it was not found"
        if found != wanted:
            return f"Tried to delete {what} but the values provided do not match the current values"
        del records[name, kind]
        return ""
    if action == "CREATE" and found is not None:
        return f"Tried to create {what} but it already exists"
    if problem := _conflict(name, kind, wanted, records, apex):
        return problem
    records[name, kind] = wanted
    return ""


def _conflict(name: str, kind: str, wanted: tuple[Any, ...], records: Records, apex: str) -> str:
    """Why AWS rejects a record beside the others."""
    others = {other for known, other in records if known == name and other != kind}
    if kind == "CNAME" and name == f"{apex.rstrip('.').lower()}.":
        return f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {apex}"
    if ("CNAME" in others) or (kind == "CNAME" and others):
        return f"RRSet of type {kind} with DNS name {name} is not permitted as it conflicts with other records"
    if wanted[0] == "alias" and not _lies_within(wanted[1], wanted[2]):
        return (
            f"Tried to create an alias that targets {wanted[2]}, type {kind} in zone {wanted[1]}, "
            "but the alias target name does not lie within the target zone"
        )
    return ""


def _lies_within(zone: str, target: str) -> bool:
    """Whether a load balancer, or a domain name of API Gateway, with this DNS name is in this hosted zone of AWS."""
    name = target.lower().rstrip(".").removeprefix("dualstack.")
    gateways = (record["domain"]["domainNameConfigurations"][0] for _, record in every_domain())
    if any((one["apiGatewayDomainName"], one["hostedZoneId"]) == (name, zone) for one in gateways):
        return True
    return any(
        (balancer.dns_name.lower(), balancer.canonical_hosted_zone_id) == (name, zone)
        for _, _, elb in get_backend("elbv2").iter_backends()
        for balancer in elb.load_balancers.values()
    )


def _of_moto(record: Any) -> tuple[Any, ...]:
    if record.alias_target:
        return _alias(record.alias_target)
    return ("values", str(record.ttl), tuple(sorted(record.records)))


def _of_request(change: Element) -> tuple[Any, ...]:
    if (alias := next(change.iter("AliasTarget"), None)) is not None:
        return _alias({child.tag: child.text or "" for child in alias})
    values = (value.text or "" for record in change.iter("ResourceRecord") for value in record.iter("Value"))
    return ("values", change.findtext(".//TTL", ""), tuple(sorted(values)))


def _alias(target: Mapping[str, Any]) -> tuple[Any, ...]:
    name = f"{str(target['DNSName']).lower().rstrip('.')}."
    return ("alias", target["HostedZoneId"], name, str(target["EvaluateTargetHealth"]).lower())


def _leave_out(root: Element, name: str) -> None:
    """Leave out the zones before a name; AWS sorts names by their labels from the last one on."""
    for zones in root.iter():
        if zones.tag.rpartition("}")[2] != "HostedZones":
            continue
        for zone in list(zones):
            found = next((child.text or "" for child in zone if child.tag.rpartition("}")[2] == "Name"), "")
            if _reversed(found) < _reversed(name):
                zones.remove(zone)


def _reversed(name: str) -> list[str]:
    return name.lower().rstrip(".").split(".")[::-1]


def _escape(_request: Request, response: Response) -> Response:
    def escape(root: Element) -> None:
        for record in root.iter():
            if record.tag.rpartition("}")[2] == "Name" and record.text:
                record.text = record.text.replace("*", "\\052")

    return edited(response, escape)


def _without_namespaces(root: Element) -> Element:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
