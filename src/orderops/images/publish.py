"""A service's image under its version, with its bill of materials: what `orderops service build` publishes."""

from __future__ import annotations

from collections.abc import Callable

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, replace
from orderops.images.build import ImageBuild, Sources, build_and_push, check_committed
from orderops.images.checkout import NO_TAG
from orderops.images.contents import config_of, contents_of
from orderops.images.ecr import opened, pinned
from orderops.images.recipe import REVISION, SCHEMA, VERSION
from orderops.images.referrers import attach_sbom, find_sbom
from orderops.images.registry import Manifest, Repository
from orderops.images.sbom import bill_of_materials
from orderops.images.versions import check_version, next_version
from orderops.text.lists import counted

Say = Callable[[str], None]


class Published(Frozen):
    """An image in its repository, and what was done for it."""

    uri: str
    tag: str
    """The tag by content."""
    version: str
    """Empty for sources that are in no checkout, where no version was named."""
    built_as: str
    """The version that the image reports itself: the first that was built of these sources."""
    revision: str
    """The commit that the image was built from."""
    schema: str
    """The versions of the database that the image supports, such as 3-4."""
    sbom: str
    """Digest of the artifact with the bill of materials."""
    built: bool
    tagged: bool
    attached: bool

    @property
    def digest(self) -> str:
        """Digest of the image."""
        return self.uri.partition("@")[2]

    @property
    def changed(self) -> bool:
        """Whether anything was sent to the registry."""
        return self.built or self.tagged or self.attached


def plan_build(
    environment: str, repository: str, sources: Sources, version: str, *, allow_dirty: bool, say: Say
) -> ImageBuild:
    """Return the build of these sources under a version: that of their commit if none is named."""
    found = sources.in_checkout()
    uncommitted = found.uncommitted()
    recipe = found.recipe(version, dirty=bool(uncommitted))
    if recipe.version:
        check_version(recipe.version)
    if found.checkout and recipe.version.startswith(f"{NO_TAG}-") and found.checkout.shallow:
        say("the clone is shallow and shows no tag of a version: git fetch --unshallow --tags")
    tag = sources.dirty_tag if uncommitted else sources.tag
    build = ImageBuild(environment, repository, tag, sources.context, sources.dockerfile, recipe)
    return build if allow_dirty else replace(build, uncommitted=uncommitted)


def publish(aws: Aws, build: ImageBuild, say: Say) -> Published:
    """Build an image, give it its version and attach its bill of materials, unless that is done.

    Raises OrderopsError before the build if the version belongs to another image, and if files are not committed.
    """
    check_committed(build)
    existing = pinned(aws, build.repository, build.tag)
    version = build.recipe.version
    taken = bool(version) and pinned(aws, build.repository, version)
    if taken and taken != existing:
        raise _taken(aws, build, taken)
    uri = existing or build_and_push(aws, build, say)
    target = opened(aws, uri.partition("@")[0])
    image = target.manifest(uri.partition("@")[2])
    if version and not taken:
        say(f"tagging {build.repository}:{version}")
        _tag(aws, build, target, image)
    config = config_of(target, image)
    bill = find_sbom(target, image.digest)
    return Published(
        uri,
        build.tag,
        version,
        built_as=config.labels.get(VERSION, ""),
        revision=config.labels.get(REVISION, ""),
        schema=config.labels.get(SCHEMA, ""),
        sbom=bill.digest if bill else _attach(target, image, uri, say),
        built=existing is None,
        tagged=bool(version) and not taken,
        attached=bill is None,
    )


def _attach(target: Repository, image: Manifest, uri: str, say: Say) -> str:
    say("reading the packages of the image for its bill of materials (SBOM)")
    contents = contents_of(target, image)
    say(f"attaching the bill of materials: {counted(len(contents.packages), 'package')}")
    return attach_sbom(target, image, bill_of_materials(uri.partition("@")[0], image.digest, contents))


def _tag(aws: Aws, build: ImageBuild, target: Repository, image: Manifest) -> None:
    version = build.recipe.version
    try:
        target.put(image, version)
    except OrderopsError:
        # Another build may have taken the version in the meantime: the repository's tags are immutable.
        taken = pinned(aws, build.repository, version)
        if taken is None:
            raise
        if not taken.endswith(f"@{image.digest}"):
            raise _taken(aws, build, taken) from None


def _taken(aws: Aws, build: ImageBuild, taken: str) -> OrderopsError:
    version = build.recipe.version
    free = next_version(version, lambda candidate: pinned(aws, build.repository, candidate) is not None)
    return OrderopsError(
        f"{build.repository} has another image as {version}: {taken.partition('@')[2]}",
        f"a version never changes its image; build these sources as the next one: --version {free}",
    )
