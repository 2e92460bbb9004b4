"""Text from outside, such as a log line or the answer of a server, made fit for a message."""

from __future__ import annotations

# A reason of this length fills three lines of a terminal; what explains a failure is at its beginning.
LONGEST = 240


def plain(text: str, longest: int = LONGEST) -> str:
    """The text on one line, shortened, without control characters, which a terminal would execute."""
    # Cut first: what is split into words may have megabytes.
    words = " ".join(text[: 8 * longest].split())
    shown = "".join(character if character.isprintable() else "?" for character in words)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
