"""Digests of the variables that a format will store, taken from memory before the save.

Keras's own code walks the model and writes into a store that keeps digests only. So a layer that
stores something else than its variables (merged LoRA weights, a quantized kernel) is recorded as
it will be stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.golden import backends, digest_of
from checkpointd.training.library import generation, keras_of, submodule, writes_archives

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from checkpointd.core.report import Digest


def stored_digests(
    model: Any,
    format: Format,
    optimizer: Any = None,
    *,
    legacy_layout: bool = False,
) -> tuple[Digest, ...]:
    """Take the digest of every weight and optimizer variable that a save will store.

    Args:
        model: a Keras model or a `tf.Module`.
        format: what it is saved as.
        optimizer: what is saved beside the model in a `tf_checkpoint`.
        legacy_layout: the weights are written in the HDF5 layout of Keras 2.

    Raises:
        Exception: this version of Keras is made otherwise; the checkpoint can be saved without.
    """
    keras = keras_of(model)
    if keras is not None and not writes_archives(keras):
        legacy_layout = True
        format = Format.HDF5 if format is Format.KERAS else format
    if format is Format.KERAS or (format is Format.HDF5_WEIGHTS and not legacy_layout):
        return _by_saving_lib(model, keras)
    variables = list(model.variables if keras is None else model.weights)
    if format is Format.TF_CHECKPOINT and optimizer is not None:
        variables += _optimizer_variables(optimizer)
    if format is Format.HDF5 or (format is Format.SAVEDMODEL and keras and generation(keras) == 2):  # noqa: PLR2004
        variables += _optimizer_variables(getattr(model, "optimizer", None))
    return _digests(variables)


def _optimizer_variables(optimizer: Any) -> list[Any]:
    if optimizer is None or not getattr(optimizer, "built", True):
        return []
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def _digests(variables: Iterable[Any]) -> tuple[Digest, ...]:
    unique = {id(variable): variable for variable in variables}
    return tuple(
        digest_of(_name(variable), _values(variable))
        for variable in unique.values()
        if not _is_key(variable)
    )


def _is_key(variable: Any) -> bool:
    return "string" in str(getattr(variable, "dtype", ""))


def _name(variable: Any) -> str:
    return str(getattr(variable, "path", None) or getattr(variable, "name", ""))


def _values(variable: Any) -> np.ndarray[Any, Any]:
    return backends.numpy_of(variable)


def _by_saving_lib(model: Any, keras: Any) -> tuple[Digest, ...]:
    library = submodule(keras, "saving.saving_lib")
    digests: list[Digest] = []

    class _DigestStore(library.H5IOStore):  # type: ignore[misc, name-defined]  # Keras checks the type
        """Takes what Keras stores, and keeps a digest of it."""

        def __init__(self) -> None:
            self.group = ""

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Any = None) -> Any:
            """Begin the group of one layer or optimizer."""
            del metadata
            self.group = path
            return self

        def __setitem__(self, key: str, value: Any) -> None:
            name = getattr(value, "path", None) or f"{self.group}/vars/{key}"
            values = _values(value)
            if values.dtype.kind not in "OSU":
                digests.append(digest_of(str(name), values))

        def close(self) -> None:
            """Nothing is open."""

    store = _DigestStore()
    library._save_state(model, store, None, "", set())  # noqa: SLF001 - Keras has no public way
    return tuple(digests)
