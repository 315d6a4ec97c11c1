"""Weights that are restored into the model that the user's builder makes."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import failed, passed
from checkpointd.verify.load import runtime
from checkpointd.verify.load.load_errors import classify, one_line
from checkpointd.verify.load.loaders import builders, keras_signature, weight_names
from checkpointd.verify.load.loaders.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.verify.load.loaders.attempt import LoadSource
    from checkpointd.verify.load.loaders.builders import Built

SAVED_WITHOUT = "It was saved without an optimizer: there is nothing to go on training with."
BUILDER_MAKES_NONE = (
    "It holds an optimizer, and the builder makes none: let it return a compiled model, or "
    "(model, optimizer)."
)
_TEXT = 400


@dataclass(frozen=True)
class Restored:
    """How weights came into a builder's model, with the optimizers that were restored beside it.

    Where there are none, `no_optimizer` explains why. `model` is the one that the only optimizer
    trains, where that is another than the builder's first.
    """

    how: str
    optimizers: tuple[Any, ...] = ()
    no_optimizer: str = ""
    model: Any = None


def load_into_builder(
    source: LoadSource, spec: LoaderSpec, restore: Callable[[Built], Restored]
) -> Attempt:
    """Restore the weights of a source into what the user's builder makes.

    Args:
        source: the checkpoint.
        spec: the loader's row in the table.
        restore: puts the weights into it.

    Raises:
        UserCodeError: the builder cannot be used.
    """
    settings, record = source.settings, source.context.record
    built = source.built(needs_keras=bool(spec.library))
    library = runtime.library_of(built.model)
    started = time.process_time()
    try:
        restored = restore(built)
    except Exception as error:  # noqa: BLE001 - Keras and TensorFlow raise anything
        result = classify(error, library)
        if result.reason == "load.load_error":
            result = weight_names.explain(source, error) or failed(
                "load",
                "environment",
                f"Its weights do not fit the model that {settings.builder!r} makes: point builder "
                f"at the code that the job runs. {one_line(str(error), _TEXT)}",
            )
        return Attempt(spec, result=result, is_final=True)

    def load_again() -> Any:
        other = builders.build(settings, record, needs_keras=bool(spec.library))
        return restore(other).model or other.model

    loaded = dataclasses.replace(
        keras_signature.wrap(restored.model or built.model, library, record),
        optimizers=restored.optimizers,
        no_optimizer=restored.no_optimizer,
        load_again=load_again,
        load_seconds=source.build_seconds + time.process_time() - started,
    )
    version = {"loader_version": str(library.__version__)} if spec.library else {}
    message = f"Loaded into the builder's model {restored.how}."
    return Attempt(
        spec, loaded, passed("load", message, loader=spec.name, **version), is_final=True
    )
