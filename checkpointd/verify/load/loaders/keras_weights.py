"""The loaders `keras` and `tf_keras` for weights: HDF5, restored into the builder's model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.verify.load import optimizers, runtime
from checkpointd.verify.load.loaders import optimizer_builds, weights
from checkpointd.verify.load.loaders.file_alias import alias
from checkpointd.verify.load.loaders.weights import Restored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.core.report import Digest
    from checkpointd.verify.keras_files.origin import Origin
    from checkpointd.verify.load.loaders.attempt import Attempt, LoadSource
    from checkpointd.verify.load.loaders.builders import Built


def load(source: LoadSource, spec: LoaderSpec, _earlier: Sequence[Attempt]) -> Attempt | None:
    """Load weights into the builder's model, if that is one of this loader's library.

    Raises:
        UserCodeError: the builder cannot be used.
    """
    source.import_user_code()
    built = source.built(needs_keras=True)
    if runtime.library_of(built.model).__name__ != spec.library:
        return None
    source.context.wait_for_scan()
    stored = source.context.facts.optimizer_tensors or ()
    return weights.load_into_builder(
        source, spec, lambda built: restore(built, source.path, source.origin, stored)
    )


def restore(built: Built, path: str, origin: Origin, stored: tuple[Digest, ...] = ()) -> Restored:
    """Load an HDF5 file of weights into a builder's model.

    Args:
        built: the model; Keras restores only an optimizer that has its variables, so it gets them.
        path: the file.
        origin: the writer, as the file names it.
        stored: the variables of optimizers that the file holds.

    Raises:
        Exception: whatever Keras raises when they do not fit.
    """
    model = built.model
    has_optimizer = bool(stored) and not origin.legacy_layout
    if has_optimizer:
        _build_for_hdf5(built, stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.endswith(".json"):  # names its shards relative to itself
            model.load_weights(path)
            how = "from sharded weights"
        else:
            ending = ".h5" if origin.legacy_layout else ".weights.h5"
            with alias(path, Format.HDF5_WEIGHTS, ending) as name:
                model.load_weights(name)
            how = "by layers" if origin.legacy_layout else "by paths"
    if has_optimizer and built.optimizers:
        return Restored(how, built.optimizers)
    return Restored(how, (), weights.BUILDER_MAKES_NONE if has_optimizer else weights.SAVED_WITHOUT)


def _build_for_hdf5(built: Built, stored: tuple[Digest, ...]) -> None:
    """Build the optimizers of a model: Keras restores none that has not its variables."""
    model = built.model
    if len(built.optimizers) == 1 and getattr(model, "optimizer", None) is None:
        model.optimizer = built.optimizers[0]
    parts = optimizer_builds.parts_of(model)
    for name, optimizer in optimizer_builds.optimizers_in(model, optimizers.is_optimizer):
        slots = optimizer_builds.stored_slots(stored, name)
        variables = optimizer_builds.from_shapes(parts, slots, name)
        optimizer_builds.build_quietly(optimizer, variables or optimizer_builds.trained(model))
    for optimizer in built.optimizers:
        optimizer_builds.build_quietly(optimizer, optimizer_builds.trained(model))
