"""Which modules of checkpointd run in interpreters that are not its own, and their copy for one.

A load zygote may run in the training job's interpreter, which has another Python and other
libraries than the daemon. What it imports of checkpointd needs Python 3.9, numpy and Keras alone.
This is the one list of these modules: ruff's target versions and the import contracts in
pyproject.toml must agree with it, and a test compares them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import checkpointd

OLDEST_PYTHON = (3, 9)
"""The oldest Python that can import them, and that checkpoints can be loaded with."""

VERIFICATION = (
    "__init__.py",
    "attestation",
    "checks.py",
    "core",
    "formats",
    "golden",
    "tensors",
    "verify",
    "worker",
)
"""Modules and packages that a zygote and its children import; copied for a foreign interpreter."""

TRAINING = ("training",)
"""Packages that a training job imports, from where checkpointd is installed for it."""

COMMAND = ("__main__.py",)
"""Modules that an older Python must be able to read, to report that it is too old."""


def package_copy(python: str, scratch: Path) -> str:
    """Copy what a foreign interpreter imports, and nothing of the daemon's site-packages.

    Args:
        python: the interpreter; the daemon's own needs no copy.
        scratch: where the copy is made, once.

    Returns:
        The directory for the interpreter's path; empty for the daemon's own interpreter.
    """
    if python == sys.executable:
        return ""
    target = scratch / f"packages-{checkpointd.__version__}"
    package = target / "checkpointd"
    if not package.exists():
        source = Path(checkpointd.__file__).parent
        building = Path(tempfile.mkdtemp(prefix="packages-", dir=scratch))
        for name in VERIFICATION:
            origin = source / name
            copy = building / "checkpointd" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, copy)
        try:
            building.replace(target)
        except OSError:  # another interpreter was faster
            shutil.rmtree(building)
            if not package.exists():
                raise
    return str(target)
