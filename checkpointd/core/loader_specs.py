"""The real loaders, one row each: to add a loader, write its module and add its row.

The order of the rows is the order in which loaders are tried. Functions are named as
`module:function` and imported in the load stage's process alone, so that this table can be read
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True)
class LoaderSpec:
    """One real loader, and the formats that it loads.

    Attributes:
        name: in `details.loader` of a report's `load`.
        summary: what it is, for the documentation.
        formats: that it takes.
        load: `module:function` of `(source, spec, earlier) -> Attempt | None`; see
            `checkpointd.verify.load.loaders.attempt`.
        explain: `module:function` of `(source, attempts) -> CheckResult`, for when no loader took
            the source and this one was the first choice.
        library: the Keras library that it needs; empty for TensorFlow alone.
        first_for: the Keras generations for whose checkpoints it comes before the rows above it.
        needs_builder: whether it loads weights into the model that the user's `builder` returns.
    """

    name: str
    summary: str
    formats: tuple[Format, ...]
    load: str
    explain: str = "checkpointd.verify.load.loaders.attempt:explain"
    library: str = ""
    first_for: tuple[int, ...] = ()
    needs_builder: bool = False


_LOADERS = "checkpointd.verify.load.loaders"

LOADERS: list[LoaderSpec] = [
    LoaderSpec(
        name="keras",
        summary="`load_model` of Keras 3",
        formats=(Format.KERAS, Format.HDF5),
        load=f"{_LOADERS}.keras:load",
        explain=f"{_LOADERS}.keras:explain",
        library="keras",
        first_for=(3,),
    ),
    LoaderSpec(
        name="tf_keras",
        summary="`load_model` of tf-keras (Keras 2)",
        formats=(Format.KERAS, Format.HDF5),
        load=f"{_LOADERS}.keras:load",
        explain=f"{_LOADERS}.keras:explain",
        library="tf_keras",
        first_for=(1, 2),
    ),
    LoaderSpec(
        name="keras",
        summary="`load_weights` of Keras 3",
        formats=(Format.HDF5_WEIGHTS,),
        load=f"{_LOADERS}.keras_weights:load",
        library="keras",
        needs_builder=True,
    ),
    LoaderSpec(
        name="tf_keras",
        summary="`load_weights` of tf-keras (Keras 2)",
        formats=(Format.HDF5_WEIGHTS,),
        load=f"{_LOADERS}.keras_weights:load",
        library="tf_keras",
        needs_builder=True,
    ),
    LoaderSpec(
        name="saved_model",
        summary="`tf.saved_model.load`",
        formats=(Format.SAVEDMODEL,),
        load=f"{_LOADERS}.saved_model:load",
        explain=f"{_LOADERS}.saved_model:explain",
    ),
    LoaderSpec(
        name="saved_model_v1",
        summary="the session loader of TensorFlow 1, which TensorFlow Serving uses",
        formats=(Format.SAVEDMODEL,),
        load=f"{_LOADERS}.session:load",
    ),
    LoaderSpec(
        name="tf_train",
        summary="`tf.train.Checkpoint.read`",
        formats=(Format.TF_CHECKPOINT,),
        load=f"{_LOADERS}.tf_train:load",
        needs_builder=True,
    ),
]


NOTHING_LOADED = "Nothing was loaded."
"""Why a check of a loaded model is skipped where no better reason is known."""


def loaders_of(format: Format) -> list[LoaderSpec]:
    """Return the loaders of a format, in the table's order."""
    return [spec for spec in LOADERS if format in spec.formats]


def why_nothing_loads(format: Format, builder: str) -> str:
    """Explain why no loader can take a format, whatever is installed; empty if one may.

    Args:
        format: as the content shows it.
        builder: the user's; empty if there is none.
    """
    specs = loaders_of(format)
    if not specs:
        return f"Nothing loads the format {format}."
    if not builder and all(spec.needs_builder for spec in specs):
        return "Weights only: nothing to load it into; name a builder in [watch.verify]."
    return ""


def in_order(
    specs: Sequence[LoaderSpec], generation: int, installed: Collection[str]
) -> list[LoaderSpec]:
    """Return the loaders that can be used here, the first choice first.

    Args:
        specs: in the table's order.
        generation: of the Keras that wrote the checkpoint; 0 when it is unknown.
        installed: names of the Keras libraries in this interpreter.
    """
    usable = [spec for spec in specs if not spec.library or spec.library in installed]
    return sorted(usable, key=lambda spec: generation not in spec.first_for)
