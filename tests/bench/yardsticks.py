"""What somebody would do by hand, timed in a process of its own: `yardsticks.py KIND PATH TURNS`.

Prints a JSON list with the seconds of each turn. The files are read once beforehand, so that every
turn finds them in the page cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 1 << 20

_COLD = """
import sys, numpy
path = sys.argv[1]
if path.endswith((".keras", ".h5")):
    import keras
    model = keras.models.load_model(path)
    model(numpy.ones((4, *model.input_shape[1:]), "float32"))
else:
    import tensorflow as tf
    call = tf.saved_model.load(path).signatures["serving_default"]
    (name, spec), = call.structured_input_signature[1].items()
    call(**{name: tf.ones([4, *spec.shape[1:]])})
"""


def files(path: Path) -> list[Path]:
    """The files of a checkpoint."""
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file())
    return [path] if path.exists() else sorted(path.parent.glob(f"{path.name}.*"))


def cached(path: Path) -> None:
    """Read a checkpoint once."""
    for one in files(path):
        with one.open("rb", buffering=0) as file:
            while file.read(_BLOCK):
                pass


def crc32c(path: Path) -> None:
    """The CRC32C of every byte of the shards, in blocks of 1 MiB."""
    import google_crc32c

    for one in files(path):
        sum_ = google_crc32c.Checksum()
        with one.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                sum_.update(block)


def _finite(file: Any) -> None:
    import h5py
    import numpy as np

    def look(_name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.dtype.kind == "f":
            assert np.isfinite(one[()]).all()

    file.visititems(look)


def h5(path: Path) -> None:
    """Read each dataset and look whether all is finite."""
    import h5py

    with h5py.File(path, "r") as file:
        _finite(file)


def keras_archive(path: Path) -> None:
    """Test the archive, then do the same with its weights."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        with archive.open("model.weights.h5") as member, h5py.File(member, "r") as file:
            _finite(file)


def load_and_call(path: Path) -> None:
    """Load a model in this warm process and call it once."""
    exec(compile(_COLD, "load", "exec"), {"__name__": "load"})  # noqa: S102 - the text above


def new_interpreter(path: Path) -> None:
    """The same in an interpreter that is started for it."""
    subprocess.run([sys.executable, "-c", _COLD, str(path)], check=True, capture_output=True)


KINDS: dict[str, Callable[[Path], None]] = {
    "crc32c": crc32c,
    "h5": h5,
    "keras": keras_archive,
    "load": load_and_call,
    "new": new_interpreter,
}


def main() -> None:
    """Time one of them."""
    kind, path, turns = KINDS[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    cached(path)
    sys.argv = [sys.argv[0], str(path)]
    if kind is not new_interpreter:
        kind(path)
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        kind(path)
        seconds.append(time.perf_counter() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
