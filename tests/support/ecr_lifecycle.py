"""The lifecycle policy of an ECR repository, evaluated as AWS documents it.

ECR User Guide, "Automate the cleanup of images by using lifecycle policies", lifecycle policy evaluation rules:

- an image is expired by exactly one or zero rules;
- an image that matches the tagging requirements of a rule cannot be expired by a rule with a lower priority;
- rules can never mark images that are marked by higher priority rules, but can still identify them as if they had not
  been expired;
- expiration is ordered by push time, older images first;
- an image matches a list of prefixes if each prefix matches one of its tags;
- an image that a manifest list refers to cannot be expired before that list is deleted.

An artifact that refers to an image is counted like one (aws/containers-roadmap#2613), and is deleted with the image
that it refers to ("Amazon ECR supports OCI Image and Distribution specification version 1.1", June 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Image:
    """An image in a repository; `children` are the digests that a manifest list refers to.

    `subject` is the digest of the image that an artifact refers to.
    """

    digest: str
    pushed: datetime
    tags: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    subject: str = ""


def expired(policy: Mapping[str, Any], images: Sequence[Image], now: datetime) -> set[str]:
    """Return the digests that the policy deletes."""
    referenced = {child for image in images for child in image.children}
    claimed: set[str] = set()
    gone: set[str] = set()
    for rule in sorted(policy["rules"], key=lambda rule: rule["rulePriority"]):
        selection = rule["selection"]
        matching = sorted((image for image in images if _matches(selection, image)), key=lambda image: image.pushed)
        for image in _over_the_limit(selection, matching, now):
            if image.digest not in claimed | referenced:
                gone.add(image.digest)
        claimed |= {image.digest for image in matching}
    return gone | {image.digest for image in images if image.subject in gone}


def _matches(selection: Mapping[str, Any], image: Image) -> bool:
    match selection["tagStatus"]:
        case "untagged":
            return not image.tags
        case "tagged":
            return all(any(tag.startswith(prefix) for tag in image.tags) for prefix in selection["tagPrefixList"])
        case "any":
            return True
    raise ValueError(f"tagStatus {selection['tagStatus']}")


def _over_the_limit(selection: Mapping[str, Any], oldest_first: Sequence[Image], now: datetime) -> Sequence[Image]:
    match selection["countType"]:
        case "imageCountMoreThan":
            return oldest_first[: max(0, len(oldest_first) - selection["countNumber"])]
        case "sinceImagePushed":
            assert selection["countUnit"] == "days"
            return [image for image in oldest_first if now - image.pushed > timedelta(days=selection["countNumber"])]
    raise ValueError(f"countType {selection['countType']}")
