"""The loaders `keras` and `tf_keras`: a whole model, `.keras` or `.h5`, by `load_model`.

A library that cannot read it proves nothing as long as another one can. Where none can, the
writer's own library explains why; `load_errors` decides what is at fault.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import os
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed
from checkpointd.core.format_specs import Format
from checkpointd.verify.keras_files.keras_code import find_foreign_bytecode, find_stored_code
from checkpointd.verify.keras_files.origin import custom_names, names_policy
from checkpointd.verify.load import (
    first_values,
    keras_built_ins,
    load_errors,
    optimizers,
    runtime,
)
from checkpointd.verify.load.loaders import (
    keras_errors,
    keras_signature,
    trusted_modules,
    weight_names,
)
from checkpointd.verify.load.loaders.attempt import Attempt
from checkpointd.verify.load.loaders.file_alias import alias
from checkpointd.verify.suite import printable
from checkpointd.verify.tf_errors import other_python_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.verify.load.loaders.attempt import LoadSource

_FINAL = frozenset({"load.out_of_memory", "load.unreadable"})
"""Reasons that neither another library nor leaving out the compile configuration changes."""

_MAX_NOTE = 400
_CURES_OF_H5 = {
    "not a KerasSaveable subclass": " Keras 3 does not read a loss or metric that was given by its "
    "name back from an .h5 file: save the model as .keras.",
    "KeyError: ": " The save may have been stopped by an error before all of the optimizer was "
    "written: save the model as .keras.",
}
"""What else to say of a compile configuration in HDF5, by what Keras raises."""


@dataclass(frozen=True)
class _Outcome:
    """What came of `load_model`.

    `load_again` loads it once more in the same way; `note` explains why its compile configuration
    was left out, and `unknown` holds what that names; `error` and `missing` explain why there is
    no model.
    """

    model: Any = None
    load_again: Callable[[], Any] = lambda: None
    note: str = ""
    unknown: tuple[str, ...] = ()
    error: Exception | None = None
    missing: tuple[str, ...] = ()


def load(source: LoadSource, spec: LoaderSpec, earlier: Sequence[Attempt]) -> Attempt:
    """Load a whole model with one library.

    Raises:
        UserCodeError: a custom object that the settings name cannot be imported.
    """
    source.import_user_code()
    library = importlib.import_module(spec.library)
    refusal = None if earlier else _refusal(source, library)
    if refusal is not None:
        return Attempt(spec, result=refusal, is_final=True)
    started = time.process_time()
    outcome = _try(source, library)
    if outcome.model is not None:
        loaded = dataclasses.replace(
            keras_signature.wrap(outcome.model, library, source.context.record),
            load_again=outcome.load_again,
            load_seconds=time.process_time() - started,
            compile_config=source.origin.compiled,
            compile_failed=bool(outcome.note),
        )
        return Attempt(spec, loaded, _result(source, library, outcome, earlier), is_final=True)
    if outcome.error is None:
        return Attempt(spec, missing=outcome.missing)
    result = load_errors.classify(outcome.error, library, tuple(source.custom_objects()))
    if result.reason in _FINAL:
        return Attempt(spec, result=result, is_final=True)
    return Attempt(spec, errors={_name(library): outcome.error}, missing=outcome.missing)


def explain(source: LoadSource, attempts: Sequence[Attempt]) -> CheckResult:
    """Explain why no library loads it, by what the writer's own one raised."""
    first, custom = attempts[0], source.custom_objects()
    error = next(iter(first.errors.values()), None)
    if first.missing or error is None:
        modules = custom_names(source.origin.config)
        return load_errors.unknown_object(first.missing, tuple(custom), modules=modules)
    library = importlib.import_module(first.loader.library)

    def load_with(more: Mapping[str, Any]) -> Any:
        return load_model(
            source.path,
            source.format,
            library,
            more,
            source.settings.allow_code,
            _policy(source),
            compiled=False,
        )

    return weight_names.explain(source, error) or keras_errors.judge(
        error, library, source.origin, custom, load_with
    )


def _name(library: Any) -> str:
    return f"{library.__name__} {library.__version__}"


def _refusal(source: LoadSource, library: Any) -> CheckResult | None:
    """Explain why a model is not even tried; None where nothing is against it."""
    origin, allow_code = source.origin, source.settings.allow_code
    layer = "" if allow_code else find_stored_code(origin.config)
    if layer:
        return load_errors.needs_code(layer)
    bytecode = find_foreign_bytecode(origin.config) if allow_code else ""
    if bytecode:
        return failed(
            "load", "environment", other_python_message(f"It is in {printable(bytecode)}.")
        )
    legacy_writer = origin.generation in (1, runtime.LEGACY)
    legacy_library = runtime.generation(library) == runtime.LEGACY
    if legacy_writer and not legacy_library and source.format is Format.KERAS:
        return keras_errors.needs_legacy(origin)
    if legacy_library and origin.generation > runtime.LEGACY:
        return failed(
            "load",
            "environment",
            f"Keras {origin.version} wrote it and this interpreter has Keras "
            f"{library.__version__}: set python in [watch.verify] to one that has Keras 3.",
        )
    code = trusted_modules.foreign_code(origin.config, source.custom_objects())
    return load_errors.foreign_code(code.path, f"{code.module}.{code.name}") if code else None


def _try(source: LoadSource, library: Any) -> _Outcome:
    """Load it with one library, without its compile configuration where that does not load."""
    origin, settings, custom = source.origin, source.settings, source.custom_objects()
    refused = trusted_modules.not_to_import(origin.model, library, custom, settings)
    if refused:
        others = keras_built_ins.unresolved(origin.model, library, custom)
        return _Outcome(missing=tuple(dict.fromkeys((*refused, *others))))
    load = functools.partial(
        load_model,
        source.path,
        source.format,
        library,
        custom,
        settings.allow_code,
        _policy(source),
    )
    if not (custom or settings.allow_code):
        load = functools.partial(_load_without_drawing, load)
    note, unknown = "", trusted_modules.not_to_import(origin.compiled, library, custom, settings)
    if not unknown:
        load_compiled = functools.partial(load, compiled=True)
        try:
            return _Outcome(load_compiled(), load_compiled)
        except Exception as error:  # noqa: BLE001 - Keras raises anything; `load_errors` decides
            if load_errors.classify(error, library).reason in _FINAL:
                return _Outcome(error=error)
            note = load_errors.one_line(f"{type(error).__name__}: {error}", _MAX_NOTE)
            unknown = keras_built_ins.unresolved(origin.compiled, library, custom)
            name = "" if unknown else load_errors.unknown_name(error)
            if name and not keras_built_ins.is_built_in(name, library):
                unknown = (name,)
    load_plain = functools.partial(load, compiled=False)
    try:
        return _Outcome(load_plain(), load_plain, note or "not tried", unknown)
    except Exception as error:  # noqa: BLE001 - the same
        missing = keras_built_ins.unresolved(origin.model, library, custom)
        return _Outcome(error=error, missing=missing)


def _load_without_drawing(load: Callable[..., Any], *, compiled: bool) -> Any:
    """Load a model and draw only the first values that are not in the file.

    Where it turns out to hold another library's classes, it is loaded again in the usual way.

    Raises:
        Exception: whatever the library raises.
    """
    with first_values.drawn_late() as replaced:
        model = load(compiled=compiled)
    if replaced and runtime.has_user_code(model):
        return load(compiled=compiled)
    return model


def load_model(
    path: str,
    format: Format,
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
    function = library.models.load_model
    has_safe_mode = "safe_mode" in inspect.signature(function).parameters  # from Keras 2.13 on
    safety = {"safe_mode": not allow_code} if has_safe_mode else {}
    with warnings.catch_warnings(), alias(path, format) as name:
        warnings.simplefilter("ignore")
        with runtime.policy(library, policy):
            return function(name, custom_objects=dict(custom), compile=compiled, **safety)


def _policy(source: LoadSource) -> str:
    """The global precision policy of the job, where a model comes back whole only under it.

    Keras 3 puts a loss scale around the optimizer when the policy is mixed_float16, and does not
    write it into the configuration: the job that goes on sets the policy again before it loads.
    """
    if not names_policy(source.origin.config, "mixed_float16"):
        return ""
    source.context.wait_for_scan()
    scaled = optimizers.has_loss_scale(source.context.facts.optimizer_tensors or ())
    return "mixed_float16" if scaled else ""


def _result(
    source: LoadSource, library: Any, outcome: _Outcome, earlier: Sequence[Attempt]
) -> CheckResult:
    """Make the result for a model that was loaded."""
    details: dict[str, Any] = {
        "loader": library.__name__,
        "loader_version": str(library.__version__),
        "written_by": source.origin.version,
    }
    instead = ""
    for name, error in list(earlier[0].errors.items() if earlier else ())[:1]:
        why = load_errors.one_line(f"{type(error).__name__}: {error}", _MAX_NOTE)
        instead = f" {name} does not read it: {why}"
    if outcome.unknown:
        line = load_errors.custom_objects_line(outcome.unknown, custom_names(source.origin.config))
        named = ", ".join(map(repr, outcome.unknown))
        why = f"it names {named}, which is not Keras's own: add {line} to [watch.verify]."
        details.update(object=outcome.unknown[0], objects=list(outcome.unknown), config=line)
        return _compile_failed(why + instead, details)
    if outcome.note:
        cures = _CURES_OF_H5 if source.format is Format.HDF5 else {}
        cure = next((text for mark, text in cures.items() if mark in outcome.note), "")
        return _compile_failed(outcome.note + cure + instead, details)
    extension = _required_extension(
        source.context.request.checkpoint.path, source.context.facts.format, library
    )
    if extension:
        return failed(
            "load",
            "misnamed",
            f"Loaded with {_name(library)} as a {extension} file: load_model goes by the name, "
            "and refuses this one.",
            **details,
        )
    return passed("load", f"Loaded with {_name(library)}.{instead}", **details)


def _compile_failed(why: str, details: Mapping[str, Any]) -> CheckResult:
    message = f"The model loads, its compile configuration does not: {why}"
    return failed("load", "compile_failed", message, **details)


def _required_extension(path: str, format: Format, library: Any) -> str:
    """The extension without which `load_model` refuses a file; empty if its name will do."""
    extension = os.path.splitext(path)[1].lower()
    if format is Format.KERAS and extension in (".h5", ".hdf5") and not os.path.isdir(path):
        return ".keras"
    legacy = runtime.generation(library) == runtime.LEGACY  # which looks into a .keras
    return ".h5" if format is Format.HDF5 and extension == ".keras" and not legacy else ""
