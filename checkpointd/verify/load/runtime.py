"""The libraries that load checkpoints: imported once, kept to one thread and off the GPU.

No op is run here: the process that imports them is forked for every checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.verify.load import keras_backend
from checkpointd.verify.suite import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from checkpointd.golden import Golden
    from checkpointd.verify.load.inputs.limits import GraphSource

LEGACY = 2
"""The Keras generation of tf-keras, and of TensorFlow before 2.16."""

_SILENCE = {
    "HDF5_USE_FILE_LOCKING": "FALSE",  # a reader's lock would break the trainer's next save
    "CUDA_VISIBLE_DEVICES": "-1",  # the GPU is the trainer's
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "JAX_PLATFORMS": "cpu",
    "NPROC": "1",  # of the threads that XLA starts
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Spec:
    """One input or output as the model declares it; None is a size that it leaves open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def to_fact(self) -> list[Any]:
        """The form that `Facts.signatures` holds."""
        return [self.name, self.dtype, None if self.shape is None else list(self.shape)]


@dataclass(frozen=True)
class Signature:
    """One way to run a model: `run` takes arrays by input name and gives arrays by output name.

    `in_parts` tells that it takes a ragged input `x` as its values `x` and splits `x_1`, `x_2`, …
    `source` gives its graph, where one can be had.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    run: Callable[[Mapping[str, Any]], dict[str, Any]]
    in_parts: bool = False
    source: Callable[[], GraphSource] | None = None

    def to_fact(self) -> dict[str, list[list[Any]]]:
        """The form that `Facts.signatures` holds."""
        return {
            "inputs": [spec.to_fact() for spec in self.inputs],
            "outputs": [spec.to_fact() for spec in self.outputs],
        }


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded: a Keras model, what `tf.saved_model.load` gives, or a session's.

    `optimizers` are those that came back with it; where there are none, `no_optimizer` may say
    why that is nobody's fault. `state` holds the variables that running it may change; a `guard`
    puts back what is not held in variables. `elsewhere` has a sentence for each signature that
    ran only in another loader than the one that the model came back by. `again` makes the same
    model from the file once more, where that can be done.
    """

    model: Any
    library: Any
    signatures: Mapping[str, Signature]
    optimizers: tuple[Any, ...] = ()
    no_optimizer: str = ""
    state: tuple[Any, ...] = ()
    guard: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    again: Callable[[], Any] | None = None

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """A block after which the model is as it was before, whatever was run in it."""
        from checkpointd.golden import model_runner

        with model_runner.unchanged(self.state), self.guard():
            yield


@dataclass
class LoadContext(Context):
    """What the checks of the load side share.

    `seeded`: the user's code seeded the random generators, or drew from them, when it was imported.
    """

    loaded: Loaded | None = None
    record: Golden | None = None
    compile_config: Mapping[str, Any] | None = None
    compile_failed: bool = False
    load_seconds: float = 0.0
    seeded: bool = False
    nothing_loaded: str = "Nothing was loaded."
    nothing_recorded: str = "There is no golden record: save through GoldenCheckpoint."


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


def libraries_for(writer_generation: int) -> tuple[Any, ...]:
    """Give the libraries that a checkpoint may be loaded with, its writer's generation first.

    Args:
        writer_generation: 1, 2 or 3; 0 when nobody knows.

    Raises:
        ImportError: there is no Keras at all.
    """
    libraries = [importlib.import_module(name) for name in installed()]
    if not libraries:
        raise ImportError("There is no Keras beside this TensorFlow: install keras or tf-keras.")
    legacy = writer_generation in (1, LEGACY)
    libraries.sort(key=lambda library: (generation(library) == LEGACY) is not legacy)
    return tuple(libraries)


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
        model_runner,  # which needs numpy: `preload` says what is missing first
    )

    return model_runner.keras_of(model)
