"""Held-out data: an `.npz` or a TFRecord with inputs and labels, and a model's metrics on it.

The arrays are `inputs` (or `x`, `x_test`) and `labels` (or `y`, `y_test`), each of them also by
name as `inputs.NAME` and `labels.NAME`, and `sample_weight` if wanted; the first dimension counts
examples. Nothing in the file is unpickled.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.verify.load import runtime, tfrecord
from checkpointd.verify.suite import describe, printable
from checkpointd.verify.user_code import UserCodeError, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.verify.load.loaded import Loaded, Signature

_INPUTS = ("inputs", "x", "x_test")
_LABELS = ("labels", "y", "y_test")
_BATCH = 32
_WHERE = "data in [watch.verify] evaluate"


@dataclass(frozen=True)
class HeldOut:
    """Examples that the model has not seen: one array, or several by name; N in all."""

    inputs: Any
    labels: Any
    sample_weight: Any = None

    @property
    def count(self) -> int:
        """How many examples there are."""
        first = next(iter(self.inputs.values())) if isinstance(self.inputs, dict) else self.inputs
        return len(first)


def read(path: str, features: Mapping[str, str]) -> HeldOut:
    """Read held-out data.

    Args:
        path: of an `.npz`, or of a TFRecord.
        features: of a TFRecord: what its records hold.

    Raises:
        UserCodeError: there is none, or it is not what is described above.
    """
    try:
        arrays = tfrecord.arrays(path, features) if features else _npz(path)
    except FileNotFoundError:
        raise _unfit(path, "there is no such file") from None
    except OSError as error:
        raise _unfit(path, describe(error)) from None
    except tfrecord.UnreadableDatasetError as error:
        raise _unfit(path, str(error)) from None
    weight = arrays.pop("sample_weight", None)
    data = HeldOut(_part(path, arrays, _INPUTS), _part(path, arrays, _LABELS), weight)
    sizes = {
        len(a) if a.ndim else 0 for a in (*arrays.values(), *([] if weight is None else [weight]))
    }
    if len(sizes) != 1 or 0 in sizes:
        raise _unfit(path, "its arrays do not hold the same number of examples")
    return data


def _npz(path: str) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise _unfit(path, "it is one array: save it with numpy.savez(inputs=…, labels=…)")
            return {name: np.asarray(file[name]) for name in file.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise _unfit(
            path, f"it is no .npz file without pickles ({error}); a TFRecord needs features"
        ) from None


def _part(path: str, arrays: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in arrays:
            return arrays[name]
    prefix = f"{names[0]}."
    named = {key[len(prefix) :]: a for key, a in arrays.items() if key.startswith(prefix)}
    if not named:
        there = ", ".join(sorted(arrays)) or "nothing"
        raise _unfit(path, f"it has no array {names[0]!r}, it has {there}")
    return named


def _unfit(path: str, why: str) -> UserCodeError:
    return UserCodeError(printable(f"{_WHERE} is {path!r}, and {why.rstrip('.')}."))


def evaluate(
    loaded: Loaded, data: HeldOut, metrics: Sequence[str], custom: Mapping[str, Any]
) -> dict[str, Any]:
    """Compute metrics of a model on held-out data.

    Args:
        loaded: the model.
        data: what to compute them on.
        metrics: names of Keras metrics or losses; empty for those that the model was compiled with.
        custom: custom objects, which `metrics` may name too.

    Raises:
        UserCodeError: the model cannot be run on the data, or has no such metrics.
    """
    if not metrics:
        return _compiled(loaded, data)
    outputs = np.asarray(call(lambda d: _predict(loaded, d), data, f"Running it on {_WHERE}"))
    labels = data.labels
    if isinstance(labels, dict):
        if len(labels) != 1:
            raise UserCodeError(
                "metrics in [watch.verify] evaluate are for one output, and the data has labels "
                "for several: leave metrics out, or write a function."
            )
        labels = next(iter(labels.values()))
    library = loaded.library or runtime.default_keras()
    return {name: _metric(library, name, labels, outputs, data, custom) for name in metrics}


def _compiled(loaded: Loaded, data: HeldOut) -> dict[str, Any]:
    model = loaded.model
    if loaded.library is None:
        raise UserCodeError(
            "It is no Keras model and has no metrics of its own: name some in [watch.verify] "
            'evaluate, such as metrics = ["accuracy"].'
        )
    if not getattr(model, "compiled", getattr(model, "_is_compiled", False)):
        raise UserCodeError(
            "The model comes without its compile configuration, so it has no metrics of its own: "
            'name some in [watch.verify] evaluate, such as metrics = ["accuracy"].'
        )

    def run(_: Any) -> Any:
        return model.evaluate(
            _for_keras(data.inputs),
            data.labels,
            sample_weight=data.sample_weight,
            batch_size=_BATCH,
            verbose=0,
            return_dict=True,
        )

    results: dict[str, Any] = call(run, None, f"Evaluating it on {_WHERE}")
    return results


def _for_keras(inputs: Any) -> Any:
    """Make tensors of texts, which Keras does not take as arrays."""
    if isinstance(inputs, dict):
        return {name: _for_keras(array) for name, array in inputs.items()}
    if inputs.dtype.kind not in "OSU":
        return inputs
    import tensorflow as tf

    return tf.constant(inputs, tf.string)


def _predict(loaded: Loaded, data: HeldOut) -> Any:
    if loaded.library is not None:
        outputs = loaded.model.predict(_for_keras(data.inputs), batch_size=_BATCH, verbose=0)
        return _single_output(outputs)
    name = "serving_default"
    if name not in loaded.signatures and len(loaded.signatures) == 1:
        name = next(iter(loaded.signatures))
    signature = loaded.signatures.get(name)
    if signature is None or not signature.inputs:
        raise UserCodeError(
            "It does not declare its inputs: write a function for evaluate in [watch.verify]."
        )
    return np.concatenate(
        [_single_output(signature.run(feed)) for feed in _batches(signature, data)]
    )


def _batches(signature: Signature, data: HeldOut) -> list[dict[str, Any]]:
    names = [spec.name for spec in signature.inputs]
    arrays = data.inputs if isinstance(data.inputs, dict) else {names[0]: data.inputs}
    if set(arrays) != set(names):
        raise UserCodeError(
            f"It takes {', '.join(names)}, and {_WHERE} has {', '.join(sorted(arrays))}: name its "
            "arrays inputs.NAME accordingly."
        )
    shapes = [spec.shape for spec in signature.inputs if spec.shape]
    size = next((shape[0] for shape in shapes if shape[0] is not None), None) or _BATCH
    return [
        {name: array[start : start + size] for name, array in arrays.items()}
        for start in range(0, data.count, size)
    ]


def _single_output(outputs: Any) -> Any:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, (list, tuple)):
        return np.asarray(outputs)
    if len(outputs) != 1:
        raise UserCodeError(
            f"It has {len(outputs)} outputs, and metrics in [watch.verify] evaluate are for one: "
            "leave metrics out, or write a function."
        )
    return np.asarray(outputs[0])


def _metric(
    library: Any,
    name: str,
    labels: Any,
    outputs: Any,
    data: HeldOut,
    custom: Mapping[str, Any],
) -> Any:
    with library.utils.custom_object_scope(dict(custom)):
        metric = _resolve_metric(library, _precise(name, labels.shape, outputs.shape))

    def compute(_: Any) -> Any:
        if hasattr(metric, "update_state"):
            metric.update_state(labels, outputs, sample_weight=data.sample_weight)
            return np.asarray(metric.result())
        mean = library.metrics.Mean()
        mean.update_state(metric(labels, outputs), sample_weight=data.sample_weight)
        return np.asarray(mean.result())

    return call(compute, None, f"The metric {name!r} on {_WHERE}")


def _resolve_metric(library: Any, name: str) -> Any:
    for namespace in (library.metrics, library.losses):
        try:
            metric = namespace.get(name)
        except (TypeError, ValueError):  # it has none of that name
            continue
        if metric is not None:
            return metric() if isinstance(metric, type) else metric
    raise UserCodeError(
        f"{library.__name__} {library.__version__} has no metric {name!r}, which metrics in "
        "[watch.verify] evaluate names: correct the name, or name it in custom_objects."
    )


def _precise(name: str, labels: tuple[int, ...], outputs: tuple[int, ...]) -> str:
    """Choose the accuracy or cross-entropy that Keras would, by the shapes."""
    kinds = {
        "accuracy": "accuracy",
        "acc": "accuracy",
        "crossentropy": "crossentropy",
        "ce": "crossentropy",
    }
    kind = kinds.get(name)
    if kind is None:
        return name
    if not outputs or outputs[-1] == 1 or len(outputs) == 1:
        return f"binary_{kind}"
    sparse = len(labels) < len(outputs) or labels[-1] == 1
    return f"{'sparse_' if sparse else ''}categorical_{kind}"
