"""The command line on many artifacts in one call."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.helpers.cli import environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SECONDS = 850


def verify(paths: Sequence[str], home: Path) -> dict[str, dict[str, Any]]:
    """Verify every path, and give the reports by path; one without a verdict has none."""
    done = subprocess.run(
        [sys.executable, "-m", "checkpointd", "verify", "--json", *paths],
        capture_output=True,
        text=True,
        env=environment(home),
        cwd=home,
        timeout=_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return {report["path"]: report for report in map(json.loads, done.stdout.splitlines())}
