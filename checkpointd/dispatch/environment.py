"""The environment that a zygote is born into, and the code that a foreign interpreter is handed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import checkpointd

_KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "COVERAGE_RUN",
)

_ROOMS = (
    "__init__.py",
    "checks.py",
    "core",
    "formats",
    "golden",
    "tensors",
    "verify",
    "worker",
)


def zygote_environment(scratch: Path, source: str) -> dict[str, str]:
    """The scrubbed environment of a zygote and all its children.

    Args:
        scratch: a directory of our own, for whatever a library wants to write.
        source: directory to import checkpointd from in a foreign interpreter, or empty.
    """
    kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
    if source:
        kept["PYTHONPATH"] = source
    else:
        # A relative entry would change its meaning, and "" would import from the scratch.
        entries = [str(Path(p).absolute()) for p in kept.get("PYTHONPATH", "").split(":") if p]
        kept["PYTHONPATH"] = ":".join([str(Path(checkpointd.__file__).parents[1]), *entries])
    return {
        **kept,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "KERAS_HOME": str(scratch),
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "HDF5_PLUGIN_PRELOAD": "::",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }


def rooms_for(python: str, scratch: Path) -> str:
    """Copy the rooms that a foreign interpreter needs, and nothing of our site-packages.

    Args:
        python: the interpreter; our own needs no copy.
        scratch: where the copy is made, once.

    Returns:
        The directory to put on its path; empty for our own interpreter.
    """
    if python == sys.executable:
        return ""
    target = scratch / f"rooms-{checkpointd.__version__}"
    package = target / "checkpointd"
    if not package.exists():
        source = Path(checkpointd.__file__).parent
        building = Path(tempfile.mkdtemp(prefix="rooms-", dir=scratch))
        for room in _ROOMS:
            origin = source / room
            copy = building / "checkpointd" / room
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
