"""Security group of a VPC, with its rules for incoming and outgoing connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ENVIRONMENT, Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Effect, Observed, Outputs, Properties, Resource
from orderops.frozen import Frozen
from orderops.resources.ec2_dependents import first, foreign_groups, foreign_interfaces
from orderops.resources.ec2_vpc import Ec2Vpc

DIRECTIONS = ("Ingress", "Egress")
# AWS's default quota of rules for each direction of a group.
MAX_RULES = 60
EVERYTHING = "everything"


class IngressRule(Frozen):
    """Opens `port` for `source` (the destination in egress): a CIDR, a prefix list, a security group, or its id.

    Protocol "-1" with port 0 allows all traffic.
    """

    port: int
    source: str | Ec2SecurityGroup
    description: str
    protocol: str = "tcp"


class Ec2SecurityGroup(Resource):
    """Allows only the traffic in `ingress` and `egress`."""

    vpc: Ec2Vpc
    description: str
    ingress: tuple[IngressRule, ...] = ()
    egress: tuple[IngressRule, ...] = ()

    kind: ClassVar[str] = "ec2-security-group"
    name_rule: ClassVar[NameRule | None] = NameRule(
        255, r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]+", "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*"
    )
    needs_unused_to_delete: ClassVar[bool] = True
    permits: ClassVar[bool] = True
    # DependencyViolation and InvalidGroup.InUse end when interfaces and rules of other groups are gone.
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {
            "InvalidVpcID.NotFound",
            "InvalidGroup.NotFound",
            "InvalidGroup.Duplicate",
            "InvalidGroup.InUse",
            "InvalidPermission.Duplicate",
            "InvalidPermission.NotFound",
            "DependencyViolation",
        }
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"VpcId", "Description"})
    # AWS may take over half an hour to delete the interfaces of a deleted load balancer.
    timeout: ClassVar[timedelta] = timedelta(minutes=45)

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.ec2.describe_security_groups, "SecurityGroups", Filters=owner.filters):
            yield _observed(raw)

    def occupant(self, aws: Aws, desired: Properties) -> Observed | None:
        filters = [
            {"Name": "vpc-id", "Values": [desired["VpcId"]]},
            {"Name": "group-name", "Values": [self.name]},
        ]
        return next(map(_observed, every(aws.ec2.describe_security_groups, "SecurityGroups", Filters=filters)), None)

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.ec2.create_tags(Resources=[observed.id], Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {
            "VpcId": outputs[self.vpc].id,
            "Description": self.description,
            "Ingress": _rule_lines(self.ingress, "from", outputs),
            "Egress": _rule_lines(self.egress, "to", outputs),
        }

    def widened(self, observed: Properties, desired: Properties) -> Properties:
        """Keep ports that are no longer desired open, and connections from other groups.

        An address range that is no longer desired on a port that stays is closed at once: nothing of the environment
        uses it.
        """
        return {**desired, **{key: _widened(observed.get(key) or (), desired[key]) for key in DIRECTIONS}}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.ec2.create_security_group(
            GroupName=self.name,
            Description=desired["Description"],
            VpcId=desired["VpcId"],
            TagSpecifications=owner.specification("security-group"),
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        for direction in DIRECTIONS:
            if direction in changed:
                _settle(aws, observed, direction, changed[direction])

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        _forget(aws, observed)
        aws.ec2.delete_security_group(GroupId=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return first(foreign_interfaces(aws, observed, "group-id"), foreign_groups(aws, observed))

    def effect(self, key: str, observed: Any, desired: Any) -> Effect:
        if key in DIRECTIONS:
            existing, requested = _by_traffic(observed or ()), _by_traffic(desired)
            moved = {peer_of(rule) for rule in requested.keys() - existing.keys()}
            closed = [rule for rule in existing.keys() - requested.keys() if peer_of(rule) not in moved]
            return Effect.INTERRUPTS if closed else Effect.SAFE
        return super().effect(key, observed, desired)


def _widened(observed: Iterable[str], desired: list[str]) -> list[str]:
    existing, requested = _by_traffic(observed), _by_traffic(desired)
    ports = {_ports(rule) for rule in requested}
    used = [
        existing[rule] for rule in existing if rule not in requested and (_ports(rule) not in ports or _group(rule))
    ]
    wide = sorted([*desired, *used])
    # With more than AWS allows, old rules make room for new ones.
    return wide if len(wide) <= MAX_RULES else desired


def _settle(aws: Aws, observed: Observed, direction: str, lines: list[str]) -> None:
    """Add missing rules, then revoke surplus ones, in turns where the group has no room for both."""
    # In this order, so that replacing a rule never interrupts its traffic.
    existing, requested = _by_traffic(observed.properties[direction]), _by_traffic(lines)
    word = direction.lower()
    missing = [requested[rule] for rule in requested if rule not in existing]
    surplus = [existing[rule] for rule in existing if rule not in requested]
    room = MAX_RULES - len(existing)
    while missing:
        if room <= 0 and surplus:
            # Half of a full group at most: the other half goes on serving meanwhile.
            leaving = surplus[: min(len(missing), MAX_RULES // 2)]
            _send(aws, f"revoke_security_group_{word}", observed, leaving)
            surplus, room = surplus[len(leaving) :], room + len(leaving)
        # Without room and without surplus, AWS decides: the quota of an account may be higher.
        coming = missing[:room] if room > 0 else missing
        _send(aws, f"authorize_security_group_{word}", observed, coming)
        missing, room = missing[len(coming) :], room - len(coming)
    # AWS refuses the same rule with another description as a duplicate, so descriptions are updated in place.
    renamed = [requested[rule] for rule in requested if rule in existing and requested[rule] != existing[rule]]
    _send(aws, f"update_security_group_rule_descriptions_{word}", observed, renamed)
    _send(aws, f"revoke_security_group_{word}", observed, surplus)


def _forget(aws: Aws, observed: Observed) -> None:
    """Remove the group from the rules of other owned groups."""
    # AWS refuses to delete a security group that a rule names.
    environment = (observed.tags or {}).get(ENVIRONMENT)
    others = Ec2SecurityGroup.listing(aws, Ownership(environment)) if environment else ()
    for other in others:
        for direction in DIRECTIONS:
            naming = [line for line in other.properties[direction] if peer_of(line) == observed.id]
            if other.id != observed.id:
                _send(aws, f"revoke_security_group_{direction.lower()}", other, naming)


def _send(aws: Aws, operation: str, observed: Observed, lines: list[str]) -> None:
    if lines:
        getattr(aws.ec2, operation)(GroupId=observed.id, IpPermissions=[_permission(line) for line in lines])


def _observed(raw: Mapping[str, Any]) -> Observed:
    owner = raw.get("OwnerId", "")
    properties = {
        "VpcId": raw["VpcId"],
        "Description": raw["Description"],
        "Ingress": sorted(_observed_lines(raw.get("IpPermissions") or (), "from", owner)),
        "Egress": sorted(_observed_lines(raw.get("IpPermissionsEgress") or (), "to", owner)),
    }
    arn = raw.get("SecurityGroupArn", "")
    return Observed(raw["GroupId"], properties, from_pairs(raw.get("Tags")), name=raw["GroupName"], arn=arn)


def _rule_lines(rules: Iterable[IngressRule], word: str, outputs: Outputs) -> list[str]:
    """One line for each rule, without duplicates, which AWS does not keep."""
    lines = {}
    for rule in rules:
        traffic = EVERYTHING if rule.protocol == "-1" else f"{rule.protocol} {rule.port}"
        if isinstance(rule.source, Ec2SecurityGroup):
            source, peer = rule.source.address, outputs[rule.source].id
        else:
            known = rule.source.startswith(("pl-", "sg-"))
            source = peer = rule.source if known else str(ip_network(rule.source, strict=False))
        lines[traffic, source] = _line(traffic, word, peer, rule.description)
    return sorted(lines.values())


def _observed_lines(permissions: Iterable[Mapping[str, Any]], word: str, owner: str) -> Iterator[str]:
    """One line for each rule. AWS groups rules by protocol and port."""
    for raw in permissions:
        for peer, description in _peers(raw, owner):
            yield _line(_traffic(raw), word, peer, description)


def _peers(raw: Mapping[str, Any], owner: str) -> Iterator[tuple[str, str]]:
    for key, member in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId")):
        for entry in raw.get(key) or ():
            yield entry[member], entry.get("Description", "")
    for pair in raw.get("UserIdGroupPairs") or ():
        account = pair.get("UserId", owner)
        group = pair["GroupId"] if account == owner else f"{account}/{pair['GroupId']}"
        yield group, pair.get("Description", "")


def _traffic(raw: Mapping[str, Any]) -> str:
    protocol, first, last = raw["IpProtocol"], raw.get("FromPort", -1), raw.get("ToPort", -1)
    if protocol == "-1":
        return EVERYTHING
    if first == -1:
        return str(protocol)
    return f"{protocol} {first}" if first == last else f"{protocol} {first}-{last}"


def _line(traffic: str, word: str, peer: str, description: str) -> str:
    return f"{traffic} {word} {peer}" + (f" ({description})" if description else "")


def _by_traffic(lines: Iterable[str]) -> dict[str, str]:
    """The lines by the traffic that they allow, without the description."""
    return {line.partition(" (")[0]: line for line in lines}


def peer_of(line: str) -> str:
    """The address range, prefix list or group of a rule's line."""
    return line.partition(" (")[0].rpartition(" ")[2]


def port_of(line: str) -> int | None:
    """The port of a rule's line; None if the rule has none, or several."""
    port = _ports(line.partition(" (")[0]).rpartition(" ")[2]
    return int(port) if port.isdigit() else None


def _ports(rule: str) -> str:
    """The traffic of a rule without its peer, such as "tcp 80"."""
    return rule.rsplit(" ", 2)[0]


def _group(rule: str) -> bool:
    return "sg-" in peer_of(rule)


def _permission(line: str) -> dict[str, Any]:
    """The rule of a line in the form of the API."""
    rule, _, description = line.partition(" (")
    protocol, *ports = rule.split(" ")[:-2]
    described = {"Description": description[:-1]} if description else {}
    return {**_traffic_of(protocol, ports), **_peer_in_call(peer_of(line), described)}


def _traffic_of(protocol: str, ports: list[str]) -> dict[str, Any]:
    if protocol == EVERYTHING:
        return {"IpProtocol": "-1"}
    if not ports:
        return {"IpProtocol": protocol, "FromPort": -1, "ToPort": -1}
    first, _, last = ports[0].partition("-")
    return {"IpProtocol": protocol, "FromPort": int(first), "ToPort": int(last or first)}


def _peer_in_call(peer: str, described: Mapping[str, str]) -> dict[str, Any]:
    if "sg-" in peer:
        account, _, group = peer.rpartition("/")
        return {"UserIdGroupPairs": [{"GroupId": group, **({"UserId": account} if account else {}), **described}]}
    if peer.startswith("pl-"):
        return {"PrefixListIds": [{"PrefixListId": peer, **described}]}
    if ":" in peer:
        return {"Ipv6Ranges": [{"CidrIpv6": peer, **described}]}
    return {"IpRanges": [{"CidrIp": peer, **described}]}
