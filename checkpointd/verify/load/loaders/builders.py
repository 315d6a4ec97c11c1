"""What the user's builder returns: a model, and what else its checkpoints hold.

| it returns | a TensorFlow checkpoint is restored as |
| --- | --- |
| a model | `Checkpoint(NAME=model)`, NAME as it is in the file; a compiled one's optimizer too |
| `(model, optimizer)` | the same, with that optimizer under its name in the file |
| a dict, such as `{"net": model, "opt": optimizer}` | `Checkpoint(**dict)` |
| a `tf.train.Checkpoint` | itself |
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd import golden
from checkpointd.golden import model_runner
from checkpointd.verify import user_code
from checkpointd.verify.load import optimizers, runtime
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.golden import Golden

_PAIR = 2


@dataclass(frozen=True)
class Built:
    """A model that weights are restored into.

    `parts` are the children of the checkpoint's root by name, where the builder names them;
    `checkpoint` is the `tf.train.Checkpoint` that it returned, or None.
    """

    model: Any
    optimizers: tuple[Any, ...] = ()
    parts: Mapping[str, Any] | None = None
    checkpoint: Any = None


def build(settings: VerifySettings, record: Golden | None, *, needs_keras: bool) -> Built:
    """Call the user's builder, and make sure that its model has variables to restore into.

    Args:
        settings: which name the builder.
        record: the golden record, whose batch a model without variables is called on.
        needs_keras: the loader takes Keras models alone.

    Raises:
        UserCodeError: the builder cannot be used.
    """
    built = unpack(user_code.build(settings), settings.builder)
    if needs_keras and runtime.library_of(built.model) is None:
        raise UserCodeError(
            f"The builder {settings.builder!r} returned a {type(built.model).__name__}: it has to "
            "return a Keras model."
        )
    if not model_runner.variables_of(built.model) and record is not None and record.inputs:
        built.model(golden.assemble(record.inputs, record.input_structure))
    if not model_runner.variables_of(built.model):
        raise UserCodeError(
            f"The model that the builder {settings.builder!r} returns has no variables yet: call "
            "it once on an input inside the builder."
        )
    return built


def unpack(returned: Any, builder: str) -> Built:
    """Find model and optimizers in what a builder returned.

    Args:
        returned: by the builder.
        builder: its name, for the message.

    Raises:
        UserCodeError: there is no model in it.
    """
    tf = sys.modules.get("tensorflow")
    if tf is not None and isinstance(returned, tf.train.Checkpoint):
        parts = {k: v for k, v in vars(returned).items() if not k.startswith("_")}
        return _of_parts(parts, builder, returned)
    if isinstance(returned, dict):
        return _of_parts(returned, builder)
    if isinstance(returned, (tuple, list)):
        if len(returned) != _PAIR or not optimizers.is_optimizer(returned[1]):
            raise UserCodeError(
                f"The builder {builder!r} returned a {type(returned).__name__} that is no "
                "(model, optimizer): return a model, this pair, a dict or a tf.train.Checkpoint."
            )
        return Built(returned[0], (returned[1],))
    return Built(returned, optimizers.of_model(returned))


def _of_parts(parts: Mapping[str, Any], builder: str, checkpoint: Any = None) -> Built:
    trained_by = tuple(v for v in parts.values() if optimizers.is_optimizer(v))
    models = [name for name, value in parts.items() if may_be_model(value)]
    if not models:
        raise UserCodeError(
            f"What the builder {builder!r} returned names no model: name it 'model', or as the "
            "training job does in its tf.train.Checkpoint."
        )
    models.sort(key=lambda name: (runtime.library_of(parts[name]) is None, name != "model"))
    model = parts[models[0]]
    return Built(model, trained_by or optimizers.of_model(model), parts, checkpoint)


def may_be_model(value: Any) -> bool:
    """Whether a part of a checkpoint is a model, or a layer, rather than an optimizer or a step."""
    if not callable(value) or optimizers.is_optimizer(value):
        return False
    try:
        return hasattr(value, "trainable_variables")
    except ValueError:  # of Keras 2, for a model without variables
        return True
