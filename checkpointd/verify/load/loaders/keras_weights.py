"""Gets a file or prefix into the hands of Keras, without leaving anything beside it."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.golden import model_runner
from checkpointd.verify.load import optimizers
from checkpointd.verify.load.loaders import builders, object_graphs, optimizer_builds
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.core.report import Digest
    from checkpointd.golden import Golden
    from checkpointd.verify.keras_files.origin import Origin
    from checkpointd.verify.load.loaders.builders import Built
    from checkpointd.verify.load.loaders.object_graphs import StoredObjects

SAVED_WITHOUT = "It was saved without an optimizer: there is nothing to go on training with."
_BUILDS_NONE = (
    "It holds an optimizer, and the builder makes none: let it return a compiled model, or "
    "(model, optimizer)."
)
_ENDINGS = {Format.KERAS: ".keras", Format.HDF5: ".h5", Format.HDF5_WEIGHTS: ".weights.h5"}

_DIRECTORY = ".directory"
"""Any ending that Keras takes for no file's."""


@dataclass(frozen=True)
class Restored:
    """How weights came into a builder's model, with the optimizers that were restored beside it.

    Where there are none, `no_optimizer` says why. `model` is the one that the only optimizer
    trains, where that is another than the builder's first.
    """

    how: str
    optimizers: tuple[Any, ...] = ()
    no_optimizer: str = ""
    model: Any = None


@contextlib.contextmanager
def alias(path: str, form: Format, ending: str = "") -> Iterator[str]:
    """Give a file a name of our own, in our own directory, while Keras reads it.

    Keras chooses its reader by the name's ending, where content decides for us; and when memory
    is short it unpacks a `.keras` file into the directory of the name it was given.

    Args:
        path: the file.
        form: what it is.
        ending: the ending to give it, in place of the format's usual one.
    """
    with tempfile.TemporaryDirectory(prefix="checkpointd-") as directory:
        if form is Format.KERAS and os.path.isdir(path):
            ending = _DIRECTORY
        name = os.path.join(directory, "model" + (ending or _ENDINGS[form]))
        os.symlink(os.path.abspath(path), name)
        yield name


def build_variables(model: Any, record: Golden | None, builder: str) -> None:
    """Make sure that a builder's model has its variables, so that there is something to fill.

    Raises:
        UserCodeError: it has none, and there is no golden batch to call it with.
    """
    if model_runner.variables_of(model):
        return
    if record is not None and record.inputs:
        model(golden.assemble(record.inputs, record.input_structure))
    if not model_runner.variables_of(model):
        raise UserCodeError(
            f"The model that the builder {builder!r} returns has no variables yet: call it once on "
            "an input inside the builder."
        )


def hdf5_weights(
    built: Built, path: str, origin: Origin, stored: tuple[Digest, ...] = ()
) -> Restored:
    """Load an HDF5 file of weights into a builder's model.

    Args:
        built: the model; Keras restores only an optimizer that has its variables, so it gets them.
        path: the file.
        origin: what the file says of its writer.
        stored: the variables of optimizers that the file holds.

    Raises:
        Exception: whatever Keras raises when they do not fit.
    """
    model = built.model
    wanted = bool(stored) and not origin.legacy_layout
    if wanted:
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
    if wanted and built.optimizers:
        return Restored(how, built.optimizers)
    return Restored(how, (), _BUILDS_NONE if wanted else SAVED_WITHOUT)


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


def tf_checkpoint(built: Built, prefix: str) -> Restored:
    """Restore a TensorFlow checkpoint into what a builder made.

    A model is looked for under every name that the checkpoint's root has, then as the root itself
    (`model.save_weights(prefix)` of tf-keras). All variables of the model have to be matched; an
    optimizer's need not, because the job may have saved without it.

    Raises:
        AssertionError: a variable of the model was not found in it.
        Exception: whatever TensorFlow raises.
    """
    stored = object_graphs.read(prefix)
    problem: Exception | None = None
    for how, attempt in _attempts(built, stored):
        try:
            status = attempt().read(prefix)
            status.expect_partial()
            _assert_matched(status, built, prefix)
        except (AssertionError, ValueError) as error:  # noqa: PERF203 - a handful of names
            problem = problem or error
        else:
            return _with_optimizers(how, built, stored, status)
    raise problem or AssertionError("it holds no variables")


def _attempts(built: Built, stored: StoredObjects) -> Iterator[tuple[str, Callable[[], Any]]]:
    import tensorflow as tf

    make = tf.train.Checkpoint
    if built.checkpoint is not None:
        yield "as the builder's tf.train.Checkpoint", lambda: built.checkpoint
        return
    if built.parts is not None:
        yield "as the builder names its parts", functools.partial(make, **built.parts)
        return
    beside = {}
    if len(built.optimizers) == len(stored.optimizers) == 1:
        beside = {stored.optimizers[0]: built.optimizers[0]}
    for name in stored.models:
        yield f"as {name!r}", functools.partial(make, **{name: built.model}, **beside)
    yield "as the root", functools.partial(make, built.model, **beside)


def _assert_matched(status: Any, built: Built, prefix: str) -> None:
    """See that every variable of the model got a value.

    TensorFlow can only say whether everything got one, optimizers too. Where they did not, the
    model's variables are compared with what is stored.

    Raises:
        AssertionError: one did not.
    """
    import tensorflow as tf

    try:
        status.assert_existing_objects_matched()
    except AssertionError:
        if not built.optimizers:
            raise
        reader = tf.compat.v1.train.NewCheckpointReader(prefix)  # an empty prefix too
        stored = {_digest(reader.get_tensor(key)) for key in reader.get_variable_to_shape_map()}
        weights = [
            weight
            for model in _models(built).values()
            for weight in model_runner.variables_of(
                model, "weights" if hasattr(type(model), "weights") else "variables"
            )
        ]
        if not weights or any(_digest(weight.numpy()) not in stored for weight in weights):
            raise


def _digest(values: Any) -> Any:
    array = np.asarray(values)
    return None if array.dtype.kind in "OSU" else golden.digest_of("", array)


def _with_optimizers(how: str, built: Built, stored: StoredObjects, status: Any) -> Restored:
    """Give optimizers their variables, which is when TensorFlow restores them."""
    if not stored.optimizer_count:
        return Restored(how, (), SAVED_WITHOUT)
    if not built.optimizers:
        return Restored(how, (), _BUILDS_NONE)
    unnamed = [n for n in stored.optimizers if built.parts is not None and n not in built.parts]
    if unnamed:
        return Restored(
            how,
            (),
            f"It holds an optimizer called {unnamed[0]!r}, which the builder does not name.",
        )
    if len(built.optimizers) < stored.optimizer_count:
        return Restored(
            how,
            (),
            f"It holds {stored.optimizer_count} optimizers: let the builder return a dict that "
            "names each of them.",
        )
    models = _models(built)
    restored = dict(getattr(getattr(status, "_checkpoint", None), "object_by_proto_id", {}))
    names = {id(value): name for name, value in (built.parts or {}).items()}
    trains: list[Any] = []
    for optimizer in built.optimizers:
        name = names.get(id(optimizer), "")
        if not name and len(stored.optimizers) == 1:
            name = stored.optimizers[0]
        variables = (
            optimizer_builds.from_objects(models, restored, stored.trained.get(name, ()))
            or optimizer_builds.from_shapes(models, stored.slots.get(name, ()), name)
            or optimizer_builds.trained(built.model)
        )
        optimizer_builds.build_quietly(optimizer, variables)
        own = {id(variable) for variable in variables}
        trains = [m for m in models.values() if own & {*map(id, optimizer_builds.trained(m))}]
    other = len(built.optimizers) == 1 and trains and all(m is not built.model for m in trains)
    return Restored(how, built.optimizers, model=trains[0] if other else None)


def _models(built: Built) -> dict[str, Any]:
    """Every model that a builder names; its main one first."""
    parts = {n: v for n, v in (built.parts or {}).items() if builders.may_be_model(v)}
    main = {n: v for n, v in parts.items() if v is built.model} or {"model": built.model}
    return {**main, **parts}
