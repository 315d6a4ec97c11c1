"""The real loaders: one row for each, in the order in which they are tried.

A row names its module and does not import it, so that this table can be read (by the
documentation, for one) where neither TensorFlow nor Keras is installed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from checkpointd.core.format_specs import Format

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from checkpointd.verify.load.loaders.attempt import LoaderModule

_PACKAGE = "checkpointd.verify.load.loaders"


@dataclass(frozen=True)
class LoaderSpec:
    """One real loader, and the checkpoints that it loads.

    `name` is what the report's `details.loader` holds, `title` what the documentation calls it;
    `module` has its `load(source, spec, earlier)` and, where it can explain failures better than
    `attempt.explain`, an `explain(source, attempts)`. `library` is the Keras library that it
    needs. `first_for` holds the Keras generations whose checkpoints it is tried on before the
    rows above it. `needs_builder`: it loads weights into the model that the user's builder makes.
    """

    name: str
    title: str
    formats: tuple[Format, ...]
    module: str
    library: str = ""
    first_for: tuple[int, ...] = ()
    needs_builder: bool = False

    def import_module(self) -> LoaderModule:
        """Import the module that does the loading."""
        return cast("LoaderModule", importlib.import_module(self.module))


LOADERS: tuple[LoaderSpec, ...] = (
    LoaderSpec(
        "keras",
        "`load_model` of Keras 3",
        (Format.KERAS, Format.HDF5),
        f"{_PACKAGE}.keras",
        library="keras",
        first_for=(3,),
    ),
    LoaderSpec(
        "tf_keras",
        "`load_model` of tf-keras (Keras 2)",
        (Format.KERAS, Format.HDF5),
        f"{_PACKAGE}.keras",
        library="tf_keras",
        first_for=(1, 2),
    ),
    LoaderSpec(
        "keras",
        "`load_weights` of Keras 3",
        (Format.HDF5_WEIGHTS,),
        f"{_PACKAGE}.keras_weights",
        library="keras",
        needs_builder=True,
    ),
    LoaderSpec(
        "tf_keras",
        "`load_weights` of tf-keras (Keras 2)",
        (Format.HDF5_WEIGHTS,),
        f"{_PACKAGE}.keras_weights",
        library="tf_keras",
        needs_builder=True,
    ),
    LoaderSpec(
        "saved_model",
        "`tf.saved_model.load`",
        (Format.SAVEDMODEL,),
        f"{_PACKAGE}.saved_model",
    ),
    LoaderSpec(
        "saved_model_v1",
        "the session loader of TensorFlow 1, which TensorFlow Serving uses",
        (Format.SAVEDMODEL,),
        f"{_PACKAGE}.session",
    ),
    LoaderSpec(
        "tf_train",
        "`tf.train.Checkpoint.read`",
        (Format.TF_CHECKPOINT,),
        f"{_PACKAGE}.tf_train",
        needs_builder=True,
    ),
)


def for_format(format: Format) -> tuple[LoaderSpec, ...]:  # noqa: A002 - the report's word
    """Return the rows that load a format."""
    return tuple(row for row in LOADERS if format in row.formats)


def in_order(
    rows: Sequence[LoaderSpec], generation: int, installed: Collection[str]
) -> list[LoaderSpec]:
    """Return the rows that can be used here, the first choice first.

    Args:
        rows: of the table, in its order.
        generation: of the Keras that wrote the checkpoint; 0 when nobody knows.
        installed: names of the Keras libraries in this interpreter.
    """
    usable = [row for row in rows if not row.library or row.library in installed]
    return sorted(usable, key=lambda row: generation not in row.first_for)
