"""Whether a task can be started from an image: it has to be in its repository, and for the platform of the tasks."""

from __future__ import annotations

from collections.abc import Iterator

from orderops.aws.client import Aws
from orderops.errors import OrderopsError
from orderops.images.builder import PLATFORM
from orderops.images.contents import config_of
from orderops.images.ecr import ECR_IMAGE, manifest_of, opened_for_reading
from orderops.images.registry import INDEXES, Manifest
from orderops.text.lists import joined
from orderops.text.outside import plain


def why_unusable(aws: Aws, image: str) -> str:
    """Why no task can be started from this image in ECR, as the end of a sentence; "" if nothing is known."""
    match = ECR_IMAGE.fullmatch(image)
    if match is None or not match["digest"]:
        return ""
    manifest = manifest_of(aws, match["account"], match["uri"], match["digest"])
    if manifest is None:
        return "is not in its repository any more"
    platforms = sorted({*_platforms(aws, match["uri"], manifest)})
    if not platforms or PLATFORM in platforms:
        return ""
    return f"is for {joined([plain(platform) for platform in platforms])} only, and tasks run on {PLATFORM}"


def _platforms(aws: Aws, uri: str, manifest: Manifest) -> Iterator[str]:
    """The platforms of an image; none if it does not say, or cannot be read."""
    if manifest.kind not in INDEXES:
        try:
            config = config_of(opened_for_reading(aws, uri), manifest)
        except OrderopsError:
            # The release is watched all the same, and ECS says what it cannot start.
            return
        if config.platform:
            yield config.platform
        return
    for inner in manifest.document.get("manifests", ()):
        platform = inner.get("platform") or {}
        # Attestations are listed beside the images, for no platform.
        if platform.get("os") not in (None, "unknown"):
            yield f"{platform['os']}/{platform.get('architecture', '')}"
