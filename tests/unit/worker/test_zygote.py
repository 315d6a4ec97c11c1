"""What a zygote needs before it can report that something is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["numpy", "h5py", "tensorflow", "keras"])
def test_a_zygote_starts_without_a_library_to_report_that_it_is_missing(missing: str) -> None:
    """An import error outside its own handler would reach the daemon as a traceback alone."""
    program = f"import sys; sys.modules[{missing!r}] = None; import checkpointd.worker.zygote"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
