"""What a release needs, looked at before anything changes: image, values of secrets, addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orderops.aws.client import Aws, every, if_found

PLATFORM = ("linux", "amd64")
CURRENT = "AWSCURRENT"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


def missing_image(aws: Aws, account: str, repository: str, digest: str) -> str:
    """Why no task can be started from this image in ECR, as the end of a sentence; "" if nothing is known."""
    found = if_found(
        aws.ecr.batch_get_image,
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=repository,
        imageIds=[{"imageDigest": digest}],
    )
    images = found["images"] if found else []
    if not images:
        return "is not in its repository any more"
    platforms = list(_platforms(images[0]))
    if platforms and PLATFORM not in platforms:
        return f"is for {', '.join('/'.join(platform) for platform in platforms)} only, and tasks run on linux/amd64"
    return ""


def secrets_without_value(aws: Aws, arns: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of those secrets that have no value; `arns` by name."""
    for name, arn in arns.items():
        raw = if_found(aws.secretsmanager.describe_secret, "ResourceNotFoundException", SecretId=arn)
        if raw is None or not any(CURRENT in stages for stages in raw.get("VersionIdsToStages", {}).values()):
            yield name


def free_addresses(aws: Aws, subnets: Sequence[str]) -> int:
    """How many addresses are left in these subnets together."""
    described = every(aws.ec2.describe_subnets, "Subnets", SubnetIds=list(subnets))
    return sum(int(subnet.get("AvailableIpAddressCount", 0)) for subnet in described)


def _platforms(image: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The platforms of an image that consists of several; none for one that says its platform only in its content."""
    if image.get("imageManifestMediaType") not in INDEXES:
        return
    for inner in json.loads(image["imageManifest"]).get("manifests", ()):
        platform = inner.get("platform", {})
        # Attestations are listed beside the images, for no platform.
        if platform.get("os") not in (None, "unknown"):
            yield str(platform["os"]), str(platform.get("architecture", ""))
