"""Features that only some environments have, and the notes that say where their resources are to be looked for.

Reading kinds that an environment never had costs calls in every plan. So before the first resource of a feature is
made, the feature is noted in the tags of the network, which every plan reads anyway. What is not noted there, not
declared and not in the tag index is not looked for. A note stays: what it stands for may exist as long as the network.

Notes count only if the network says that they are complete. It does not if it was made before its features were noted,
or by hand: then every kind is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from orderops.aws.ownership import FEATURES, Tags
from orderops.frozen import Frozen

COMPLETE = "complete"
NOTED = "noted"


class Feature(Frozen):
    """Kinds of resources that come together, and what the ARNs of those with tags contain; "" if none has tags."""

    name: str
    arns: str = ""

    @property
    def key(self) -> str:
        """The key of its note."""
        return f"{FEATURES}:{self.name}"


def notes(features: Iterable[str], *, complete: bool) -> dict[str, str]:
    """The tags that note these features; with `complete`, that there are no others."""
    noted = {Feature(name).key: NOTED for name in sorted(features)}
    return {**noted, **({FEATURES: COMPLETE} if complete else {})}


class FeatureNotes(Frozen):
    """Which features an environment may have. All, if a network of it has no complete notes, or it has no network."""

    networks: Callable[[], Collection[Tags]]
    """The tags of its networks."""
    declared: Callable[[], Collection[str]]
    indexed: Callable[[], Iterable[str]]
    """The ARNs in the tag index, which lags by minutes: it finds what was made beside the notes."""

    @property
    def complete(self) -> bool:
        """Whether what is not noted was never made."""
        networks = self.networks()
        return bool(networks) and all(tags.get(FEATURES) == COMPLETE for tags in networks)

    def may_have(self, feature: Feature) -> bool:
        """Whether there may be a resource of this feature."""
        if not self.complete or any(feature.key in tags for tags in self.networks()):
            return True
        return feature.name in self.declared() or any(feature.arns in arn for arn in self.indexed() if feature.arns)
