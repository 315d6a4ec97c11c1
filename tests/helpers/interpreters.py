"""Interpreters of every kind that a config may name: bare ones, broken ones, old ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path


def bare(home: Path, tensorflow: str | None = None) -> Path:
    """Make a virtual environment with nothing in it; returns its interpreter.

    Args:
        home: the directory that it is made in.
        tensorflow: the source of a module `tensorflow` to put into it.
    """
    venv.create(home, with_pip=False)
    if tensorflow is not None:
        site = next((home / "lib").glob("python3*")) / "site-packages"
        (site / "tensorflow.py").write_text(tensorflow)
    return home / "bin" / "python"


def of_version(version: str) -> str | None:
    """Find another Python of this machine, such as `3.9`; None if there is none."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    found = [str(path) for path in installed] or [shutil.which(f"python{version}") or ""]
    return found[-1] if found[-1] and _works(found[-1]) else None


def _works(python: str) -> bool:
    done = subprocess.run([python, "-c", ""], capture_output=True, check=False)
    return done.returncode == 0 and python != sys.executable
