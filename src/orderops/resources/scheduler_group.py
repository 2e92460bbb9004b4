"""Schedule group of EventBridge Scheduler: schedules have no tags, so their group says whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from orderops.aws.client import Aws, if_found
from orderops.aws.ownership import Ownership, Tags, from_pairs, to_pairs
from orderops.engine.features import Feature
from orderops.engine.names import NameRule
from orderops.engine.resource import Observed, Outputs, Properties, Resource, State

FEATURE = Feature("scheduler")
NAME_RULE = NameRule(64, r"[0-9a-zA-Z_.-]+", "letters, digits and _.-")


class SchedulerGroup(Resource):
    """The group of all schedules of an environment. AWS deletes what is left in it together with it."""

    kind: ClassVar[str] = "scheduler-group"
    name_rule: ClassVar[NameRule | None] = NAME_RULE
    arn_form: ClassVar[str] = "arn:{partition}:scheduler:{region}:{account}:schedule-group/{name}"
    feature: ClassVar[Feature | None] = FEATURE
    retryable_errors: ClassVar[frozenset[str]] = frozenset({"ConflictException", "ResourceNotFoundException"})

    @classmethod
    def listing(cls, aws: Aws, owner: Ownership) -> Iterator[Observed]:
        # An environment has one group, so its name is known, and those of all other environments are not read.
        name = owner.name or name_of(owner.environment)
        raw = if_found(aws.scheduler.get_schedule_group, "ResourceNotFoundException", Name=name)
        if raw:
            state = State.GOING if raw["State"] == "DELETING" else State.READY
            yield Observed(name, name=name, arn=raw["Arn"], state=state, status=raw["State"])

    @classmethod
    def tags(cls, aws: Aws, observed: Observed) -> Tags:
        return from_pairs(aws.scheduler.list_tags_for_resource(ResourceArn=observed.arn).get("Tags"))

    @classmethod
    def retag(cls, aws: Aws, observed: Observed, tags: Tags) -> None:
        aws.scheduler.tag_resource(ResourceArn=observed.arn, Tags=to_pairs(tags))

    def desired(self, outputs: Outputs) -> Properties:
        return {}

    def create(self, aws: Aws, desired: Properties, owner: Ownership) -> None:
        aws.scheduler.create_schedule_group(Name=self.name, Tags=owner.pairs)

    def update(self, aws: Aws, observed: Observed, changed: Properties) -> None:
        """Do nothing: a group has nothing but its tags."""

    @classmethod
    def delete(cls, aws: Aws, observed: Observed) -> None:
        aws.scheduler.delete_schedule_group(Name=observed.name)


def name_of(environment: str) -> str:
    """The name of the group of an environment."""
    return f"orderops-{environment}"
