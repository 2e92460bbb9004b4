"""The partition of a region: the start of its ARNs and the end of its host names, from botocore's own data."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from orderops.errors import UsageError

if TYPE_CHECKING:
    from botocore.session import Session


@cache
def partition_of(region: str) -> str:
    """Return the partition of a region, such as `aws-us-gov`. Raises UsageError for a region in no partition."""
    from botocore.exceptions import UnknownRegionError

    try:
        return str(_session().get_partition_for_region(region))
    except UnknownRegionError:
        raise UsageError(
            f"{region} is in no partition of AWS",
            "list the regions of the account: aws account list-regions; then set region in the environment file",
        ) from None


@cache
def dns_suffix_of(region: str) -> str:
    """Return the end of the host names of a region's services, such as `amazonaws.com.cn`."""
    from botocore.loaders import create_loader

    outputs = {found["id"]: found["outputs"] for found in create_loader().load_data("partitions")["partitions"]}
    return str(outputs[partition_of(region)]["dnsSuffix"])


# Service principals need no partition: those of this system end with amazonaws.com in every partition. In China only a
# few services differ, such as EC2 and EMR (IAM user guide, "AWS service principals"; CDK region-info agrees).


@cache
def _session() -> Session:
    import botocore.session

    # Without the operator's files: a profile that does not exist must not fail what needs no account, as `env check`.
    variables = {"profile": (None, None, None, None)}
    files = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    return botocore.session.Session(session_vars=variables | files)
