"""The image of each service: a declared image, one built from sources, or one copied from another repository.

An image in ECR always runs from the service's own repository and by its digest: the execution role may pull only from
that repository, and no cleanup of another environment can delete the image.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orderops.aws.client import Aws, if_found
from orderops.aws.partition import dns_suffix_of
from orderops.config import types as values
from orderops.config.environment import Environment
from orderops.database.tls import bundle_name, bundle_source, holds_roots
from orderops.errors import OrderopsError, UsageError
from orderops.images.builder import builder
from orderops.images.content_hash import content_tag, module_tag
from orderops.images.registry import Repository
from orderops.resources.ecr_repository import RELEASED

Say = Callable[[str], None]

PACKAGE = Path(__file__).parents[1]
DOCKERFILE = Path("src/orderops/service/Dockerfile")
# The Dockerfile copies this folder into the image.
ROOTS = Path("src/orderops/database/roots")
NEWEST_TAGS = 5
ECR_IMAGE = re.compile(
    r"(?P<uri>(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<suffix>[a-z0-9.-]+)/(?P<name>[^:@]+))"
    r"(?::(?P<tag>[^:@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class ImageBuild:
    """An image that has to be built from sources and pushed to the service's repository."""

    environment: str
    repository: str
    tag: str
    context: Path
    dockerfile: Path


@dataclass(frozen=True)
class ImageCopy:
    """An image that has to be copied, with its digest, into the service's repository."""

    environment: str
    repository: str
    source: str
    digest: str

    @property
    def tag(self) -> str:
        """Tag of the copy; the source's tag may belong to another image in the service's repository."""
        return f"sha256-{self.digest.removeprefix('sha256:')[:16]}"


class ImageOrigin(StrEnum):
    """Why a service gets this image, in words that follow it."""

    GIVEN = "given with --image"
    DECLARED = "which the environment file declares"
    SOURCES = "built from its sources"


@dataclass(frozen=True)
class ImageChoice:
    """The image of a service; `uri` describes the future image while a build or copy is pending."""

    uri: str
    pending: ImageBuild | ImageCopy | None = None
    note: str = ""
    origin: ImageOrigin = ImageOrigin.DECLARED


def images(
    aws: Aws, environment: Environment, given: Mapping[str, str], *, context: Path | None = None
) -> dict[str, ImageChoice]:
    """Choose the image of each service; `given` holds the images that the operator named, by service."""
    return {
        service: image_of(aws, environment, service, given.get(service), context=context)
        for service in environment.services
    }


def image_of(
    aws: Aws, environment: Environment, service: str, given: str | None = None, *, context: Path | None = None
) -> ImageChoice:
    """Choose the image of a service: the given one, else the declared one, else one built from its sources."""
    if given is not None:
        _check(given)
        return replace(_declared(aws, environment, service, given), origin=ImageOrigin.GIVEN)
    if declared := environment.services[service].image:
        return _declared(aws, environment, service, declared)
    return replace(_from_sources(aws, environment, service, context), origin=ImageOrigin.SOURCES)


def check_can_build(choices: Mapping[str, ImageChoice]) -> None:
    """Raise OrderopsError if an image has to be built and no builder works: before anything that costs is created."""
    if any(isinstance(choice.pending, ImageBuild) for choice in choices.values()):
        builder()


def materialize(aws: Aws, choices: Mapping[str, ImageChoice], say: Say) -> dict[str, str]:
    """Build and copy the pending images; return the URI of each service's image."""
    return {service: _ready(aws, choice, say) for service, choice in choices.items()}


def build_and_push(aws: Aws, build: ImageBuild, say: Say) -> str:
    """Build and push an image if the repository does not hold it; return its pinned URI."""
    existing = pinned(aws, build.repository, build.tag)
    if existing:
        return existing
    target = _target(aws, build)
    chosen = builder()
    image = f"localhost/{build.repository}:{build.tag}"
    say(f"building {build.repository}:{build.tag} with {chosen.name} from {build.context}")
    chosen.build(image, build.dockerfile, build.context, say)
    # Otherwise the tag would name sources that are not in the image.
    if content_tag(build.context, build.dockerfile) != build.tag:
        raise OrderopsError("the sources changed during the build", "re-run this command to build the current sources")
    say(f"pushing to {target.host}/{target.name}:{build.tag}")
    try:
        chosen.push(image, target, build.tag, say)
    except OrderopsError:
        existing = pinned(aws, build.repository, build.tag)
        if existing is None:
            raise
        # Another build pushed the same sources first: the repository's tags are immutable, so the push failed.
        return existing
    return _must_be_there(aws, build)


def pinned(aws: Aws, repository: str, reference: str) -> str | None:
    """Return the image with this tag or digest as `URI@DIGEST`; None if the repository does not hold it."""
    found = _repository(aws, repository)
    digest = found and _digest(aws, found["registryId"], found["repositoryUri"], reference)
    return f"{found['repositoryUri']}@{digest}" if found and digest else None


def _check(given: str) -> None:
    try:
        TypeAdapter(values.Image).validate_python(given)
    except ValidationError:
        raise UsageError(
            f"--image {given}: is not an image", "write it as HOST/NAME:TAG or HOST/NAME@sha256:…"
        ) from None


def _declared(aws: Aws, environment: Environment, service: str, uri: str) -> ImageChoice:
    """Choose a named image: pinned if it is in ECR, and copied if it is in another repository of ECR."""
    if uri.startswith("process://"):
        return _process(environment, uri)
    match = ECR_IMAGE.fullmatch(uri)
    if match is None:
        return ImageChoice(uri, note="" if "@" in uri else f"{uri} is not pinned: its tag may move to another image")
    if match["region"] != aws.region:
        raise OrderopsError(
            f"{uri} is in {match['region']}, but {environment.name} is in {aws.region}",
            f"copy it to a repository in {aws.region}, then name the copy: --image URI",
        )
    if match["suffix"] != dns_suffix_of(aws.region):
        raise OrderopsError(
            f"{uri} is not a registry of {aws.region}, whose hosts end with {dns_suffix_of(aws.region)}",
            "copy the URI from the repository: aws ecr describe-repositories --query 'repositories[].repositoryUri'",
        )
    repository = environment.service_name(service)
    reference = match["digest"] or match["tag"] or "latest"
    own = match["name"] == repository and match["account"] == aws.account
    if own and match["digest"]:
        return ImageChoice(f"{match['uri']}@{match['digest']}")
    digest = _digest(aws, match["account"], match["uri"], reference)
    if digest is None:
        raise OrderopsError(f"{uri} does not exist", _newest(aws, match["account"], match["name"]))
    if own:
        return ImageChoice(f"{match['uri']}@{digest}")
    copy = ImageCopy(environment.name, repository, match["uri"], digest)
    existing = pinned(aws, repository, copy.tag)
    return (
        ImageChoice(existing)
        if existing
        else ImageChoice(f"{repository}:{copy.tag} (to be copied from {match['uri']})", copy)
    )


def _process(environment: Environment, uri: str) -> ImageChoice:
    """Choose a module that runs as a process, with a tag that changes with its sources."""
    if not environment.emulated:
        raise UsageError(f"{uri} runs only in an emulated environment", "name an image in a registry: --image URI")
    # As with a digest, changed sources are another image, which is rolled out.
    tag = module_tag(uri.removeprefix("process://"))
    return ImageChoice(f"{uri}@{tag}" if tag else uri)


def _from_sources(aws: Aws, environment: Environment, service: str, context: Path | None) -> ImageChoice:
    folder, dockerfile = _sources(service, environment.services[service].dockerfile, context)
    repository = environment.service_name(service)
    tag = content_tag(folder, dockerfile)
    existing = pinned(aws, repository, tag)
    if existing:
        return ImageChoice(existing)
    # The emulator implements the ECR API and has no registry behind the repositories.
    if environment.emulated and not registry_override():
        raise OrderopsError(
            f"{environment.name} is emulated and has no registry for the image of {service}",
            f'run it as a process: image = "process://MODULE" in [services.{service}]; or set ORDEROPS_REGISTRY',
        )
    if not environment.services[service].dockerfile:
        _check_certificates(environment, folder)
    build = ImageBuild(environment.name, repository, tag, folder, dockerfile)
    return ImageChoice(f"{repository}:{tag} (to be built)", build)


def _check_certificates(environment: Environment, folder: Path) -> None:
    """Raise OrderopsError if the order processor in this image could not verify its database."""
    region = environment.region
    file = folder / ROOTS / bundle_name(region)
    if environment.database.sslmode == "verify-full" and not holds_roots(file, region):
        raise OrderopsError(
            f"{file} has no RDS certificates of {region}, so the service could not open its database (verify-full)",
            f"add them, then re-run this command: curl -fo {shlex.quote(str(file))} {bundle_source(region)}",
        )


def _sources(service: str, declared: str | None, context: Path | None) -> tuple[Path, Path]:
    """Find the folder and the Dockerfile from which the image of a service is built."""
    if context and not context.is_dir():
        raise UsageError(f"--context {context}: is not a folder", "name the folder that holds the service's sources")
    folder = context or (Path.cwd() if declared else _own_sources(service))
    dockerfile = folder / (declared or DOCKERFILE)
    if not declared and not dockerfile.is_file():
        # An installed orderops has no `src` folder; its Dockerfile is inside the package.
        dockerfile = PACKAGE / DOCKERFILE.relative_to("src/orderops")
    if not dockerfile.is_file():
        raise UsageError(
            f"the Dockerfile of {service} does not exist: {dockerfile}",
            f"set its path, relative to the build context: dockerfile in [services.{service}], or --context DIR",
        )
    return folder.resolve(), dockerfile.resolve()


def _own_sources(service: str) -> Path:
    """Find the checkout in the working directory, or the one that orderops runs from."""
    for folder in (Path.cwd(), PACKAGE.parents[1]):
        if (folder / DOCKERFILE).is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise OrderopsError(
        f"no sources found for the image of {service}",
        "name the folder that holds them: --context DIR; or an existing image: --image URI",
    )


def _ready(aws: Aws, choice: ImageChoice, say: Say) -> str:
    match choice.pending:
        case ImageBuild() as build:
            return build_and_push(aws, build, say)
        case ImageCopy() as copy:
            return _copied(aws, copy, say)
        case _:
            return choice.uri


def _copied(aws: Aws, copy: ImageCopy, say: Say) -> str:
    target = _target(aws, copy)
    say(f"copying {copy.source}@{copy.digest} to {copy.repository}:{copy.tag}")
    target.copy(_opened(aws, copy.source), copy.digest, copy.tag, say)
    return _must_be_there(aws, copy)


def _must_be_there(aws: Aws, pending: ImageBuild | ImageCopy) -> str:
    existing = pinned(aws, pending.repository, pending.tag)
    if existing is None:
        name = f"{pending.repository}:{pending.tag}"
        raise OrderopsError(f"{name} was pushed but is not visible yet", "re-run this command to continue")
    return existing


def _target(aws: Aws, pending: ImageBuild | ImageCopy) -> Repository:
    found = _repository(aws, pending.repository)
    if found is None:
        raise OrderopsError(
            f"ecr-repository/{pending.repository} does not exist",
            f"create it first: orderops infra apply --env {pending.environment}",
        )
    return _opened(aws, found["repositoryUri"])


def _repository(aws: Aws, name: str) -> dict[str, str] | None:
    response = if_found(aws.ecr.describe_repositories, "RepositoryNotFoundException", repositoryNames=[name])
    return response and response["repositories"][0]


def _digest(aws: Aws, account: str, uri: str, reference: str) -> str | None:
    """Return the digest of the image with this tag or digest, from ECR or the registry that replaces ECR."""
    if registry_override():
        return _opened(aws, uri).digest(reference)
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


def _newest(aws: Aws, account: str, repository: str) -> str:
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
    tags = [tag for image in listing for tag in image.get("imageTags", ()) if not tag.startswith(RELEASED)][
        :NEWEST_TAGS
    ]
    return f"its newest tags: {', '.join(tags)}" if tags else "the repository has no image with a tag"


def _opened(aws: Aws, uri: str) -> Repository:
    """Return a repository with the registry login that ECR issues for these credentials."""
    authorization = aws.ecr.get_authorization_token()["authorizationData"][0]
    # The token is base64 of `AWS:PASSWORD`, valid for 12 hours (ECR registry authentication).
    user, _, password = base64.b64decode(authorization["authorizationToken"]).decode().partition(":")
    host, _, name = uri.partition("/")
    return Repository(registry_override() or host, name, user, password)


def registry_override() -> str:
    """Return the host of the registry that stands in for ECR, or an empty string."""
    return os.environ.get("ORDEROPS_REGISTRY", "")
