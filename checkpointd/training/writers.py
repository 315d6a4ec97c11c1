"""Writes a model in each format, under a temporary name, and binds it to its golden record."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import zipfile
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.golden import backends
from checkpointd.training.atomic import TEMPORARY_PREFIX
from checkpointd.training.library import generation, keras_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KERAS_2 = 2
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def check_writable(keras: Any, format: Format) -> None:
    """Check that a format can be written by the backend that a Keras library runs on.

    Args:
        keras: the library; None for a plain `tf.Module`.
        format: what is to be written.

    Raises:
        ValueError: it is TensorFlow's own, and there is no TensorFlow.
    """
    backend = backends.name_of(keras)
    if backend == backends.TENSORFLOW or format not in (Format.SAVEDMODEL, Format.TF_CHECKPOINT):
        return
    instead = "save as .keras, .h5 or .weights.h5 (format, or the path's ending)"
    if format is Format.TF_CHECKPOINT:
        raise ValueError(
            f"A TensorFlow checkpoint holds TensorFlow's variables, and Keras runs on {backend} "
            f"here: {instead}."
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError(
            f"A SavedModel is TensorFlow's format, and TensorFlow is not installed here, where "
            f"Keras runs on {backend}: {instead}, or install TensorFlow."
        )


def write(
    model: Any,
    path: str,
    format: Format,
    optimizer: Any = None,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Write a model with the writer of the library that it comes from.

    Args:
        model: a Keras model, or a `tf.Module` for a SavedModel or a TensorFlow checkpoint.
        path: where; file, directory or prefix.
        format: what to write.
        optimizer: goes into a TensorFlow checkpoint beside the model.
        arguments: further arguments of the library's own `save` or `save_weights`, or of
            `tf.saved_model.save`.

    Raises:
        Exception: whatever the library raises.
    """
    keras = keras_of(model)
    more = dict(arguments or {})
    if format is Format.TF_CHECKPOINT:
        _write_checkpoint(model, path, optimizer)
    elif keras is None:
        import tensorflow as tf

        tf.saved_model.save(model, path, **more)
    elif format is Format.HDF5_WEIGHTS:
        model.save_weights(path, **more)
    elif format is Format.SAVEDMODEL and generation(keras) > _KERAS_2:
        model.export(path, **({"verbose": False} if _exports_quietly(keras) else {}))
    else:
        with _compile_configuration_kept(model):
            model.save(path, **more)


@contextlib.contextmanager
def _compile_configuration_kept(model: Any) -> Iterator[None]:
    """Restore what Keras 3's writer of HDF5 takes out of a model's compile configuration.

    Without its optimizer, every later `.keras` file of the same model would be trained on with
    RMSprop (`model_metadata` in keras/src/legacy/saving/saving_utils.py, 3.15.1). It may have been
    taken out by an earlier save that was not ours.
    """
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    config = config if isinstance(config, dict) else {}
    if "loss" in config and "optimizer" not in config and getattr(model, "optimizer", None):
        config["optimizer"] = model.optimizer
    before = dict(config)
    try:
        yield
    finally:
        config.update(before)


def _exports_quietly(keras: Any) -> bool:
    major, minor = (int(part) for part in str(keras.__version__).split(".")[:2])
    return (major, minor) >= (3, 4)


def _write_checkpoint(model: Any, path: str, optimizer: Any) -> None:
    import tensorflow as tf

    parts = {"model": model}
    if optimizer is not None:
        parts["optimizer"] = optimizer
    tf.train.Checkpoint(**parts).write(path)


def update_state_file(path: str) -> None:
    """Name a TensorFlow checkpoint in its directory's `checkpoint` file.

    As after `tf.train.Checkpoint.save`, it is the only one that is listed: what a state file lists
    is in use, and nothing here manages a list. The name is relative, so that the directory can be
    moved.
    """
    directory, name = os.path.split(path)
    quoted = _quoted(name)
    content = f"model_checkpoint_path: {quoted}\nall_model_checkpoint_paths: {quoted}\n"
    temporary = os.path.join(directory, f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.checkpoint")
    with open(temporary, "x", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, os.path.join(directory, "checkpoint"))


def _quoted(name: str) -> str:
    """A string as protobuf's text format writes it."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in os.fsencode(name)) + '"'


def bind(path: str, format: Format, save_id: str) -> str:
    """Write the save id into a checkpoint that can hold one, before it gets its final name.

    Returns:
        What `golden.binding_of` will read from it.
    """
    if format is Format.KERAS and os.path.isdir(path):
        path, format = os.path.join(path, "model.weights.h5"), Format.HDF5_WEIGHTS
    if format in (Format.HDF5, Format.HDF5_WEIGHTS) or (format is Format.KERAS and _is_hdf5(path)):
        import h5py

        with h5py.File(path, "r+") as file:
            file.attrs[golden.SAVE_ID_ATTRIBUTE] = save_id
        return save_id
    if format is Format.KERAS:
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = golden.ZIP_COMMENT_PREFIX + save_id.encode("ascii")
        return save_id
    return golden.binding_of(path, format)


def _is_hdf5(path: str) -> bool:
    """Whether a file is HDF5, whatever its name is: Keras before 2.13 writes `.keras` so."""
    with open(path, "rb") as file:
        return file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC
