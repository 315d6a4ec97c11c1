"""The loader `tf_train`: a TensorFlow checkpoint, restored into what the user's builder makes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.golden import model_runner
from checkpointd.verify.load.loaders import builders, object_graphs, optimizer_builds, weights
from checkpointd.verify.load.loaders.weights import Restored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.verify.load.loaders.attempt import Attempt, LoadSource
    from checkpointd.verify.load.loaders.builders import Built
    from checkpointd.verify.load.loaders.object_graphs import StoredObjects


def load(source: LoadSource, spec: LoaderSpec, _earlier: Sequence[Attempt]) -> Attempt:
    """Restore a checkpoint into the builder's model.

    Raises:
        UserCodeError: the builder cannot be used.
    """
    source.import_user_code()
    return weights.load_into_builder(source, spec, lambda built: restore(built, source.path))


def restore(built: Built, prefix: str) -> Restored:
    """Restore a TensorFlow checkpoint into what a builder made.

    A model is tried under every name that the checkpoint's root has, then as the root itself
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
    """Build optimizers, which is when TensorFlow restores their variables."""
    if not stored.optimizer_count:
        return Restored(how, (), weights.SAVED_WITHOUT)
    if not built.optimizers:
        return Restored(how, (), weights.BUILDER_MAKES_NONE)
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
        trained = {id(variable) for variable in variables}
        trains = [m for m in models.values() if trained & {*map(id, optimizer_builds.trained(m))}]
    other = len(built.optimizers) == 1 and trains and all(m is not built.model for m in trains)
    return Restored(how, built.optimizers, model=trains[0] if other else None)


def _models(built: Built) -> dict[str, Any]:
    """Every model that a builder names; its main one first."""
    parts = {n: v for n, v in (built.parts or {}).items() if builders.may_be_model(v)}
    main = {n: v for n, v in parts.items() if v is built.model} or {"model": built.model}
    return {**main, **parts}
