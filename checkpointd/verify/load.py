"""The check `load`: the checkpoint comes back as a model, under the Keras that wrote it."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from typing import TYPE_CHECKING, Any

from checkpointd.checkpoint import CheckResult, Format, failed, passed, skipped
from checkpointd.formats import FormatError
from checkpointd.verify import (
    builders,
    keras_models,
    optimizers,
    restore,
    runtime,
    saved_model_loading,
    user_code,
    user_modules,
)
from checkpointd.verify.keras_code import carries_code, of_another_python
from checkpointd.verify.load_errors import (
    classify,
    foreign_code,
    forgotten,
    is_built_in,
    needs_code,
    told,
    unknown_name,
    unknown_object,
)
from checkpointd.verify.origin import Origin, names_policy, read_origin, release
from checkpointd.verify.suite import printable
from checkpointd.verify.tf_errors import other_python
from checkpointd.verify.user_code import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.criteria import VerifySettings
    from checkpointd.verify.runtime import LoadContext

_NO_BUILDER = "Weights only: nothing to load it into; name a builder in [watch.verify]."
_LEGACY_PIP = "pip install 'checkpointd[legacy]'"


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
            return saved_model_loading.check(context, path)
        origin = read_origin(path, form)
        if weights_only:
            return _weights(context, path, form, origin)
        return _whole_model(context, path, form, origin)
    except UserCodeError as error:
        return failed("load", "environment", str(error))
    except FormatError as error:  # `structure` says so first, unless it is switched off
        return failed("load", "load_error", f"It cannot be loaded: {error}")


def _whole_model(context: LoadContext, path: str, form: Format, origin: Origin) -> CheckResult:
    settings = context.request.settings
    library = runtime.library_for(origin.generation)
    hindrance = _hindrance(form, origin, library, settings.allow_code)
    if hindrance is not None:
        return hindrance
    custom = user_code.custom_objects(settings)
    refused = _refused(origin, library, custom, settings)
    if refused is not None:
        return refused
    note = ""
    try:
        with runtime.policy(library, _policy(context, origin)):
            model = _load(path, form, library, custom, settings.allow_code, compiled=True)
    except Exception as first:  # noqa: BLE001 - Keras raises anything; classify tells
        missing = forgotten(origin.config, library, custom)
        if not missing:
            name = unknown_name(first)
            missing = (name,) if name and not is_built_in(name, library) else ()
        if missing:
            return unknown_object(missing, tuple(custom))
        try:
            model = _load(path, form, library, custom, settings.allow_code, compiled=False)
        except Exception as error:  # noqa: BLE001 - the same
            return _not_loaded(error, library, origin, tuple(custom))
        note = told(f"{type(first).__name__}: {first}", 400)
    context.loaded = keras_models.wrap(model, library, context.record)
    context.compile_config, context.compile_failed = origin.compiled, bool(note)
    loader = f"{library.__name__} {library.__version__}"
    if note:
        return failed(
            "load",
            "compile_failed",
            f"The model loads, its compile configuration does not: {note}",
            loader=loader,
            written_by=origin.version,
        )
    return passed("load", f"Loaded with {loader}.", loader=loader, written_by=origin.version)


def _policy(context: LoadContext, origin: Origin) -> str:
    """The global precision policy of the job, where a model comes back whole only under it.

    Keras 3 puts a loss scale around the optimizer when the policy is mixed_float16, and does not
    write it into the configuration: the job that goes on sets the policy again before it loads.
    """
    scaled = optimizers.has_loss_scale(context.facts.optimizer_tensors or ())
    return "mixed_float16" if scaled and names_policy(origin.config, "mixed_float16") else ""


def _hindrance(form: Format, origin: Origin, library: Any, allow_code: bool) -> CheckResult | None:
    """Say why a model need not even be tried; None when nothing speaks against it."""
    layer = "" if allow_code else carries_code(origin.config)
    if layer:
        return needs_code(layer)
    foreign = of_another_python(origin.config) if allow_code else ""
    if foreign:
        return failed("load", "environment", other_python(f"It lies in {printable(foreign)}."))
    legacy_writer = origin.generation in (1, runtime.LEGACY)
    if legacy_writer and runtime.generation(library) != runtime.LEGACY and form is Format.KERAS:
        return _needs_legacy(origin)
    if origin.generation > runtime.generation(library):
        return failed(
            "load",
            "environment",
            f"Keras {origin.version} wrote it and this interpreter has Keras "
            f"{library.__version__}: set python in [watch.verify] to one that has Keras 3.",
        )
    return None


def _refused(
    origin: Origin, library: Any, custom: Mapping[str, Any], settings: VerifySettings
) -> CheckResult | None:
    """Say what the library would import or call for it that nobody trusts; None if nothing."""
    code = user_modules.foreign_code(origin.config, custom)
    if code is not None:
        return foreign_code(code.place, f"{code.module}.{code.name}")
    unknown = user_modules.not_to_import(origin.config, library, custom, settings)
    if not unknown:
        return None
    others = forgotten(origin.config, library, custom)
    return unknown_object(tuple(dict.fromkeys((*unknown, *others))), tuple(custom))


def _load(
    path: str,
    form: Format,
    library: Any,
    custom: dict[str, Any],
    allow_code: bool,
    *,
    compiled: bool,
) -> Any:
    load_model = library.models.load_model
    guarded = "safe_mode" in inspect.signature(load_model).parameters  # from Keras 2.13 on
    safety = {"safe_mode": not allow_code} if guarded else {}
    with warnings.catch_warnings(), restore.alias(path, form) as name:
        warnings.simplefilter("ignore")
        return load_model(name, custom_objects=custom, compile=compiled, **safety)


def _not_loaded(
    error: Exception, library: Any, origin: Origin, known: tuple[str, ...]
) -> CheckResult:
    result = classify(error, library, known)
    if result.reason != "load.load_error":
        return result
    if origin.generation == 1:
        return failed(
            "load",
            "environment",
            "Keras 1 wrote it, and no Keras that is maintained reads its configuration: load it "
            f"with Keras 2.2 and save it again. {result.message}",
            written_by=origin.version,
        )
    if origin.generation == runtime.LEGACY and runtime.generation(library) != runtime.LEGACY:
        return _needs_legacy(origin, result.message)
    if release(origin.version) > release(str(library.__version__)):
        return failed(
            "load",
            "environment",
            f"Keras {origin.version} wrote it, and the older Keras {library.__version__} here "
            f"does not read it: upgrade Keras, or set python in [watch.verify]. {result.message}",
        )
    return result


def _needs_legacy(origin: Origin, message: str = "") -> CheckResult:
    return failed(
        "load",
        "needs_legacy",
        f"Keras {origin.version} wrote it and Keras 3 cannot read it: {_LEGACY_PIP}."
        + (f" {message}" if message else ""),
        written_by=origin.version,
    )


def _weights(context: LoadContext, path: str, form: Format, origin: Origin) -> CheckResult:
    settings = context.request.settings
    built = builders.unpack(user_code.build(settings), settings.builder)
    library = runtime.library_of(built.model)
    if library is None and form is not Format.TF_CHECKPOINT:
        raise UserCodeError(
            f"The builder {settings.builder!r} returned a {type(built.model).__name__}: it has to "
            "return a Keras model."
        )
    restore.build_variables(built.model, context.record, settings.builder)
    try:
        if form is Format.TF_CHECKPOINT:
            restored = restore.tf_checkpoint(built, path)
        else:
            known = context.facts.optimizer_tensors
            restored = restore.hdf5_weights(built, path, origin, with_optimizer=bool(known))
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
    context.loaded = dataclasses.replace(
        keras_models.wrap(built.model, library, context.record),
        optimizers=restored.optimizers,
        no_optimizer=restored.no_optimizer,
    )
    loader = f"{library.__name__} {library.__version__}" if library else "tf.train.Checkpoint"
    return passed("load", f"Loaded into the builder's model {restored.how}.", loader=loader)
