"""The image of each service: a declared image, one built from sources, or one copied from another repository.

An image in ECR always runs from the service's own repository and by its digest: the execution role may pull only from
that repository, and no cleanup of another environment can delete the image.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orderops.aws.client import Aws
from orderops.aws.partition import dns_suffix_of
from orderops.config import types as values
from orderops.config.environment import Environment
from orderops.database.tls import bundle_name, bundle_source, holds_roots
from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen, replace
from orderops.images.build import ImageBuild, Sources, build_and_push, check_committed, must_be_there
from orderops.images.builder import builder
from orderops.images.content_hash import module_tag
from orderops.images.ecr import ECR_IMAGE, digest_of, newest_tags, opened, pinned, registry_override, repository_of
from orderops.images.recipe import Recipe, check_base
from orderops.images.referrers import copy_sbom

Say = Callable[[str], None]

PACKAGE = Path(__file__).parents[1]
DOCKERFILE = Path("src/orderops/service/Dockerfile")
# The Dockerfile copies this folder into the image.
ROOTS = Path("src/orderops/database/roots")


class ImageCopy(Frozen):
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


class ImageChoice(Frozen):
    """The image of a service; `uri` describes the future image while a build or copy is pending."""

    uri: str
    pending: ImageBuild | ImageCopy | None = None
    note: str = ""
    origin: ImageOrigin = ImageOrigin.DECLARED


def images(
    aws: Aws,
    environment: Environment,
    given: Mapping[str, str],
    *,
    context: Path | None = None,
    allow_dirty: bool = False,
) -> dict[str, ImageChoice]:
    """Choose the image of each service; `given` holds the images that the operator named, by service."""
    return images_of(aws, environment, list(environment.services), given, context=context, allow_dirty=allow_dirty)


def images_of(
    aws: Aws,
    environment: Environment,
    services: Collection[str],
    given: Mapping[str, str],
    *,
    context: Path | None = None,
    allow_dirty: bool = False,
) -> dict[str, ImageChoice]:
    """Choose the images of some services; a worker without an image of its own gets that of the service it works for.

    Services whose image is chosen are released with the workers that share it.
    """
    chosen: dict[str, ImageChoice] = {}
    shared = [worker for name in services for worker in environment.workers_of(name)]
    for service in dict.fromkeys([*services, *shared]):
        declared = environment.services[service]
        source = declared.works_for if declared.works_for and not declared.image and service not in given else None
        name = source or service
        chosen[service] = chosen.get(name) or image_of(
            aws, environment, name, given.get(name), context=context, allow_dirty=allow_dirty
        )
    return {service: chosen[service] for service in environment.services if service in chosen}


def image_of(
    aws: Aws,
    environment: Environment,
    service: str,
    given: str | None = None,
    *,
    context: Path | None = None,
    allow_dirty: bool = False,
) -> ImageChoice:
    """Choose the image of a service: the given one, else the declared one, else one built from its sources."""
    if given is not None:
        _check(given)
        return replace(_declared(aws, environment, service, given), origin=ImageOrigin.GIVEN)
    if declared := environment.services[service].image:
        return _declared(aws, environment, service, declared)
    choice = _from_sources(aws, environment, service, context, allow_dirty=allow_dirty)
    return replace(choice, origin=ImageOrigin.SOURCES)


def check_can_build(choices: Mapping[str, ImageChoice]) -> None:
    """Raise OrderopsError if an image has to be built and may not or cannot: before anything that costs is created."""
    builds = [choice.pending for choice in choices.values() if isinstance(choice.pending, ImageBuild)]
    for build in builds:
        check_committed(build)
    if builds:
        builder()


def materialize(aws: Aws, choices: Mapping[str, ImageChoice], say: Say) -> dict[str, str]:
    """Build and copy the pending images; return the URI of each service's image."""
    return {service: _ready(aws, choice, say) for service, choice in choices.items()}


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
    repository = _repository_name(environment, service)
    reference = match["digest"] or match["tag"] or "latest"
    own = match["name"] == repository and match["account"] == aws.account
    if own and match["digest"]:
        return ImageChoice(f"{match['uri']}@{match['digest']}")
    digest = digest_of(aws, match["account"], match["uri"], reference)
    if digest is None:
        raise OrderopsError(f"{uri} does not exist", newest_tags(aws, match["account"], match["name"]))
    if own:
        return ImageChoice(f"{match['uri']}@{digest}")
    copy = ImageCopy(environment.name, repository, match["uri"], digest)
    existing = pinned(aws, repository, copy.tag)
    return (
        ImageChoice(existing)
        if existing
        else ImageChoice(f"{repository}:{copy.tag} (to be copied from {match['uri']})", copy)
    )


def _repository_name(environment: Environment, service: str) -> str:
    """The repository of a service; workers have that of the service that they work for."""
    return environment.service_name(environment.services[service].works_for or service)


def _process(environment: Environment, uri: str) -> ImageChoice:
    """Choose a module that runs as a process, with a tag that changes with its sources."""
    if not environment.emulated:
        raise UsageError(f"{uri} runs only in an emulated environment", "name an image in a registry: --image URI")
    # As with a digest, changed sources are another image, which is rolled out.
    tag = module_tag(uri.removeprefix("process://"))
    return ImageChoice(f"{uri}@{tag}" if tag else uri)


def sources_of(environment: Environment, service: str, context: Path | None, base: str = "") -> Sources:
    """Find what the image of a service is built from; `base` is the base image that the operator named."""
    declared = environment.services[service]
    folder, dockerfile = _sources(service, declared.dockerfile, context)
    # Where both are left out, the Dockerfile's own.
    chosen = base or declared.base or ""
    if chosen:
        check_base(chosen, dockerfile)
    return Sources(folder, dockerfile, chosen)


def check_buildable(environment: Environment, service: str, sources: Sources) -> None:
    """Raise OrderopsError if an image of these sources could not be pushed, or could not run."""
    # The emulator implements the ECR API and has no registry behind the repositories.
    if environment.emulated and not registry_override():
        raise OrderopsError(
            f"{environment.name} is emulated and has no registry for the image of {service}",
            f'run it as a process: image = "process://MODULE" in [services.{service}]; or set ORDEROPS_REGISTRY',
        )
    if not environment.services[service].dockerfile:
        _check_certificates(environment, sources.context)


def _from_sources(
    aws: Aws, environment: Environment, service: str, context: Path | None, *, allow_dirty: bool
) -> ImageChoice:
    sources = sources_of(environment, service, context)
    repository = environment.service_name(service)
    existing = pinned(aws, repository, sources.tag)
    if existing:
        return ImageChoice(existing)
    check_buildable(environment, service, sources)
    build = ImageBuild(environment.name, repository, sources.tag, sources.context, sources.dockerfile)
    try:
        found = sources.in_checkout()
    except OrderopsError as error:
        # The content tag still says what is in the image.
        note = f"the image of {service} names no version and no commit: {error.message}"
        return _to_be_built(replace(build, recipe=Recipe(base=sources.base)), note)
    uncommitted = found.uncommitted()
    if not uncommitted:
        return _to_be_built(replace(build, recipe=found.recipe(dirty=False)))
    existing = pinned(aws, repository, sources.dirty_tag)
    if existing:
        return ImageChoice(existing)
    # What runs on this machine only is often tried before it is committed.
    refused = () if allow_dirty or environment.emulated else uncommitted
    recipe = found.recipe(dirty=True)
    return _to_be_built(replace(build, tag=sources.dirty_tag, recipe=recipe, uncommitted=refused))


def _to_be_built(build: ImageBuild, note: str = "") -> ImageChoice:
    return ImageChoice(f"{build.repository}:{build.tag} (to be built)", build, note)


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
    source, target = opened(aws, copy.source), repository_of(aws, copy.environment, copy.repository)
    say(f"copying {copy.source}@{copy.digest} to {copy.repository}:{copy.tag}")
    # Before the tag of the image, by which a re-run sees that everything was copied.
    copy_sbom(source, target, copy.digest, say)
    target.copy(source, copy.digest, copy.tag, say)
    return must_be_there(aws, copy.repository, copy.tag)
