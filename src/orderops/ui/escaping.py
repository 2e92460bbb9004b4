"""Text from outside, made safe for a terminal: control characters are shown as escapes and never executed.

Row values, names of tables and files, tags, documents and answers of AWS may hold anything: ESC begins sequences that
move the cursor, set the title or write to the clipboard, a carriage return overwrites the line, and marks for the
direction of text show it in another order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich import markup
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters of both sets, except tab and line feed; marks for the direction of text, which reorder a line
# (CVE-2021-42574); characters without a width, which hide in names; line ends of Unicode; halves of surrogate pairs,
# which cannot be encoded; and tags.
UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
IN_LINES = re.compile(f"[{UNSAFE}]")
IN_LINE = re.compile(f"[\n{UNSAFE}]")
NAMED = {"\n": r"\n", "\r": r"\r"}


def visible(text: str) -> str:
    """Return a text for one line: control characters and line ends as escapes, such as \\x1b and \\n."""
    return IN_LINE.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """Return a text whose line ends stay, and whose control characters are escapes."""
    return IN_LINES.sub(_escaped, text)


def escape(text: str) -> str:
    """Return a text from outside as markup for one line."""
    return markup.escape(visible(text))


class Terminal(Console):
    """A console that escapes what it prints, also where a caller did not: only its own styles reach the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as Rich does, with control characters of texts as escapes."""
        for text, style, control in super().render(renderable, options):
            # Rich's own movements of the cursor are marked as such, and colours are no text yet.
            yield Segment(text if control else visible_lines(text), style, control)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    number = ord(character)
    width = "x02" if number < 0x100 else "u04" if number < 0x10000 else "U08"
    return NAMED.get(character) or f"\\{width[0]}{number:{width[1:]}x}"
