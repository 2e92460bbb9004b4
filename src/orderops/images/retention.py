"""Tags that keep released images: the repository's lifecycle policy expires no image that a service may still start.

Fargate pulls an image whenever it starts a task, so the image of a release is needed for as long as that release runs
or may be returned to. A rule that counts images cannot know that. Each such image gets a second tag, which the first
rule of the policy protects (`resources.ecr_repository`); an image that is no longer needed loses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orderops.aws.client import Aws, every, if_found
from orderops.config.environment import Environment
from orderops.images.ecr import ECR_IMAGE, registry_override
from orderops.images.referrers import sbom_tag
from orderops.images.registry import INDEXES, MANIFESTS
from orderops.resources.ecr_repository import RELEASED

# Revisions of a task definition whose images are kept besides those that run.
KEPT_REVISIONS = 10
IMAGES_A_CALL = 100


def keep_released(aws: Aws, environment: Environment, cluster: str, images: Mapping[str, str]) -> None:
    """Tag what runs, what was released lately and what is about to be released, and untag the rest.

    `images` holds the image of each service. Call it before the release, which may start tasks at any time after.
    """
    # A registry that stands in for ECR has no lifecycle policy.
    if registry_override():
        return
    for service in environment.entries:
        # The service in ECS, its repository and its task definitions have the same name; workers share the repository.
        name, sharing = environment.service_name(service), [service, *environment.workers_of(service)]
        released = {images[key] for key in sharing if key in images}
        if any(_digest(image, name) for image in released):
            names = [environment.service_name(key) for key in sharing]
            _keep(aws, name, released.union(*(_released(aws, cluster, other) for other in names)))


def tag_of(digest: str) -> str:
    """The tag that protects an image."""
    return f"{RELEASED}{digest.removeprefix('sha256:')[:16]}"


def _keep(aws: Aws, repository: str, images: set[str]) -> None:
    wanted = {digest for image in images if (digest := _digest(image, repository))}
    existing = {raw["imageDigest"]: raw.get("imageTags", ()) for raw in _images(aws, repository)}
    # The bill of materials of an image stays for as long as the image does.
    bills = {sbom_tag(digest) for digest in wanted}
    wanted |= {digest for digest, tags in existing.items() if not bills.isdisjoint(tags)}
    for digest in sorted(wanted & existing.keys()):
        if tag_of(digest) not in existing[digest]:
            _tag(aws, repository, digest)
    stale = [
        tag for digest, tags in existing.items() if digest not in wanted for tag in tags if tag.startswith(RELEASED)
    ]
    for start in range(0, len(stale), IMAGES_A_CALL):
        tags = [{"imageTag": tag} for tag in stale[start : start + IMAGES_A_CALL]]
        # An image without another tag is deleted with its last one; it would have expired in a few days. A pipeline may
        # delete no image, so there the tag stays until an operator releases.
        if_found(aws.ecr.batch_delete_image, "AccessDeniedException", repositoryName=repository, imageIds=tags)


def _images(aws: Aws, repository: str) -> Iterator[Mapping[str, Any]]:
    return every(aws.ecr.describe_images, "imageDetails", repositoryName=repository, maxResults=1000)


def _tag(aws: Aws, repository: str, digest: str) -> None:
    """Give an image a second tag: the same manifest, put again."""
    found = aws.ecr.batch_get_image(
        repositoryName=repository, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=[*INDEXES, *MANIFESTS]
    )
    for raw in found["images"][:1]:
        kind = {"imageManifestMediaType": raw["imageManifestMediaType"]} if raw.get("imageManifestMediaType") else {}
        # Another operator may have tagged it in the meantime.
        if_found(
            aws.ecr.put_image,
            "ImageAlreadyExistsException",
            repositoryName=repository,
            imageManifest=raw["imageManifest"],
            imageTag=tag_of(digest),
            imageDigest=digest,
            **kind,
        )


def _released(aws: Aws, cluster: str, name: str) -> Iterator[str]:
    """The images of the task definitions that run, and of the newest ones."""
    for definition in {*_newest(aws, name), *_running(aws, cluster, name)}:
        yield from _images_of(_described(aws, definition))


def _newest(aws: Aws, family: str) -> Iterator[str]:
    # By number, since the revisions of one family are numbered without gaps.
    last = _described(aws, family).get("revision", 0)
    yield from (f"{family}:{revision}" for revision in range(max(1, last - KEPT_REVISIONS + 1), last + 1))


def _described(aws: Aws, definition: str) -> Mapping[str, Any]:
    """A task definition; empty if there is none."""
    response = if_found(aws.ecs.describe_task_definition, "ClientException", taskDefinition=definition)
    return response["taskDefinition"] if response else {}


def _images_of(definition: Mapping[str, Any]) -> Iterator[str]:
    yield from (container["image"] for container in definition.get("containerDefinitions", ()))


def _running(aws: Aws, cluster: str, name: str) -> Iterator[str]:
    response = if_found(aws.ecs.describe_services, "ClusterNotFoundException", cluster=cluster, services=[name])
    for service in (response or {}).get("services", ()):
        yield from (deployment["taskDefinition"].rpartition("/")[2] for deployment in service["deployments"])


def _digest(image: str, repository: str) -> str:
    """The digest of an image in this repository; "" for an image elsewhere, or without a digest."""
    match = ECR_IMAGE.fullmatch(image)
    return match["digest"] or "" if match and match["name"] == repository else ""
