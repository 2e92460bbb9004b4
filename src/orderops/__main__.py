"""Where the command begins, as `orderops` and as `python -m orderops`."""

from __future__ import annotations

import gc

COLLECT_AFTER = 250_000
"""New objects after which Python looks for cycles: a short command ends before, and what a long one leaves is small.

At Python's own 700, every short command spends a part of its time on it, most of that while modules are loaded.
"""


def main() -> None:
    """Set up the process, then run the command line."""
    gc.set_threshold(COLLECT_AFTER)

    from orderops.cli import main as run
    from orderops.cli.stand_ins import install

    install()
    try:
        run()
    finally:
        # Else Python looks for cycles among all objects several times while it ends, which takes a sixth of a plan's
        # CPU. What has to happen at the end, such as the deletion of a temporary folder, is registered for it.
        gc.freeze()


if __name__ == "__main__":
    main()
