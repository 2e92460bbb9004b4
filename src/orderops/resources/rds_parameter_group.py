"""RDS parameter group: PostgreSQL settings of a database instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar

from orderops.aws.client import Aws, every
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource
from orderops.frozen import field, replace
from orderops.resources.ec2_dependents import named
from orderops.resources.rds_subnet_group import foreign_instances

DESCRIPTION = "PostgreSQL settings of the database"
MOST_A_CALL = 20
BOOLEANS = {"on": "1", "true": "1", "yes": "1", "off": "0", "false": "0", "no": "0"}


class RdsParameterGroup(Resource):
    """Settings that differ from those of `family`, such as postgres16. Static ones take effect at the next reboot."""

    family: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "rds-parameter-group"
    name_rule: ClassVar[NameRule | None] = NameRule(
        255, r"[a-z](-?[a-z0-9])*", "lower-case letters, digits and single inner hyphens, a letter first"
    )
    needs_unused_to_delete: ClassVar[bool] = True
    retryable_errors: ClassVar[frozenset[str]] = frozenset(
        {"DBParameterGroupNotFound", "DBParameterGroupAlreadyExists", "InvalidDBParameterGroupState"}
    )
    immutable: ClassVar[frozenset[str]] = frozenset({"DBParameterGroupFamily"})
    replacement_hint: ClassVar[str] = "give the group of the new family another name, and its instance the new group"

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        for raw in every(aws.rds.describe_db_parameter_groups, "DBParameterGroups"):
            if raw["DBParameterGroupName"].startswith(owner.prefix):
                yield Observed(
                    raw["DBParameterGroupName"],
                    {"DBParameterGroupFamily": raw["DBParameterGroupFamily"]},
                    name=raw["DBParameterGroupName"],
                    arn=raw["DBParameterGroupArn"],
                )

    def detail(self, aws: Aws, observed: Observed) -> Observed:
        parameters: dict[str, str] = {}
        # RDS returns a parameter that was set to the family's default as one of the system or of the engine
        # (hashicorp/terraform-provider-aws#23335). The engine has four hundred, so those are read last.
        for source in ("user", "system", "engine-default"):
            read = aws.rds.describe_db_parameters
            for raw in every(read, "Parameters", DBParameterGroupName=observed.id, Source=source):
                if "ParameterValue" in raw and (source == "user" or raw["ParameterName"] in self.parameters):
                    parameters[raw["ParameterName"]] = self._value(raw)
            if self.parameters.keys() <= parameters.keys():
                break
        return replace(observed, properties={**observed.properties, "Parameters": parameters})

    def _value(self, raw: Mapping[str, Any]) -> str:
        """The observed value, in the requested spelling if both mean the same."""
        observed, wanted = str(raw["ParameterValue"]), self.parameters.get(raw["ParameterName"])
        kind = raw.get("DataType", "")
        return wanted if wanted is not None and _meaning(kind, wanted) == _meaning(kind, observed) else observed

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.rds.list_tags_for_resource(ResourceName=observed.arn)["TagList"])

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.rds.add_tags_to_resource(ResourceName=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {"DBParameterGroupFamily": self.family, "Parameters": dict(self.parameters)}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.rds.create_db_parameter_group(
            DBParameterGroupName=self.name,
            DBParameterGroupFamily=desired["DBParameterGroupFamily"],
            Description=DESCRIPTION,
            Tags=owner.pairs,
        )

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        existing, wanted = observed.properties["Parameters"], changed["Parameters"]
        dynamic = _dynamic(aws, observed.id)
        differing = [name for name, value in wanted.items() if existing.get(name) != value]
        surplus = [name for name in existing if name not in wanted]
        for some in _batches(_parameter(name, dynamic) | {"ParameterValue": wanted[name]} for name in differing):
            aws.rds.modify_db_parameter_group(DBParameterGroupName=observed.id, Parameters=some)
        for some in _batches(_parameter(name, dynamic) for name in surplus):
            aws.rds.reset_db_parameter_group(
                DBParameterGroupName=observed.id, Parameters=some, ResetAllParameters=False
            )

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.rds.delete_db_parameter_group(DBParameterGroupName=observed.id)

    @classmethod
    def blockers(cls, aws: Aws, observed: Observed) -> str:
        return named(foreign_instances(aws, observed, _groups))


def _groups(raw: Mapping[str, Any]) -> list[str | None]:
    return [group["DBParameterGroupName"] for group in raw.get("DBParameterGroups", ())]


def _dynamic(aws: Aws, group: str) -> set[str]:
    """The parameters that take effect without a reboot; for others AWS refuses `immediate`."""
    found = every(aws.rds.describe_db_parameters, "Parameters", DBParameterGroupName=group)
    return {raw["ParameterName"] for raw in found if raw.get("ApplyType") == "dynamic"}


def _meaning(kind: str, value: str) -> Any:
    """What a value of this DataType means: RDS returns `1` for `on`, and lists without spaces."""
    text = value.strip()
    if kind == "boolean":
        return BOOLEANS.get(text.lower(), text)
    if kind == "list":
        return [item.strip() for item in text.split(",")]
    # Formulas such as {DBInstanceClassMemory/32768} are compared without spaces.
    if kind in ("integer", "float"):
        with suppress(ValueError):
            return float(text)
        return "".join(text.split())
    return value


def _parameter(name: str, dynamic: set[str]) -> dict[str, str]:
    return {"ParameterName": name, "ApplyMethod": "immediate" if name in dynamic else "pending-reboot"}


def _batches(parameters: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    left = iter(parameters)
    while some := list(islice(left, MOST_A_CALL)):
        yield some
