"""`GoldenCheckpoint`: Keras's own `ModelCheckpoint`, saving atomically and with golden records.

When to save, and under what name, is Keras's business and stays so: only while Keras saves, the
callback holds a stand-in for the model, with a `save` and `save_weights` of this module.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from checkpointd.core.format_specs import Format
from checkpointd.training.library import generation, keras_of, preferred_keras
from checkpointd.training.saving import infer_format, save
from checkpointd.training.writers import check_writable

_KERAS_3 = 3


class _Golden:
    """What `GoldenCheckpoint` adds to the `ModelCheckpoint` of either Keras."""

    keras: Any

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        golden: Any = None,
        *,
        format: str | None = None,
        compiled: bool | None = None,
        **arguments: Any,
    ) -> None:
        path = os.fspath(filepath)
        weights_only = bool(arguments.get("save_weights_only"))
        stand_in = path
        if generation(self.keras) == _KERAS_3:  # which takes only the endings that it writes itself
            stand_in = path + (".weights.h5" if weights_only else ".keras")
        super().__init__(stand_in, **arguments)  # type: ignore[call-arg]  # it is ModelCheckpoint's
        self.filepath = path
        self.golden = golden
        self.golden_format = _format(path, format, weights_only)
        check_writable(self.keras, self.golden_format)  # before hours of training, not after them
        self.golden_compiled = compiled
        self._given = {"format": format, "compiled": compiled, **arguments}
        self._logs: dict[str, Any] = {}
        self._epoch = 0
        self.model: Any
        self.save_freq: Any

    def set_model(self, model: Any) -> None:
        """Take the model; one of the other Keras makes this a callback of that Keras."""
        keras = keras_of(model)
        if keras is not None and keras is not self.keras:
            other = _class_for(keras)(self.filepath, self.golden, **self._given)
            self.__class__ = type(other)  # made of the other Keras
            self.__dict__ = other.__dict__
        super().set_model(model)  # type: ignore[misc]  # it is Callback's

    def _save_model(self, epoch: int, batch: int | None, logs: Any) -> None:
        model = self.model
        self._logs = dict(logs or {})
        self._epoch = epoch
        keras_set_model = super().set_model  # type: ignore[misc]  # it is Callback's
        keras_set_model(_StandIn(model, self))
        try:
            super()._save_model(epoch, batch, logs)  # type: ignore[misc]  # so is this
        finally:
            keras_set_model(model)

    def save_golden(self, model: Any, path: str, arguments: dict[str, Any]) -> None:
        """Save the model at `path`; what Keras's `model.save` would have done."""
        save(
            model,
            path,
            format=self.golden_format,
            golden=self.golden,
            metrics=self._logs,
            step=self._step(model),
            compiled=self.golden_compiled,
            **arguments,
        )

    def _step(self, model: Any) -> int:
        """Return how far training is: the epoch; the optimizer's steps when saving by batches."""
        if self.save_freq == "epoch":
            return int(self._epoch) + 1
        iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
        return int(self._epoch) + 1 if iterations is None else int(iterations)


@functools.cache
def _class_for(keras: Any) -> Any:
    namespace = {"keras": keras, "__module__": __name__, "__doc__": _DOCUMENTATION}
    return type("GoldenCheckpoint", (_Golden, keras.callbacks.ModelCheckpoint), namespace)


_DOCUMENTATION = """A `keras.callbacks.ModelCheckpoint`, atomic and with golden records.

Every argument of `ModelCheckpoint` works as Keras documents it. A `filepath` that is no `.keras`
or `.h5` file is a SavedModel's directory, or, with `save_weights_only`, the prefix of a TensorFlow
checkpoint. The record holds the golden inputs as they are.

Args:
    filepath: where to save; Keras fills in `{epoch:02d}`, `{val_loss:.2f}` and the like.
    golden: a small batch of inputs, such as `x_val[:8]`: one array, a list, or a dict; with labels
        a tuple, such as `(x_val[:8], y_val[:8])`.
    format: as for `save`, where the name does not show it.
    compiled: as for `save`.
    **arguments: `monitor`, `save_best_only`, `mode` and so on, of `ModelCheckpoint`.
"""


class _StandIn:
    """Stands in for a model while Keras saves it: everything is the model's but the saving."""

    def __init__(self, model: Any, callback: _Golden) -> None:
        self._model = model
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def save(self, filepath: str, *, overwrite: bool = True, **arguments: Any) -> None:
        """Save the whole model."""
        del overwrite  # a callback's always is
        self._callback.save_golden(self._model, filepath, _given(arguments))

    def save_weights(self, filepath: str, *, overwrite: bool = True, **arguments: Any) -> None:
        """Save the weights."""
        del overwrite
        self._callback.save_golden(self._model, filepath, _given(arguments))


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _format(path: str, format: str | None, weights_only: bool) -> Format:
    chosen = infer_format(path, format)
    if format is None and weights_only and chosen is not Format.HDF5_WEIGHTS:
        return Format.TF_CHECKPOINT if chosen is Format.SAVEDMODEL else Format.HDF5_WEIGHTS
    return chosen


GoldenCheckpoint: Any = _class_for(preferred_keras())
