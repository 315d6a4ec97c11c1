"""Loads a whole Keras model, `.keras` or `.h5`, with the library that wrote it, else with another.

A library that cannot read it is no evidence as long as another one does. Where none does, the
writer's own says why; `load_errors` tells whose fault that is.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed
from checkpointd.core.format_specs import Format
from checkpointd.verify import user_code
from checkpointd.verify.keras_files.keras_code import carries_code, of_another_python
from checkpointd.verify.keras_files.origin import Origin, names_policy, windows_name
from checkpointd.verify.load import keras_built_ins, load_errors, optimizers, runtime
from checkpointd.verify.load.loaders import (
    keras_errors,
    keras_signature,
    keras_weights,
    trusted_modules,
)
from checkpointd.verify.suite import printable
from checkpointd.verify.tf_errors import other_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.verify.load.runtime import LoadContext

_HOPELESS = frozenset({"load.out_of_memory", "load.unreadable"})
"""What another library, or leaving out the compile configuration, does not mend."""

_NOTE = 400


@dataclass(frozen=True)
class Attempt:
    """What came of loading a model with one library.

    `again` loads it once more in the same way; `note` says why its compile configuration was left
    out, and `unknown` what that names; `error` and `missing` say why there is no model.
    """

    library: Any
    model: Any = None
    again: Callable[[], Any] = lambda: None
    note: str = ""
    unknown: tuple[str, ...] = ()
    error: Exception | None = None
    missing: tuple[str, ...] = ()


def load(context: LoadContext, path: str, form: Format, origin: Origin) -> CheckResult:
    """Load a whole model into the context.

    Raises:
        UserCodeError: a custom object that the settings name cannot be imported.
    """
    settings = context.request.settings
    libraries = runtime.libraries_for(origin.generation)
    unusable = _why_unusable(form, origin, libraries[0], allow_code=settings.allow_code)
    if unusable is not None:
        return unusable
    custom = user_code.custom_objects(settings)
    code = trusted_modules.foreign_code(origin.config, custom)
    if code is not None:
        return load_errors.foreign_code(code.place, f"{code.module}.{code.name}")
    policy = _policy(context, origin)
    failures: list[Attempt] = []
    for library in libraries:
        started = time.process_time()
        attempt = _attempt(path, form, origin, library, custom, settings, policy)
        if attempt.model is not None:
            context.load_seconds = time.process_time() - started
            return _loaded(context, attempt, origin, failures)
        failures.append(attempt)
        if attempt.error is not None:
            result = load_errors.classify(attempt.error, library, tuple(custom))
            if result.reason in _HOPELESS:
                return result
    first = failures[0]
    if first.missing or first.error is None:
        return load_errors.unknown_object(first.missing, tuple(custom))
    return _saved_on_windows(path, form, origin) or keras_errors.judge(
        first.error,
        first.library,
        origin,
        custom,
        lambda more: load_model(
            path, form, first.library, more, settings.allow_code, policy, compiled=False
        ),
    )


def _saved_on_windows(path: str, form: Format, origin: Origin) -> CheckResult | None:
    """Say that another system finds the weights, where it is so."""
    name = windows_name(path) if form is Format.KERAS else ""
    if not name:
        return None
    return failed(
        "load",
        "environment",
        f"It was saved on Windows, and its weights lie under names such as '{name}', which Keras "
        "finds on Windows alone: load it there, and save it as .h5 or with a newer Keras.",
        written_by=origin.version,
    )


def _attempt(
    path: str,
    form: Format,
    origin: Origin,
    library: Any,
    custom: dict[str, Any],
    settings: VerifySettings,
    policy: str,
) -> Attempt:
    """Load it with one library, without its compile configuration where that does not load."""
    refused = trusted_modules.not_to_import(origin.model, library, custom, settings)
    if refused:
        others = keras_built_ins.forgotten(origin.model, library, custom)
        return Attempt(library, missing=tuple(dict.fromkeys((*refused, *others))))
    load = functools.partial(load_model, path, form, library, custom, settings.allow_code, policy)
    note, unknown = "", trusted_modules.not_to_import(origin.compiled, library, custom, settings)
    if not unknown:
        again = functools.partial(load, compiled=True)
        try:
            return Attempt(library, again(), again)
        except Exception as error:  # noqa: BLE001 - Keras raises anything; `load_errors` tells
            if load_errors.classify(error, library).reason in _HOPELESS:
                return Attempt(library, error=error)
            note = load_errors.told(f"{type(error).__name__}: {error}", _NOTE)
            unknown = keras_built_ins.forgotten(origin.compiled, library, custom)
            name = "" if unknown else load_errors.unknown_name(error)
            if name and not keras_built_ins.is_built_in(name, library):
                unknown = (name,)
    again = functools.partial(load, compiled=False)
    try:
        return Attempt(library, again(), again, note or "not tried", unknown)
    except Exception as error:  # noqa: BLE001 - the same
        missing = keras_built_ins.forgotten(origin.model, library, custom)
        return Attempt(library, error=error, missing=missing)


def load_model(
    path: str,
    form: Format,
    library: Any,
    custom: Mapping[str, Any],
    allow_code: bool,
    policy: str = "",
    *,
    compiled: bool,
) -> Any:
    """Load a model with a library's own `load_model`.

    Raises:
        Exception: whatever the library raises.
    """
    take = library.models.load_model
    guarded = "safe_mode" in inspect.signature(take).parameters  # from Keras 2.13 on
    safety = {"safe_mode": not allow_code} if guarded else {}
    with warnings.catch_warnings(), keras_weights.alias(path, form) as name:
        warnings.simplefilter("ignore")
        with runtime.policy(library, policy):
            return take(name, custom_objects=dict(custom), compile=compiled, **safety)


def _loaded(
    context: LoadContext, attempt: Attempt, origin: Origin, failures: list[Attempt]
) -> CheckResult:
    library = attempt.library
    context.loaded = dataclasses.replace(
        keras_signature.wrap(attempt.model, library, context.record), again=attempt.again
    )
    context.compile_config, context.compile_failed = origin.compiled, bool(attempt.note)
    details: dict[str, Any] = {
        "loader": library.__name__,
        "loader_version": str(library.__version__),
        "written_by": origin.version,
    }
    loader = f"{library.__name__} {library.__version__}"
    instead = ""
    if failures and failures[0].error is not None:
        first = failures[0]
        name = f"{first.library.__name__} {first.library.__version__}"
        why = load_errors.told(f"{type(first.error).__name__}: {first.error}", _NOTE)
        instead = f" {name} does not read it: {why}"
    if attempt.unknown:
        line = load_errors.custom_objects_line(attempt.unknown)
        named = ", ".join(map(repr, attempt.unknown))
        said = f"it names {named}, which is not Keras's own: add {line} to [watch.verify]."
        details.update(object=attempt.unknown[0], objects=list(attempt.unknown), config=line)
        return _compile_failed(said + instead, details)
    if attempt.note:
        return _compile_failed(attempt.note + instead, details)
    ending = _ending_wanted(context.request.checkpoint.path, context.facts.format, library)
    if ending:
        return failed(
            "load",
            "misnamed",
            f"Loaded with {loader} as a {ending} file: load_model goes by the name, "
            "and refuses this one.",
            **details,
        )
    return passed("load", f"Loaded with {loader}.{instead}", **details)


def _ending_wanted(path: str, form: Format, library: Any) -> str:
    """How a file has to be called for `load_model` to take it; empty if its name will do."""
    ending = os.path.splitext(path)[1].lower()
    if form is Format.KERAS and ending in (".h5", ".hdf5") and not os.path.isdir(path):
        return ".keras"
    legacy = runtime.generation(library) == runtime.LEGACY  # which looks into a .keras
    return ".h5" if form is Format.HDF5 and ending == ".keras" and not legacy else ""


def _compile_failed(why: str, details: Mapping[str, Any]) -> CheckResult:
    said = f"The model loads, its compile configuration does not: {why}"
    return failed("load", "compile_failed", said, **details)


def _policy(context: LoadContext, origin: Origin) -> str:
    """The global precision policy of the job, where a model comes back whole only under it.

    Keras 3 puts a loss scale around the optimizer when the policy is mixed_float16, and does not
    write it into the configuration: the job that goes on sets the policy again before it loads.
    """
    scaled = optimizers.has_loss_scale(context.facts.optimizer_tensors or ())
    return "mixed_float16" if scaled and names_policy(origin.config, "mixed_float16") else ""


def _why_unusable(
    form: Format, origin: Origin, library: Any, *, allow_code: bool
) -> CheckResult | None:
    """Say why a model need not even be tried; None when nothing speaks against it."""
    layer = "" if allow_code else carries_code(origin.config)
    if layer:
        return load_errors.needs_code(layer)
    foreign = of_another_python(origin.config) if allow_code else ""
    if foreign:
        return failed("load", "environment", other_python(f"It lies in {printable(foreign)}."))
    legacy_writer = origin.generation in (1, runtime.LEGACY)
    if legacy_writer and runtime.generation(library) != runtime.LEGACY and form is Format.KERAS:
        return keras_errors.needs_legacy(origin)
    if origin.generation > runtime.generation(library) == runtime.LEGACY:
        return failed(
            "load",
            "environment",
            f"Keras {origin.version} wrote it and this interpreter has Keras "
            f"{library.__version__}: set python in [watch.verify] to one that has Keras 3.",
        )
    return None
