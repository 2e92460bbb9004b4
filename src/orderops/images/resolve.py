"""Which image each service runs, and how it comes to be: built from its sources, or copied from another repository.

Whatever runs from ECR runs from the service's own repository and by its digest: that is what its role may pull, and
what no other environment's clearing up can take away.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from orderops.aws.client import Aws, if_found
from orderops.config import types as values
from orderops.config.environment import Environment
from orderops.errors import OrderopsError, UsageError
from orderops.images.builder import builder
from orderops.images.content_hash import content_tag
from orderops.images.registry import Repository

Say = Callable[[str], None]

PACKAGE = Path(__file__).parents[1]
DOCKERFILE = Path("src/orderops/service/Dockerfile")
NEWEST = 5
ECR_IMAGE = re.compile(
    r"(?P<uri>(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^:@]+))"
    r"(?::(?P<tag>[^:@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class ImageBuild:
    """An image to be built from its sources and pushed to the service's repository."""

    environment: str
    repository: str
    tag: str
    context: Path
    dockerfile: Path


@dataclass(frozen=True)
class ImageCopy:
    """An image to be copied, with its digest, into the service's repository."""

    environment: str
    repository: str
    source: str
    digest: str

    @property
    def tag(self) -> str:
        """A tag of its own, as the source's may be taken by another image."""
        return f"sha256-{self.digest.removeprefix('sha256:')[:16]}"


@dataclass(frozen=True)
class ImageChoice:
    """The image of a service; while something is pending, `uri` says what it will be and what must be done."""

    uri: str
    pending: ImageBuild | ImageCopy | None = None
    note: str = ""


def images(
    aws: Aws, environment: Environment, given: Mapping[str, str], *, context: Path | None = None
) -> dict[str, ImageChoice]:
    """The image of each service; `given` are those that the operator named."""
    return {
        service: image_of(aws, environment, service, given.get(service), context=context)
        for service in environment.services
    }


def image_of(
    aws: Aws, environment: Environment, service: str, given: str | None = None, *, context: Path | None = None
) -> ImageChoice:
    """The image of a service: as given, else as the environment says, else built from its sources."""
    if given is not None:
        _check(given)
    uri = given or environment.services[service].image
    return _declared(aws, environment, service, uri) if uri else _from_sources(aws, environment, service, context)


def materialize(aws: Aws, choices: Mapping[str, ImageChoice], say: Say) -> dict[str, str]:
    """The URI of each service's image, once everything pending is built or copied."""
    return {service: _ready(aws, choice, say) for service, choice in choices.items()}


def build_and_push(aws: Aws, build: ImageBuild, say: Say) -> str:
    """The pinned image of these sources; built and pushed only when the repository does not have it."""
    there = pinned(aws, build.repository, build.tag)
    if there:
        return there
    target = _target(aws, build)
    chosen = builder()
    image = f"localhost/{build.repository}:{build.tag}"
    say(f"building {build.repository}:{build.tag} with {chosen.name} from {build.context}")
    chosen.build(image, build.dockerfile, build.context, say)
    if content_tag(build.context, build.dockerfile) != build.tag:
        raise OrderopsError("the sources changed while the image was built", "the same command builds them as they are")
    say(f"pushing to {target.host}/{target.name}:{build.tag}")
    try:
        chosen.push(image, target, build.tag, say)
    except OrderopsError:
        there = pinned(aws, build.repository, build.tag)
        if there is None:
            raise
        return there  # somebody else pushed the same sources first, and a tag is taken once
    return _must_be_there(aws, build)


def pinned(aws: Aws, repository: str, reference: str) -> str | None:
    """The image with this tag or digest as `URI@DIGEST`, or None when the repository does not have it."""
    found = _repository(aws, repository)
    digest = found and _digest(aws, found["registryId"], found["repositoryUri"], reference)
    return f"{found['repositoryUri']}@{digest}" if found and digest else None


def _check(given: str) -> None:
    try:
        TypeAdapter(values.Image).validate_python(given)
    except ValidationError:
        raise UsageError(f"--image {given}: is no image", "write it as HOST/NAME:TAG or HOST/NAME@sha256:…") from None


def _declared(aws: Aws, environment: Environment, service: str, uri: str) -> ImageChoice:
    """An image that somebody named: pinned when it is in ECR, and to be copied when it is in another repository."""
    if uri.startswith("process://"):
        if not environment.emulated:
            raise UsageError(f"{uri} runs on this machine only", "name an image in a registry: --image URI")
        return ImageChoice(uri)
    told = ECR_IMAGE.fullmatch(uri)
    if told is None:
        return ImageChoice(
            uri, note="" if "@" in uri else f"{uri} is not pinned: its tag may come to mean another image"
        )
    if told["region"] != aws.region:
        raise OrderopsError(
            f"{uri} is in {told['region']}, and {environment.name} in {aws.region}",
            f"copy it to a repository in {aws.region}, and name that: --image URI",
        )
    repository = environment.service_name(service)
    reference = told["digest"] or told["tag"] or "latest"
    own = told["name"] == repository and told["account"] == aws.account
    if own and told["digest"]:
        return ImageChoice(f"{told['uri']}@{told['digest']}")
    digest = _digest(aws, told["account"], told["uri"], reference)
    if digest is None:
        raise OrderopsError(f"{uri} is not there", _newest(aws, told["account"], told["name"]))
    if own:
        return ImageChoice(f"{told['uri']}@{digest}")
    copy = ImageCopy(environment.name, repository, told["uri"], digest)
    there = pinned(aws, repository, copy.tag)
    return (
        ImageChoice(there) if there else ImageChoice(f"{repository}:{copy.tag} (to be copied from {told['uri']})", copy)
    )


def _from_sources(aws: Aws, environment: Environment, service: str, context: Path | None) -> ImageChoice:
    folder, dockerfile = _sources(service, environment.services[service].dockerfile, context)
    repository = environment.service_name(service)
    tag = content_tag(folder, dockerfile)
    there = pinned(aws, repository, tag)
    if there:
        return ImageChoice(there)
    if environment.emulated and not _stand_in():
        raise OrderopsError(
            f"{environment.name} is emulated and has no registry for the image of {service}",
            f'run it as a process: image = "process://MODULE" in [services.{service}]; or set ORDEROPS_REGISTRY',
        )
    build = ImageBuild(environment.name, repository, tag, folder, dockerfile)
    return ImageChoice(f"{repository}:{tag} (to be built)", build)


def _sources(service: str, declared: str | None, context: Path | None) -> tuple[Path, Path]:
    """The folder and the Dockerfile from which the image of a service is built."""
    if context and not context.is_dir():
        raise UsageError(f"--context {context}: is no folder", "name the folder that holds the service's sources")
    folder = context or (Path.cwd() if declared else _own_sources(service))
    dockerfile = folder / (declared or DOCKERFILE)
    if not declared and not dockerfile.is_file():
        dockerfile = PACKAGE / DOCKERFILE.relative_to("src/orderops")
    if not dockerfile.is_file():
        raise UsageError(
            f"the Dockerfile of {service} is not there: {dockerfile}",
            f"its path is from the folder that is built: dockerfile in [services.{service}], or --context DIR",
        )
    return folder.resolve(), dockerfile.resolve()


def _own_sources(service: str) -> Path:
    """The checkout that is the working directory, or the one that orderops runs from."""
    for folder in (Path.cwd(), PACKAGE.parents[1]):
        if (folder / DOCKERFILE).is_file() and (folder / "pyproject.toml").is_file():
            return folder
    raise OrderopsError(
        f"there are no sources here from which the image of {service} could be built",
        "name the folder that holds them: --context DIR; or an image that is there: --image URI",
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
    there = pinned(aws, pending.repository, pending.tag)
    if there is None:
        name = f"{pending.repository}:{pending.tag}"
        raise OrderopsError(f"{name} was pushed and is not seen yet", "the same command again goes on")
    return there


def _target(aws: Aws, pending: ImageBuild | ImageCopy) -> Repository:
    found = _repository(aws, pending.repository)
    if found is None:
        raise OrderopsError(
            f"ecr-repository/{pending.repository} is not there",
            f"create it first: orderops infra apply --env {pending.environment}",
        )
    return _opened(aws, found["repositoryUri"])


def _repository(aws: Aws, name: str) -> dict[str, str] | None:
    told = if_found(aws.ecr.describe_repositories, "RepositoryNotFoundException", repositoryNames=[name])
    return told and told["repositories"][0]


def _digest(aws: Aws, account: str, uri: str, reference: str) -> str | None:
    """What ECR, or the registry in its place, calls the image with this tag or digest."""
    if _stand_in():
        return _opened(aws, uri).digest(reference)
    identifier = {"imageDigest" if reference.startswith("sha256:") else "imageTag": reference}
    answer = if_found(
        aws.ecr.describe_images,
        "ImageNotFoundException",
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=uri.partition("/")[2],
        imageIds=[identifier],
    )
    return answer and str(answer["imageDetails"][0]["imageDigest"])


def _newest(aws: Aws, account: str, repository: str) -> str:
    """A hint with the newest tags of a repository."""
    told = if_found(
        aws.ecr.describe_images,
        "RepositoryNotFoundException",
        registryId=account,
        repositoryName=repository,
        maxResults=1000,
    )
    if told is None:
        return f"no repository is named {repository}"
    listing = sorted(told["imageDetails"], key=lambda each: each["imagePushedAt"], reverse=True)
    tags = [tag for each in listing for tag in each.get("imageTags", ())][:NEWEST]
    return f"the newest there: {', '.join(tags)}" if tags else "the repository has no image with a tag"


def _opened(aws: Aws, uri: str) -> Repository:
    """A repository as a registry knows it, opened with the token that ECR gives to these credentials."""
    told = aws.ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(told["authorizationToken"]).decode().partition(":")
    host, _, name = uri.partition("/")
    return Repository(_stand_in() or host, name, user, password)


def _stand_in() -> str:
    return os.environ.get("ORDEROPS_REGISTRY", "")
