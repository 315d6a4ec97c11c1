"""The libraries that load checkpoints: imported once, kept quiet and off the GPU.

No op is run here: the process that imports them is forked for every checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import random
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.verify.keras_files.keras_names import KERAS
from checkpointd.verify.load import keras_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

LEGACY = 2
"""The Keras generation of tf-keras, and of TensorFlow before 2.16."""

NO_KERAS = "There is no Keras beside this TensorFlow: install keras or tf-keras."

_SILENCE = {
    "HDF5_USE_FILE_LOCKING": "FALSE",  # a reader's lock would break the trainer's next save
    "CUDA_VISIBLE_DEVICES": "-1",  # the GPU is the trainer's
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "JAX_PLATFORMS": "cpu",
    "NPROC": "1",  # of the threads that XLA starts
    "OMP_NUM_THREADS": "1",
}


def preload() -> dict[str, str]:
    """Import TensorFlow, else JAX or torch, and every Keras there is, and run no op.

    Returns:
        The versions: `tensorflow`, `keras`, `tf_keras` (empty when not installed), `python`, then
        the `backend` that Keras runs on, `device`, and the `interpreter`'s path.

    Raises:
        ImportError: there is no TensorFlow, and no Keras 3 with JAX or torch.
    """
    os.environ.update(_SILENCE)
    keras_backend.start()
    importlib.import_module("numpy.random")  # else each child imports it: nine libraries, 8 ms
    for name in ("keras", "tf_keras"):
        usable = name == "keras" or "tensorflow" in sys.modules
        if usable and importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    return describe()


def describe() -> dict[str, str]:
    """Name the versions in this process; see `preload`."""
    versions = {
        name: str(getattr(sys.modules.get(name), "__version__", ""))
        for name in ("tensorflow", "keras", "tf_keras")
    }
    python = ".".join(str(part) for part in sys.version_info[:3])
    backend = keras_backend.current()
    library = sys.modules.get(backend)
    return {
        **versions,
        "backend": f"{backend} {getattr(library, '__version__', '')}".strip(),
        "python": python,
        "device": "cpu",
        "interpreter": sys.executable,
    }


def generation(keras: Any) -> int:
    """The Keras generation of a library: 2 or 3."""
    return int(str(keras.__version__).partition(".")[0])


def installed() -> tuple[str, ...]:
    """Name the Keras libraries in this interpreter, Keras 3 (or the only one there is) first."""
    usable = ("keras", "tf_keras") if "tensorflow" in sys.modules else ("keras",)
    return tuple(name for name in usable if importlib.util.find_spec(name) is not None)


def default_keras() -> Any:
    """Return the Keras that is used where no checkpoint asks for another.

    Raises:
        ImportError: there is no Keras at all.
    """
    names = installed()
    if not names:
        raise ImportError(NO_KERAS)
    return importlib.import_module(names[0])


def random_state() -> Any:
    """Return what changes when the random generators are seeded or used."""
    import numpy as np

    eager = sys.modules.get("tensorflow.python.eager.context")
    seed = getattr(eager.context(), "_seed", None) if eager else None  # `tf.random.set_seed`
    state: Any = np.random.get_state()  # noqa: NPY002 - the generator that has a global seed
    return random.getstate(), state[1].tobytes(), state[2], seed


def restart_names(library: Any) -> None:
    """Let a library number the names of layers from the start, as in a new process.

    A layer of the user's may take its seed from its name.
    """
    with contextlib.suppress(Exception):
        if generation(library) == LEGACY:
            library.backend.reset_uids()
        else:
            state = importlib.import_module("keras.src.backend.common.global_state")
            state.set_global_attribute("object_name_uids", None)


@contextlib.contextmanager
def policy(library: Any, name: str) -> Iterator[None]:
    """Set the global precision policy of a Keras library for a while; empty changes nothing."""
    if not name:
        yield
        return
    precision = library.mixed_precision
    before = precision.dtype_policy() if hasattr(precision, "dtype_policy") else "float32"
    precision.set_global_policy(name)
    try:
        yield
    finally:
        precision.set_global_policy(before)


def library_of(model: Any) -> Any:
    """Find the library whose classes a model is made of; None when it is no Keras model."""
    from checkpointd.golden import (
        model_runner,  # which needs numpy: `preload` reports what is missing
    )

    return model_runner.keras_of(model)


def layers_of(model: Any) -> list[Any]:
    """Return a Keras model and every layer in it, at any depth."""
    walk = getattr(model, "_flatten_layers", None)
    return [model, *(walk() if callable(walk) else getattr(model, "submodules", ()))]


def has_user_code(model: Any) -> bool:
    """Whether a model is made of any class that is not Keras's, or calls a function."""
    return any(
        kind.__module__.partition(".")[0] not in KERAS or kind.__name__ == "Lambda"
        for kind in map(type, layers_of(model))
    )
