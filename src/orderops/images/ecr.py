"""The repositories of a service's images in ECR, or in the registry that stands in for it."""

from __future__ import annotations

import base64
import os
import re

from orderops.aws.client import Aws, if_found
from orderops.errors import OrderopsError
from orderops.images.registry import INDEXES, MANIFESTS, Manifest, Repository
from orderops.resources.ecr_repository import OWN_TAGS

NEWEST_TAGS = 5
# Tags by content and by digest, which say less than a version.
CONTENT_TAGS = ("src-", "sha256-")
ECR_IMAGE = re.compile(
    r"(?P<uri>(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.-]+)/(?P<name>[^:@]+))"
    r"(?::(?P<tag>[^:@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def pinned(aws: Aws, repository: str, reference: str) -> str | None:
    """Return the image with this tag or digest as `URI@DIGEST`; None if the repository does not hold it."""
    found = _described(aws, repository)
    digest = found and digest_of(aws, found["registryId"], found["repositoryUri"], reference)
    return f"{found['repositoryUri']}@{digest}" if found and digest else None


def repository_of(aws: Aws, environment: str, name: str) -> Repository:
    """Open a service's repository. Raises OrderopsError if it does not exist yet."""
    found = _described(aws, name)
    if found is None:
        raise OrderopsError(
            f"ecr-repository/{name} does not exist", f"create it first: orderops infra apply --env {environment}"
        )
    return opened(aws, found["repositoryUri"])


def opened(aws: Aws, uri: str) -> Repository:
    """Return a repository with the registry login that ECR issues for these credentials."""
    authorization = aws.ecr.get_authorization_token()["authorizationData"][0]
    # The token is base64 of `AWS:PASSWORD`, valid for 12 hours (ECR registry authentication).
    user, _, password = base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    host, _, name = uri.partition("/")
    return Repository(registry_override() or host, name, user, password)


def opened_for_reading(aws: Aws, uri: str) -> Repository:
    """Open the registry of an image in ECR. Raises OrderopsError where an emulator has no registry behind its API."""
    # AWS's own endpoints have TLS only. The hosts of an emulator's images are AWS's, and its login means nothing there.
    if not registry_override() and aws.endpoint("ecr").startswith("http://"):
        raise OrderopsError(
            "ECR is emulated here, without a registry", "name the one that stands in for it: ORDEROPS_REGISTRY"
        )
    return opened(aws, uri)


def digest_of(aws: Aws, account: str, uri: str, reference: str) -> str | None:
    """Return the digest of the image with this tag or digest, from ECR or the registry that replaces ECR."""
    if registry_override():
        return opened(aws, uri).digest(reference)
    identifier = {"imageDigest" if reference.startswith("sha256:") else "imageTag": reference}
    response = if_found(
        aws.ecr.describe_images,
        "ImageNotFoundException",
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=uri.partition("/")[2],
        imageIds=[identifier],
    )
    return response and str(response["imageDetails"][0]["imageDigest"])


def manifest_of(aws: Aws, account: str, uri: str, digest: str) -> Manifest | None:
    """Return the manifest of an image, from ECR or the registry that replaces ECR; None if the image is not there."""
    if registry_override():
        return opened(aws, uri).manifest_if_any(digest)
    found = if_found(
        aws.ecr.batch_get_image,
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=uri.partition("/")[2],
        imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=[*INDEXES, *MANIFESTS],
    )
    for raw in found["images"][:1] if found else ():
        return Manifest(raw["imageManifest"].encode(), raw.get("imageManifestMediaType") or MANIFESTS[0])
    return None


def version_of(aws: Aws, image: str) -> str:
    """Return what an image is called besides its digest: its version or another tag; "" if it has none."""
    match = ECR_IMAGE.fullmatch(image)
    if match is None:
        name, _, pinned = image.partition("@")
        # A process of the laptop has the tag of its sources behind the @.
        return pinned if pinned and not pinned.startswith("sha256:") else name.rpartition("/")[2].partition(":")[2]
    if match["tag"]:
        return str(match["tag"])
    # A registry that stands in for ECR does not say which tags an image has.
    response = (
        None
        if registry_override() or not match["digest"]
        else if_found(
            aws.ecr.describe_images,
            "ImageNotFoundException",
            "RepositoryNotFoundException",
            registryId=match["account"],
            repositoryName=match["name"],
            imageIds=[{"imageDigest": match["digest"]}],
        )
    )
    tags = response["imageDetails"][0].get("imageTags", ()) if response else ()
    named = sorted((tag for tag in tags if not tag.startswith(OWN_TAGS)), key=lambda tag: tag.startswith(CONTENT_TAGS))
    return str(named[0]) if named else ""


def newest_tags(aws: Aws, account: str, repository: str) -> str:
    """Return a hint with the newest tags of a repository."""
    response = if_found(
        aws.ecr.describe_images,
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=repository,
        maxResults=1000,
    )
    if response is None:
        return f"the repository {repository} does not exist"
    listing = sorted(response["imageDetails"], key=lambda image: image["imagePushedAt"], reverse=True)
    tags = [tag for image in listing for tag in image.get("imageTags", ()) if not tag.startswith(OWN_TAGS)]
    return f"its newest tags: {', '.join(tags[:NEWEST_TAGS])}" if tags else "the repository has no image with a tag"


def registry_override() -> str:
    """Return the host of the registry that stands in for ECR, or an empty string."""
    return os.environ.get("ORDEROPS_REGISTRY", "")


def _described(aws: Aws, name: str) -> dict[str, str] | None:
    response = if_found(aws.ecr.describe_repositories, "RepositoryNotFoundException", repositoryNames=[name])
    return response and response["repositories"][0]
