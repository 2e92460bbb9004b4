"""The listing of all alarms, and the owner of each, written after its description so that the listing shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import quote, unquote

from orderops.aws.client import Aws, every
from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Tags, from_pairs
from orderops.engine.resource import Observed

LONGEST_DESCRIPTION = 1024
MARK = re.compile(rf" ?\[({ENVIRONMENT}=[^\]]*)\]$")


def described(aws: Aws, prefix: str, sort: Literal["MetricAlarms", "CompositeAlarms"]) -> Iterator[dict[str, Any]]:
    """The alarms of one sort whose names begin so, from a call that both sorts share."""
    # Without the types, AWS returns only metric alarms.
    kinds = ["MetricAlarm", "CompositeAlarm"]
    return every(aws.cloudwatch.describe_alarms, sort, AlarmNamePrefix=prefix, AlarmTypes=kinds, MaxRecords=100)


def marked(description: str, tags: Tags) -> str:
    """The description that the alarm's email shows, followed by the owner if there is room."""
    if ENVIRONMENT not in tags or ADDRESS not in tags:
        return description
    ordered = {ENVIRONMENT: tags[ENVIRONMENT], ADDRESS: tags[ADDRESS], **tags}
    parts = [f"{quote(key, safe=':/@+')}={quote(text, safe=':/@+')}" for key, text in ordered.items() if key != "Name"]
    marked_ = f"{description} [{' '.join(parts)}]"
    return marked_ if len(marked_) <= LONGEST_DESCRIPTION else description


def unmarked(description: str) -> tuple[str, dict[str, str]]:
    """The description without its mark, and the tags in the mark."""
    mark = MARK.search(description)
    if not mark:
        return description, {}
    pairs = (word.partition("=") for word in mark[1].split(" "))
    return description[: mark.start()], {unquote(key): unquote(text) for key, _, text in pairs}


def owner_of(aws: Aws, observed: Observed, kind: str) -> Tags:
    """The tags of an alarm of this kind: those of its mark, or else what AWS lists."""
    found: Tags = observed.properties["Mark"]
    # An alarm copied in the console has the mark of its original.
    if found.get(ADDRESS) == f"{kind}/{observed.name}":
        return {**found, "Name": observed.name}
    return from_pairs(aws.cloudwatch.list_tags_for_resource(ResourceARN=observed.arn).get("Tags"))
