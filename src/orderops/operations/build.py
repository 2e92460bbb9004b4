"""Build: publish the image of a service, and read the bill of materials of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orderops.errors import OrderopsError, UsageError
from orderops.frozen import Frozen
from orderops.images.build import ImageBuild
from orderops.images.ecr import ECR_IMAGE, digest_of, opened, pinned
from orderops.images.publish import Published, plan_build, publish
from orderops.images.referrers import find_sbom, read_sbom
from orderops.images.released import running_image
from orderops.images.resolve import check_buildable, image_of, materialize, sources_of
from orderops.infra.workspace import Workspace
from orderops.ui import console


class BuildOptions(Frozen):
    """What to build, and as which version."""

    context: Path | None = None
    version: str = ""
    base: str = ""
    allow_dirty: bool = False
    as_json: bool = False


def build_service(workspace: Workspace, service: str, options: BuildOptions) -> None:
    """Build and push the image of a service, unless the repository has it, and print its URI."""
    environment = workspace.environment
    if environment.services[service].image:
        _show_declared(workspace, service, options)
        return
    sources = sources_of(environment, service, options.context, options.base)
    check_buildable(environment, service, sources)
    repository = environment.service_name(service)
    build = plan_build(
        environment.name, repository, sources, options.version, allow_dirty=options.allow_dirty, say=console.info
    )
    published = publish(workspace.aws, build, console.info)
    _show(service, build, published)
    document = _document(service, build, published) if options.as_json else None
    _show_uri(workspace, service, published.uri, document)


def print_sbom(workspace: Workspace, service: str, image: str | None) -> None:
    """Print the bill of materials of an image of a service: a version, a tag, a digest or a URI, else what runs."""
    uri = _pinned(workspace, service, image) if image else _running(workspace, service)
    match = ECR_IMAGE.fullmatch(uri)
    if match is None or not match["digest"]:
        raise OrderopsError(
            f"{uri} is not an image in ECR, and has no bill of materials there",
            "name an image of the service's repository: orderops service sbom VERSION",
        )
    repository = opened(workspace.aws, match["uri"])
    artifact = find_sbom(repository, match["digest"])
    if artifact is None:
        raise OrderopsError(
            f"{uri} has no bill of materials",
            f"check out its sources, then attach one: orderops service build {service}",
        )
    console.write_data(read_sbom(repository, artifact).decode())


def _show_declared(workspace: Workspace, service: str, options: BuildOptions) -> None:
    declared = workspace.environment.services[service].image
    if options.version or options.base:
        raise UsageError(
            f"the environment file declares the image of {service}, {declared}, so there is nothing to build",
            f"take image out of [services.{service}]; or release that image: orderops service deploy {service}",
        )
    choice = image_of(workspace.aws, workspace.environment, service)
    if not choice.pending:
        console.info(f"the image of {service} exists; nothing to build")
    uri = materialize(workspace.aws, {service: choice}, console.info)[service]
    document = {"environment": workspace.environment.name, "service": service, "image": uri}
    _show_uri(workspace, service, uri, document if options.as_json else None)


def _show(service: str, build: ImageBuild, published: Published) -> None:
    name = f"{build.repository}:{published.version or published.tag}"
    if not published.changed:
        console.info(f"{name} is in the repository, with its bill of materials; nothing to do")
    if not published.version:
        console.info(f"the sources of {service} are in no git checkout, so the image has no version: --version 1.4.0")
    elif published.built_as != published.version:
        built_as = published.built_as or "no version"
        console.info(f"these sources were built before: the same image, which reports {built_as} at GET /version")


def _show_uri(workspace: Workspace, service: str, uri: str, document: dict[str, Any] | None) -> None:
    if document is not None:
        console.show_json(document)
        return
    # The URI alone on stdout, for `--image "$(orderops service build)"`.
    console.data(uri)
    console.info(f"next: orderops service deploy {service} --env {workspace.environment.name}")


def _document(service: str, build: ImageBuild, published: Published) -> dict[str, Any]:
    """The document of --json."""
    return {
        "environment": build.environment,
        "service": service,
        "image": published.uri,
        "repository": build.repository,
        "digest": published.digest,
        "version": published.version or None,
        "tags": [tag for tag in (published.tag, published.version) if tag],
        "built_as": published.built_as or None,
        "revision": published.revision or None,
        "schema": published.schema or None,
        "sbom": published.sbom,
        "built": published.built,
        "tagged": published.tagged,
        "attached": published.attached,
    }


def _pinned(workspace: Workspace, service: str, image: str) -> str:
    named = ECR_IMAGE.fullmatch(image)
    if named:
        reference = named["digest"] or named["tag"] or "latest"
        digest = digest_of(workspace.aws, named["account"], named["uri"], reference)
        uri = digest and f"{named['uri']}@{digest}"
    else:
        uri = pinned(workspace.aws, workspace.environment.service_name(service), image)
    if not uri:
        where = named["uri"] if named else workspace.environment.service_name(service)
        raise OrderopsError(f"{where} has no image {image}", "name one of its versions, tags or digests")
    return uri


def _running(workspace: Workspace, service: str) -> str:
    name = workspace.environment.service_name(service)
    uri = running_image(workspace.aws, workspace.stack.cluster.name, name)
    if uri is None:
        raise OrderopsError(
            f"{service} does not run in {workspace.environment.name}",
            f"name an image: orderops service sbom VERSION --env {workspace.environment.name}",
        )
    return uri
