"""Runs the command line as people do: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of this machine's own state or config is seen."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "CHECKPOINTD_CONFIG": "",
        **more,
    }


def checkpointd(
    *arguments: str | bytes, home: Path, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text, bytes that are no UTF-8 are kept."""
    return subprocess.run(
        [sys.executable, "-m", "checkpointd", *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=environment(home, **more),
        cwd=cwd or home,
        timeout=110,
        check=False,
    )
