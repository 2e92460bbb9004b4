"""Where the command begins, as `orderops` and as `python -m orderops`."""

from __future__ import annotations

import gc
import os

COLLECT_AFTER = 250_000
"""New objects after which Python looks for cycles: a short command ends before, and what a long one leaves is small.

At Python's own 700, that is a tenth of the time of a short command, half of it while modules are loaded.
"""


def main() -> None:
    """Set up the process, then run the command line."""
    gc.set_threshold(COLLECT_AFTER)
    # Pydantic would read the metadata of every installed package to look for plugins; none has a part here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

    from orderops.cli import main as run

    run()


if __name__ == "__main__":
    main()
