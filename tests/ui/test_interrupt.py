"""A command that goes on until Ctrl+C ends with 0, wherever the interrupt found it."""

import subprocess
import sys

import pytest

PROGRAM = """
from orderops.ui.interrupt import until_ctrl_c

with until_ctrl_c():
    {interrupted}
print("ended")
"""


@pytest.mark.parametrize("interrupted", ["raise KeyboardInterrupt", "exec('raise KeyboardInterrupt')"])
def test_ctrl_c_ends_a_block_and_the_process_ends_with_0(interrupted: str) -> None:
    program = PROGRAM.format(interrupted=interrupted)

    # From a file, since the text of -c counts as one that is executed.
    ended = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (0, "ended\n")
