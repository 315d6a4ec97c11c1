"""The environment variables of a zygote."""

from __future__ import annotations

import os
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


def zygote_environment(scratch: Path, source: str, threads: int = 1) -> dict[str, str]:
    """Return the clean environment of a zygote and all its children.

    Args:
        scratch: the dispatcher's directory, for whatever a library writes.
        source: directory to import checkpointd from in a foreign interpreter, or empty.
        threads: how many TensorFlow uses.
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
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }
