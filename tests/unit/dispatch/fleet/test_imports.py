"""What the daemon imports: neither Dask, nor what Dask imports."""

from __future__ import annotations

import subprocess
import sys


def test_the_daemon_imports_neither_dask_nor_numpy() -> None:
    """Not even with its dispatcher for a fleet: a process of its own does."""
    code = (
        "import sys; import checkpointd.daemon.main; import checkpointd.dispatch.fleet.dispatcher; "
        "print([m for m in ('dask', 'distributed', 'numpy', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
