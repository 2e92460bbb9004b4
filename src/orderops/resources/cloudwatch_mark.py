"""The owner of an alarm, written after its description, so that one listing shows the owners of all alarms."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from orderops.aws.ownership import ADDRESS, ENVIRONMENT, Tags

LONGEST_DESCRIPTION = 1024
MARK = re.compile(rf" ?\[({ENVIRONMENT}=[^\]]*)\]$")


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
