"""The partition of a region: the start of its ARNs and the end of its host names, from botocore's own data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from orderops.errors import UsageError


@cache
def partition_of(region: str) -> str:
    """Return the partition of a region, such as `aws-us-gov`. Raises UsageError for a region in no partition."""
    # By its form, so that a region which is newer than botocore has a partition as well.
    for partition in _partitions():
        if re.match(partition["regionRegex"], region):
            return str(partition["id"])
    raise UsageError(
        f"{region} is in no partition of AWS",
        "list the regions of the account: aws account list-regions; then set region in the environment file",
    )


@cache
def dns_suffix_of(region: str) -> str:
    """Return the end of the host names of a region's services, such as `amazonaws.com.cn`."""
    outputs = {found["id"]: found["outputs"] for found in _partitions()}
    return str(outputs[partition_of(region)]["dnsSuffix"])


# Service principals need no partition: those of this system end with amazonaws.com in every partition. In China only a
# few services differ, such as EC2 and EMR (IAM user guide, "AWS service principals"; CDK region-info agrees).


@cache
def _partitions() -> Sequence[Mapping[str, Any]]:
    from botocore.loaders import create_loader

    partitions: Sequence[Mapping[str, Any]] = create_loader().load_data("partitions")["partitions"]
    return partitions
