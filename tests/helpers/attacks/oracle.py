"""What each attack does to a process that loads it unsafely: `... oracle DIRECTORY PART PARTS`.

TensorFlow, Keras and tf-keras are imported once; each artifact is loaded in a process of its own,
in an empty directory, with little memory and little time. Prints a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tests.helpers.attacks.table import CANARY

SECONDS, MEMORY = 5, 2 << 30


def arrays(row: dict[str, str]) -> list[Any]:
    """Load it as its oracle says, and give every value that comes out."""
    path = row["path"]
    if row["oracle"] == "keras":
        return _of_model(keras.models.load_model(path, safe_mode=False, compile=False))
    if row["oracle"] == "tf_keras":
        return _of_model(tf_keras.models.load_model(path, compile=False))
    if row["oracle"] == "tf_keras:weights":
        return _by_h5py(path)
    if row["oracle"] == "reader":
        reader = tf.train.load_checkpoint(path)
        return [reader.get_tensor(name) for name in reader.get_variable_to_shape_map()]
    loaded = tf.saved_model.load(path)
    out = [v.numpy() for v in getattr(loaded, "variables", ())]
    for call in loaded.signatures.values():
        _, inputs = call.structured_input_signature
        given = {n: tf.zeros([1 if d is None else d for d in s.shape]) for n, s in inputs.items()}
        out += [value.numpy() for value in call(**given).values()]
    return out


def _of_model(model: Any) -> list[Any]:
    """Run it once; give its weights, and the words that its layers know."""
    words = [x.get_vocabulary() for x in model.layers if hasattr(x, "get_vocabulary")]
    if not words:
        model(tf.zeros((1, *model.input_shape[1:])))
    return [*model.get_weights(), *(" ".join(map(str, w)).encode() for w in words)]


def _by_h5py(path: str) -> list[Any]:
    """Follow every link to every value, as a loader of weights does."""
    import h5py

    found = []
    with h5py.File(path, "r") as file:
        stack = [file]
        while stack:
            for item in stack.pop().values():
                if isinstance(item, h5py.Group):
                    stack.append(item)
                else:
                    found.append(np.asarray(item[()]))
    return found


def child(row: dict[str, str]) -> str:
    """What happened, as a word."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    os.chdir(tempfile.mkdtemp())
    try:
        values = arrays(row)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return "memory"
    except Exception as error:  # noqa: BLE001 - a library may raise anything
        return f"{type(error).__name__}" + (f": {error}" if os.environ.get("SAY") else "")
    known = CANARY[:12]
    return (
        "canary"
        if any(known in (v if isinstance(v, bytes) else np.asarray(v).tobytes()) for v in values)
        else "loads"
    )


def tried(row: dict[str, str]) -> str:
    """Fork, load, wait; give the child's word, or how it died."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        word = "error"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.dup2(2, 1)
            word = child(row)
        finally:
            os.write(theirs, word.encode())
            os._exit(0)
    os.close(theirs)
    word = os.read(ours, 4096).decode()
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return "hangs" if number == signal.SIGALRM else signal.Signals(number).name
    return word


def main(home: Path, part: int, parts: int) -> None:
    """Try every attack that has an oracle; of several who share the work, this part."""
    rows = [r for r in json.loads((home / "table.json").read_text()) if r["oracle"]]
    for row in rows[part::parts]:
        print(json.dumps([row["name"], tried(row)]), flush=True)  # noqa: T201 - what we are for


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
