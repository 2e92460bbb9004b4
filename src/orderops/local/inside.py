"""Whether this process is a task of the laptop environment, which reaches the emulator by what it was given."""

from __future__ import annotations

import os

VARIABLE = "ORDEROPS_LAPTOP_TASK"
"""Set in every task, beside the address of the emulator and the task's own key."""


def inside_task() -> bool:
    """Whether this process is a task: the data directory and the operator's key are not for it."""
    return VARIABLE in os.environ
