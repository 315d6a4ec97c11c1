"""The check `load`: the checkpoint comes back as a model, under the Keras that wrote it."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError
from checkpointd.verify import user_code
from checkpointd.verify.keras_files.origin import Origin, read_origin
from checkpointd.verify.load import runtime, unsaved_state
from checkpointd.verify.load.load_errors import classify, told
from checkpointd.verify.load.loaders import (
    builders,
    keras,
    keras_signature,
    keras_weights,
    saved_model_errors,
)
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from checkpointd.verify.load.loaders.builders import Built
    from checkpointd.verify.load.runtime import LoadContext

_NO_BUILDER = "Weights only: nothing to load it into; name a builder in [watch.verify]."


def check(context: LoadContext) -> CheckResult:
    """Load the checkpoint; a weights-only one into what the user's builder returns."""
    request, settings = context.request, context.request.settings
    path, form = request.checkpoint.path, context.facts.format
    if form is Format.UNKNOWN:
        form = request.checkpoint.format
    weights_only = form in (Format.HDF5_WEIGHTS, Format.TF_CHECKPOINT)
    if weights_only and not settings.builder:
        context.nothing_loaded = _NO_BUILDER
        return skipped("load", _NO_BUILDER)
    user_code.use_python_path(settings)
    try:
        if form is Format.SAVEDMODEL:
            return saved_model_errors.check(context, path)
        origin = read_origin(path, form)
        before = unsaved_state.random_state()
        user_code.import_all(settings)
        context.seeded = unsaved_state.random_state() != before
        load = _weights if weights_only else keras.load
        result = load(context, path, form, origin)
        return unsaved_state.check(context) or result
    except UserCodeError as error:
        return failed("load", "environment", str(error))
    except FormatError as error:  # `structure` says so first, unless it is switched off
        return failed("load", "load_error", f"It cannot be loaded: {error}")


def _weights(context: LoadContext, path: str, form: Format, origin: Origin) -> CheckResult:
    settings = context.request.settings
    started = time.process_time()
    built = _built(context, form)
    library = runtime.library_of(built.model)
    try:
        restored = _restored(context, built, path, form, origin)
    except Exception as error:  # noqa: BLE001 - Keras raises anything; classify tells
        result = classify(error, library)
        if result.reason != "load.load_error":
            return result
        return failed(
            "load",
            "environment",
            f"Its weights do not fit the model that {settings.builder!r} makes: point builder at "
            f"the code that the job runs. {told(str(error), 400)}",
        )
    context.load_seconds = time.process_time() - started

    def again() -> Any:
        other = _built(context, form)
        return _restored(context, other, path, form, origin).model or other.model

    context.loaded = dataclasses.replace(
        keras_signature.wrap(restored.model or built.model, library, context.record),
        optimizers=restored.optimizers,
        no_optimizer=restored.no_optimizer,
        again=again,
    )
    how = f"Loaded into the builder's model {restored.how}."
    if form is Format.TF_CHECKPOINT or library is None:
        return passed("load", how, loader="tf_train")
    version = str(library.__version__)
    return passed("load", how, loader=library.__name__, loader_version=version)


def _built(context: LoadContext, form: Format) -> Built:
    """Call the user's builder, and see that its model has variables to fill.

    Raises:
        UserCodeError: it cannot be used.
    """
    settings = context.request.settings
    built = builders.unpack(user_code.build(settings), settings.builder)
    if runtime.library_of(built.model) is None and form is not Format.TF_CHECKPOINT:
        raise UserCodeError(
            f"The builder {settings.builder!r} returned a {type(built.model).__name__}: it has to "
            "return a Keras model."
        )
    keras_weights.build_variables(built.model, context.record, settings.builder)
    return built


def _restored(
    context: LoadContext, built: Built, path: str, form: Format, origin: Origin
) -> keras_weights.Restored:
    if form is Format.TF_CHECKPOINT:
        return keras_weights.tf_checkpoint(built, path)
    return keras_weights.hdf5_weights(built, path, origin, context.facts.optimizer_tensors or ())
