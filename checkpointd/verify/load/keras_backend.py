"""Which backend Keras 3 runs on in this process: TensorFlow, else JAX or torch.

A checkpoint is loaded under the backend that its golden record names, where this interpreter has
it. An interpreter imports Keras before it knows of any checkpoint: where the record names another
backend, the child imports Keras again (what `keras.config.set_backend` does).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TENSORFLOW, _JAX, _TORCH = "tensorflow", "jax", "torch"
_CHOICE = (_TENSORFLOW, _JAX, _TORCH)
THREADS = "TF_NUM_INTRAOP_THREADS"
"""The environment variable that holds how many threads a library may use."""

_WRAPPERS = ("TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_TORCH_OPTIMIZERS = "keras.src.backend.torch.optimizers.torch_"


def installed() -> tuple[str, ...]:
    """Name the backends in this interpreter that Keras can run on, TensorFlow first."""
    return tuple(name for name in _CHOICE if importlib.util.find_spec(name) is not None)


def start() -> None:
    """Import the backend that Keras is to run on, and run nothing on it.

    Raises:
        ImportError: there is none.
    """
    names = installed()
    keras = importlib.util.find_spec("keras") is not None
    name = names[0] if names and keras else _TENSORFLOW
    os.environ["KERAS_BACKEND"] = name
    importlib.import_module(name)
    _limit_threads(name)


def _limit_threads(name: str) -> None:
    """Let a library use as many threads as the dispatcher's environment asks for, or one."""
    threads = os.environ.get(THREADS, "1")
    count = int(threads) if threads.isdigit() else 1
    library = sys.modules[name]
    with contextlib.suppress(RuntimeError):  # it has run already: a test's process
        if name == _TENSORFLOW:
            library.get_logger().setLevel("ERROR")
            library.config.threading.set_intra_op_parallelism_threads(count)
            library.config.threading.set_inter_op_parallelism_threads(count)
        elif name == _TORCH:
            library.set_num_threads(count)
            library.set_num_interop_threads(count)


def current() -> str:
    """Name the backend that Keras runs on in this process."""
    from checkpointd.golden import backends  # needs numpy: `start` reports what is missing

    return backends.name_of(sys.modules.get("keras"))


def use_for(environment: Mapping[str, str]) -> None:
    """Run Keras on the backend that a golden record names, where this interpreter has it.

    Args:
        environment: of the record; an older one names no backend.
    """
    name = environment.get("backend", "").partition(" ")[0]
    is_requested = environment.get("keras", "").startswith("keras 3") and name in installed()
    if is_requested and "keras" in sys.modules and name != current():
        _reimport_keras(name)
    stand_in_for_torch()
    _register_wrappers()


def _reimport_keras(name: str) -> None:
    for module in [m for m in sys.modules if m == "keras" or m.startswith("keras.")]:
        del sys.modules[module]
    os.environ["KERAS_BACKEND"] = name
    importlib.import_module(name)
    _limit_threads(name)
    importlib.import_module("keras")


def _register_wrappers() -> None:
    """Register what Keras 3 finds in a `.keras` file and not in its own HDF5 files."""
    keras = sys.modules.get("keras")
    known = getattr(getattr(keras, "saving", None), "get_custom_objects", None)
    for name in _WRAPPERS:
        kind = getattr(getattr(keras, "layers", None), name, None)
        if kind is not None and callable(known):
            known().setdefault(name, kind)


def stand_in_for_torch() -> None:
    """Put Keras's own optimizers in place of those that exist on torch alone.

    On torch Keras makes `keras.src.backend.torch.optimizers.torch_adam.Adam` of
    `keras.optimizers.Adam`, and writes that into the compile configuration: the same optimizer
    with the same variables, but a module that only torch can import.
    """
    keras = sys.modules.get("keras")
    if keras is None or current() == _TORCH:
        return
    for name, kind in vars(getattr(keras, "optimizers", types)).items():
        module_name = f"{_TORCH_OPTIMIZERS}{name.lower()}"
        if isinstance(kind, type) and module_name not in sys.modules:
            module = types.ModuleType(module_name)
            setattr(module, name, kind)
            sys.modules[module_name] = module
