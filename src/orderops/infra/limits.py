"""Limits of AWS on the names that an environment declares, checked before anything is created.

The names come from the stack itself, so that no resource can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from orderops.aws.partition import partition_of
from orderops.config.environment import Environment, load_environment, refuse
from orderops.config.loader import Key, Mistake
from orderops.engine.names import LONGEST_TAG_VALUE, NameRule
from orderops.engine.resource import Resource
from orderops.errors import UsageError
from orderops.frozen import Frozen
from orderops.infra.service import release_of
from orderops.infra.stack import NO_IMAGE, Stack, stack
from orderops.resources.iam_service_linked_role import IamServiceLinkedRole
from orderops.resources.rds_description import RESTORED_ROLES, restored_name
from orderops.resources.rds_restored_instance import RdsRestoredInstance

ANY_ACCOUNT = "0" * 12
# Every moment has a text of the same length in a name.
ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
TAG_VALUE = NameRule(LONGEST_TAG_VALUE, r"[\w .:/=+@-]+", "letters, digits, spaces and _.:/=+-@")


class DeclaredName(Frozen):
    """A name that orderops gives to a resource, and the key of the file that it comes from."""

    kind: type[Resource]
    name: str
    key: Key
    source: str
    """What the operator named there: an environment, a service or a secret."""

    @property
    def address(self) -> str:
        return f"{self.kind.kind}/{self.name}"


def checked_environment(name: str, folder: Path | None) -> Environment:
    """Read an environment and check the names that it implies. Raises UsageError with every mistake in its file."""
    environment = load_environment(name, folder)
    # The names contain the partition, so it comes first.
    refuse(name, folder, partition_mistakes(environment))
    declared = stack(environment, environment.account or ANY_ACCOUNT)
    refuse(name, folder, taken_names(declared))
    refuse(name, folder, name_mistakes(names_in(declared)))
    return environment


def names_in(declared: Stack) -> Iterator[DeclaredName]:
    """Every name that the stack of an environment declares, and those of restored instances, copies and drills."""
    environment = declared.environment
    of_services = dict(_names_of_services(declared))
    for resource in [*declared.infra, *declared.release({})]:
        yield of_services.get(resource.address) or DeclaredName(
            type(resource), resource.name, ("name",), environment.name
        )
    for role in RESTORED_ROLES:
        restored = restored_name(declared.database.name, role, ANY_MOMENT)
        yield DeclaredName(RdsRestoredInstance, restored, ("name",), environment.name)


def taken_names(declared: Stack) -> Iterator[Mistake]:
    """Services whose name gives a resource the address of another one, so that only one of the two would be made."""
    of_services = dict(_names_of_services(declared))
    known: dict[str, Resource] = {}
    for resource in [*declared.infra, *declared.release({})]:
        other = known.setdefault(resource.address, resource)
        # Each that needs a linked role declares the same one.
        of_account = isinstance(resource, IamServiceLinkedRole)
        if other is not resource and not of_account and resource.address in of_services:
            name = of_services[resource.address]
            message = f"{resource.address} is a resource of the environment already; give the service another name"
            yield Mistake(name.key, name.source, message)


def partition_mistakes(environment: Environment) -> Iterator[Mistake]:
    """A region that AWS does not have, and a permissions boundary of another partition than the region's."""
    try:
        partition = partition_of(environment.region)
    except UsageError as error:
        yield Mistake(("region",), environment.region, error.message.removeprefix(f"{environment.region} "))
        return
    boundary = environment.iam.permissions_boundary
    if boundary and boundary.split(":")[1] != partition:
        yield Mistake(("iam", "permissions_boundary"), boundary, f"is not in the partition of the region, {partition}")


def name_mistakes(names: Iterable[DeclaredName]) -> Iterator[Mistake]:
    """The first mistake of each key: a name that AWS would refuse, or whose address does not fit in a tag."""
    seen: set[Key] = set()
    for name in names:
        if name.key not in seen and (mistake := _mistake(name)):
            seen.add(name.key)
            yield mistake


def _names_of_services(declared: Stack) -> Iterator[tuple[str, DeclaredName]]:
    for service, base in declared.services.items():
        key: Key = ("services", service)
        for resource in [*base.resources(), *release_of(declared.context, base, NO_IMAGE)]:
            # Other resources in the lists, such as linked roles, do not have the name of the service.
            if service in resource.name:
                yield resource.address, DeclaredName(type(resource), resource.name, key, service)
        for index, (variable, secret) in enumerate(base.secrets.items()):
            yield secret.address, DeclaredName(type(secret), secret.name, (*key, "secrets", index), variable)
        if token := base.token:
            source = str(base.declared.token_secret)
            yield token.address, DeclaredName(type(token), token.name, (*key, "token_secret"), source)


def _mistake(name: DeclaredName) -> Mistake | None:
    rules = [(name.name, name.kind.name_rule), (name.address, None if name.kind.untagged else TAG_VALUE)]
    for text, rule in rules:
        if rule is None:
            continue
        if excess := rule.excess(text):
            longest = len(name.source) - excess
            shorter = f"shorten {name.source} to {longest} characters" if longest > 0 else "shorten the names in it"
            counted = f"{text} would have {len(text)} characters, and AWS allows {rule.longest}"
            return Mistake(name.key, name.source, f"{counted}; {shorter}")
        if not rule.allows(text):
            return Mistake(
                name.key, name.source, f"{text} is not allowed as the name of {name.kind.kind}: {rule.allowed}"
            )
    return None
