"""An image built from sources: what is built, from which commit, and its push to the service's repository."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.frozen import Frozen, field, replace
from orderops.images.builder import builder
from orderops.images.checkout import Checkout, checkout_of
from orderops.images.content_hash import content_tag, context_files, ignore_file, ignore_of
from orderops.images.ecr import pinned, repository_of
from orderops.images.recipe import Recipe, build_arguments, labels
from orderops.text.lists import joined

Say = Callable[[str], None]

DIRTY = "-dirty"


class ImageBuild(Frozen):
    """An image that has to be built from sources and pushed to the service's repository."""

    environment: str
    repository: str
    tag: str
    context: Path
    dockerfile: Path
    recipe: Recipe = field(default_factory=Recipe)
    uncommitted: tuple[str, ...] = ()
    """Files of the image that no commit holds, where the image may not be built from such."""


class Sources(Frozen):
    """The folder and the Dockerfile of an image, the base image that is given, and the checkout that they lie in."""

    context: Path
    dockerfile: Path
    base: str = ""
    checkout: Checkout | None = None

    @cached_property
    def tag(self) -> str:
        """The tag by content: equal sources have the same."""
        return content_tag(self.context, self.dockerfile, self.base)

    @property
    def dirty_tag(self) -> str:
        """The tag of sources that no commit holds, apart from that of the same sources once they are committed."""
        return f"{self.tag}{DIRTY}"

    def uncommitted(self) -> tuple[str, ...]:
        """List the files of the image that no commit holds."""
        if self.checkout is None:
            return ()
        ignore = ignore_of(self.context, self.dockerfile)
        return tuple(self.checkout.uncommitted(self._files, self.context, ignore.excludes))

    def recipe(self, version: str = "", *, dirty: bool) -> Recipe:
        """Return what the build is given; the version is that of the commit where none is named."""
        if self.checkout is None:
            return Recipe(version, base=self.base)
        number = version or self.checkout.version()
        # The sources differ from one uncommitted state to the next, and so must their versions: tags are immutable.
        full = f"{number}{DIRTY}-{self.tag.removeprefix('src-')[:8]}" if dirty else number
        return Recipe(full, self.checkout.revision, self.checkout.committed_at, self.base)

    def in_checkout(self) -> Sources:
        """Find the checkout of these sources. Raises OrderopsError if git refuses to read it."""
        found = checkout_of(self.context)
        # The folder may lie in a checkout that ignores it, such as an installed package in a virtual environment.
        own = found is not None and found.holds(self._files)
        return replace(self, checkout=found if own else None)

    @cached_property
    def _files(self) -> list[Path]:
        ignoring = ignore_file(self.context, self.dockerfile)
        files = [self.context / path for path in context_files(self.context, self.dockerfile)]
        return [*files, self.dockerfile, *([ignoring] if ignoring else [])]


def check_committed(build: ImageBuild) -> None:
    """Raise OrderopsError if the image would hold files that no commit holds."""
    if build.uncommitted:
        raise OrderopsError(
            f"the sources of {build.repository} are not committed: {joined(build.uncommitted)}",
            "commit them, so that the image can be built again; or take them as they are: --allow-dirty",
        )


def build_and_push(aws: Aws, build: ImageBuild, say: Say) -> str:
    """Build and push an image if the repository does not hold it; return its pinned URI."""
    existing = pinned(aws, build.repository, build.tag)
    if existing:
        return existing
    target = repository_of(aws, build.environment, build.repository)
    chosen = builder()
    image = f"localhost/{build.repository}:{build.tag}"
    say(f"building {build.repository}:{build.tag} with {chosen.name} from {build.context}")
    dockerfile = build.dockerfile.read_text(encoding="utf-8", errors="replace")
    files = context_files(build.context, build.dockerfile)
    chosen.build(
        image,
        build.dockerfile,
        build.context,
        say,
        arguments=build_arguments(build.recipe, dockerfile),
        labels=labels(build.recipe, build.tag, dockerfile, files),
        created_at=build.recipe.committed_at,
    )
    # Otherwise the tag would name sources that are not in the image.
    if content_tag(build.context, build.dockerfile, build.recipe.base) != build.tag.removesuffix(DIRTY):
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
    return must_be_there(aws, build.repository, build.tag)


def must_be_there(aws: Aws, repository: str, tag: str) -> str:
    """Return the pinned URI of an image that was just pushed."""
    existing = pinned(aws, repository, tag)
    if existing is None:
        raise OrderopsError(f"{repository}:{tag} was pushed but is not visible yet", "re-run this command to continue")
    return existing
