"""`save`: one atomic save with its golden record, in any format."""

from __future__ import annotations

import dataclasses
import os
import secrets
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

from checkpointd import golden as records
from checkpointd.core.format_specs import Format
from checkpointd.core.urls import is_url
from checkpointd.training import atomic, uploading, writers
from checkpointd.training.digests import stored_digests
from checkpointd.training.library import keras_of
from checkpointd.training.recording import record_model

if TYPE_CHECKING:
    from collections.abc import Mapping


def save(
    model: Any,
    path: str | os.PathLike[str],
    *,
    format: str | Format | None = None,
    golden: Any = None,
    metrics: Mapping[str, Any] | None = None,
    step: int | None = None,
    optimizer: Any = None,
    compiled: bool | None = None,
    **arguments: Any,
) -> str:
    """Save a model in one atomic step and leave a golden record beside it.

    The record holds the inputs given here, as they are. When it cannot be taken, the checkpoint
    is saved all the same and a warning explains why.

    Args:
        model: a Keras 3 or tf-keras model, or a `tf.Module`.
        path: where; missing directories are made. A `gs://` URL is uploaded to by TensorFlow.
        format: one of `savedmodel`, `keras`, `hdf5`, `hdf5_weights`, `tf_checkpoint`; inferred
            from `.keras`, `.weights.h5`, `.h5` and `.hdf5`, anything else is a SavedModel's
            directory, or with `zipped=False` that of Keras 3.
        golden: a small batch of inputs: one array, a list of arrays, or a dict of them (numbers,
            strings, ragged tensors); with labels a tuple `(inputs, labels)` or `(inputs, labels,
            sample_weights)`, as `fit` takes them. Where `signatures` are given for a SavedModel,
            their outputs are recorded too: on these inputs, or on inputs of their own, in a dict
            by their names.
        metrics: scalars by name, for the record.
        step: the training job's own counter, for the record.
        optimizer: saved beside the model in a `tf_checkpoint`; the model's own when compiled.
        compiled: record what `model.predict` gives (True) or what a call gives (False); by
            default `predict` for a compiled model and for a SavedModel.
        **arguments: further arguments of Keras's own `save` or `save_weights`, or of
            `tf.saved_model.save`.

    Returns:
        The absolute path of the checkpoint.

    Raises:
        ValueError: path and format do not go together, or there is no TensorFlow to write it.
        FileExistsError: a directory would replace a directory of other things.
        OSError: it cannot be written; what was there before still is.
    """
    chosen = infer_format(os.fspath(path), format, zipped=bool(arguments.get("zipped", True)))
    if is_url(os.fspath(path)):
        url = os.fspath(path).rstrip("/")
        with tempfile.TemporaryDirectory() as directory:
            save(
                model,
                os.path.join(directory, os.path.basename(url)),
                format=chosen,
                golden=golden,
                metrics=metrics,
                step=step,
                optimizer=optimizer,
                compiled=compiled,
                **arguments,
            )
            uploading.upload(directory, url, chosen)
        return url
    target = _absolute(os.fspath(path))
    if keras_of(model) is None and chosen not in (Format.SAVEDMODEL, Format.TF_CHECKPOINT):
        raise ValueError(
            f"A {type(model).__name__} is no Keras model: save it as a SavedModel (a path without "
            "extension) or with format='tf_checkpoint'."
        )
    writers.check_writable(keras_of(model), chosen)
    if chosen is Format.SAVEDMODEL or _is_directory(chosen, arguments):
        atomic.check_replaceable(target)
    if optimizer is None and chosen is Format.TF_CHECKPOINT:
        optimizer = getattr(model, "optimizer", None)
    if compiled is None:
        is_compiled = bool(getattr(model, "compiled", getattr(model, "_is_compiled", False)))
        compiled = keras_of(model) is not None and (is_compiled or chosen is Format.SAVEDMODEL)
    signatures = arguments.get("signatures") if chosen is Format.SAVEDMODEL else None
    if signatures is not None and not hasattr(signatures, "items"):
        signatures = {"serving_default": signatures}
    record = _record(
        model, target, chosen, golden, compiled, metrics, step, optimizer, signatures=signatures
    )
    with atomic.temporary_directory(target) as directory:
        temporary = os.path.join(directory, os.path.basename(target))
        writers.write(model, temporary, chosen, optimizer, arguments)
        if record is not None:
            binding = writers.bind(temporary, chosen, secrets.token_hex(16))
            content = records.content_of(temporary, chosen)
            bound = dataclasses.replace(record, binding=binding, content=content)
            _write_record(bound, temporary, target, chosen)
        atomic.flush(directory)
        if os.path.isdir(temporary):
            atomic.replace_directory(temporary, target)
        elif chosen is Format.TF_CHECKPOINT:
            atomic.replace_prefix(temporary, target)
            writers.update_state_file(target)
        else:
            atomic.replace_file(temporary, target)
    return target


def _is_directory(format: Format, arguments: Mapping[str, Any]) -> bool:
    """Whether Keras is asked for its directory form."""
    return format is Format.KERAS and not arguments.get("zipped", True)


def infer_format(
    path: str,
    format: str | Format | None = None,
    *,
    zipped: bool = True,
) -> Format:
    """Choose what a path is saved as; `zipped` as Keras's own `save` takes it.

    Raises:
        ValueError: the format is unknown, or cannot be saved to this URL.
    """
    chosen = _infer(path, format, zipped=zipped)
    uploading.check(path, chosen)
    return chosen


def _infer(path: str, format: str | Format | None, *, zipped: bool) -> Format:
    if format is not None:
        chosen = Format(str(format))
        if chosen is Format.UNKNOWN:
            raise ValueError(
                "Name the format: savedmodel, keras, hdf5, hdf5_weights or tf_checkpoint."
            )
        return chosen
    lower = path.lower()
    if lower.endswith(".keras") or not zipped:
        return Format.KERAS
    if lower.endswith(".weights.h5"):
        return Format.HDF5_WEIGHTS
    if lower.endswith((".h5", ".hdf5")):
        return Format.HDF5
    return Format.SAVEDMODEL


def _absolute(path: str) -> str:
    """The absolute path, with a symbolic link at its end followed, as Keras follows it."""
    path = os.path.abspath(path)
    return os.path.realpath(path) if os.path.islink(path) else path


def _record(
    model: Any,
    path: str,
    format: Format,
    batch: Any,
    compiled: bool,
    metrics: Mapping[str, Any] | None,
    step: int | None,
    optimizer: Any,
    *,
    signatures: Mapping[str, Any] | None = None,
) -> records.Golden | None:
    try:
        digests = stored_digests(
            model, format, optimizer, legacy_layout=not path.endswith(".weights.h5")
        )
    except Exception as error:  # noqa: BLE001 - whatever Keras raises, the checkpoint comes first
        _warn(f"The weights' digests could not be taken: {error}")
        digests = ()
    try:
        return record_model(
            model,
            batch,
            compiled=compiled,
            digests=digests,
            metrics=metrics,
            step=step,
            optimizer=getattr(model, "optimizer", None) if optimizer is None else optimizer,
            signatures=signatures,
        )
    except Exception as error:  # noqa: BLE001 - the same
        _warn(f"The model could not be run on the golden inputs: {type(error).__name__}: {error}")
        return None


def _write_record(
    record: records.Golden,
    temporary: str,
    target: str,
    format: Format,
) -> None:
    inside = os.path.isdir(temporary)
    path = records.path_for(temporary if inside else target, format)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        records.write(path, record)
    except (OSError, records.GoldenError) as error:
        _warn(f"The golden record could not be written: {error}")


def _warn(message: str) -> None:
    warnings.warn(message + " The checkpoint is saved without.", RuntimeWarning, stacklevel=4)
