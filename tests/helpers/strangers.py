"""A user who owns nothing, and a root that permissions hold for: for what permissions forbid.

Only root can become that user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.cli import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = 65_533
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become somebody else, with setpriv",
)


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp()).resolve()
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def as_stranger(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of ours as that user, to its end."""
    become = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
    done = subprocess.run(
        [*become, sys.executable, "-B", "-m", "checkpointd", *arguments],
        capture_output=True,
        text=True,
        env=environment(home, PYTHONPATH=str(ROOT)),
        cwd=home,
        timeout=110,
        check=False,
    )
    if "No module named" in done.stderr or (done.returncode and not os.access(ROOT, os.X_OK)):
        pytest.skip("nobody else can read this working copy")
    return done


def without_privileges(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end as the same user, whom permissions hold for, even root."""
    less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    return subprocess.run(
        [*(less if os.geteuid() == 0 else []), sys.executable, "-m", "checkpointd", *arguments],
        capture_output=True,
        text=True,
        env=environment(home),
        cwd=home,
        timeout=110,
        check=False,
    )
