"""Why a load failed: a forgotten custom object, the wrong environment, or the checkpoint itself."""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

from checkpointd import memory_errors
from checkpointd.checkpoint import CheckResult, failed
from checkpointd.verify.origin import custom_names
from checkpointd.verify.suite import describe, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMES = (
    re.compile(r"Could not locate (?:class|function|\w+) '([^']+)'"),
    re.compile(r"Unknown [a-z][\w ]*: '?\"?([\w.>-]+)"),
    re.compile(r"Could not interpret [\w ]+ identifier: '?\"?([\w.>-]+)"),
    re.compile(r"Could not deserialize (?:class |function |\w+ )?'([^']+)' because"),
)
_UNSAFE = re.compile(r"Lambda` layer|unsafe deserialization|enable_unsafe_deserialization")
_UNREGISTERED_OP = re.compile(r"Op type not registered '([^']+)'")
_VALUES = re.compile(r", (?:value|numpy)=.*?>", re.DOTALL)
_LISTS = re.compile(r"\s+(?:(?<=\. )Showing \d+ of \d+|List of objects)\b.*", re.DOTALL)
_STYLES = re.compile(r"\x1b\[[0-9;]*m")
_TEXT = 600

WRONG_MACHINE = ("No OpKernel was registered", "only supports the NHWC", "not supported on CPU")
"""What TensorFlow says of an op that this machine has no kernel for."""


def told(text: str, limit: int) -> str:
    """Put what a library said into one printable line that ends as a sentence does.

    Lists of variables with all their numbers are left out; what is too long ends after a whole
    sentence, where there is one.

    Args:
        text: of the library's exception.
        limit: how many characters to keep.
    """
    line = " ".join(_LISTS.sub("", _VALUES.sub(">", _STYLES.sub("", text))).split())
    if len(line) > limit:
        end = line.rfind(". ", 0, limit) + 1
        line = line[:end] if end else f"{line[:limit]}…"
    return printable(line if line.endswith((".", "!", "?")) else f"{line}.")


def unknown_name(error: BaseException) -> str:
    """Find the name of the object that Keras 2, Keras 3 or tf-keras does not know; or empty."""
    text = str(error)
    for pattern in _NAMES:
        match = pattern.search(text)
        if match:
            return match.group(1).rstrip(".")
    return ""


_ROOMS = (
    "layers",
    "losses",
    "metrics",
    "activations",
    "optimizers",
    "optimizers.schedules",
    "initializers",
    "regularizers",
    "constraints",
    "models",
    "mixed_precision",
    "",
)
_KERAS_2_INTERNALS = frozenset(
    {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorShape", "TypeSpec"}
    | {"function", "Functional", "Policy", "InputSpec", "MeanMetricWrapper", "LossFunctionWrapper"}
)


def is_built_in(name: str, keras: Any) -> bool:
    """Whether a name is one of the library's own, so that naming it in the config mends nothing."""
    name = name.rpartition("Custom>")[2]
    if name.startswith(("keras.", "tf_keras.")) or name in _KERAS_2_INTERNALS:
        return True
    for room in _ROOMS:
        place = _public(keras)
        for part in filter(None, room.split(".")):
            place = getattr(place, part, None)
        if hasattr(place, name) or hasattr(place, name.lower()):
            return True
    return _is_abbreviation(keras, name)


def _public(keras: Any) -> Any:
    """Where a library has its public names: before 2.13, not all of them at its top."""
    try:
        return importlib.import_module(f"{keras.__name__}.api._v2.keras")
    except ImportError:
        return keras


def _is_abbreviation(keras: Any, name: str) -> bool:
    """Whether a name is one such as `mse`, which Keras takes although it is no attribute."""
    return any(_takes(getattr(keras, room, None), name) for room in ("losses", "metrics"))


def _takes(room: Any, name: str) -> bool:
    try:
        return callable(room.get(name))
    except Exception:  # noqa: BLE001 - Keras raises this or that for what it does not know
        return False


def forgotten(config: Any, keras: Any, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the custom objects that a configuration names and that nothing here resolves.

    Args:
        config: of the model, as the file holds it.
        keras: the library that it is loaded with.
        given: the custom objects that the settings name.
    """
    registered = getattr(getattr(keras, "saving", None), "get_registered_object", None)
    return tuple(
        name
        for name, module in custom_names(config).items()
        if name not in given
        and not is_built_in(name, keras)
        and not hasattr(sys.modules.get(module), name.rpartition(">")[2])
        and (registered is None or registered(name) is None)
    )


def unknown_object(names: Sequence[str], known: Sequence[str]) -> CheckResult:
    """Make the result for forgotten custom objects, with the line of config that mends it."""
    entries = [
        f"{name if re.fullmatch(r'[A-Za-z0-9_-]+', name) else chr(34) + name + chr(34)} = "
        f'"your_module:{name.rpartition(">")[2].rpartition(".")[2]}"'
        for name in names
    ]
    line = f"custom_objects = {{ {', '.join(entries)} }}"
    already = f" (named so far: {', '.join(known)})" if known else ""
    return failed(
        "load",
        "unknown_object",
        printable(
            f"It uses {', '.join(map(repr, names))}, which is not Keras's own{already}: add to "
            f"[watch.verify] the line {line}, with python_path naming the directory that "
            "your_module lies in."
        ),
        object=names[0],
        objects=list(names),
        config=line,
    )


def needs_code(layer: str) -> CheckResult:
    """Make the result for a Lambda layer that may not be run."""
    found = failed(
        "safety",
        "needs_code",
        f"Loading it would run Python code stored in it ({printable(layer)}): set "
        "allow_code = true in [watch.verify] if you trust its writer.",
        layer=layer,
    )
    return CheckResult("load", found.outcome, found.reason, found.message, details=found.details)


def foreign_code(place: str, what: str) -> CheckResult:
    """Make the result for what would call code that is neither Keras's nor the user's."""
    found = failed(
        "safety",
        "code",
        f"{printable(place)} names {printable(what)}: loading it would run code that is not the "
        "model's. Do not load it, and ask where it came from.",
        object=what,
    )
    return CheckResult("load", found.outcome, found.reason, found.message, details=found.details)


def classify(error: Exception, keras: Any = None, known: tuple[str, ...] = ()) -> CheckResult:
    """Make the result that an exception while loading deserves.

    Args:
        error: what the library raised.
        keras: the library, to tell its own names from the user's.
        known: names of the custom objects that were given.
    """
    text = told(f"{type(error).__name__}: {error}", _TEXT)
    if memory_errors.is_one(error):
        return failed("load", "out_of_memory", f"There was not enough memory to load it: {text}")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return failed("load", "unreadable", f"It could not be read: {describe(error)}.")
    if _UNSAFE.search(str(error)):
        return needs_code("a Lambda layer")
    operation = _UNREGISTERED_OP.search(str(error))
    if operation:
        return failed(
            "load",
            "environment",
            f"Its graph uses the op {operation.group(1)!r}, which this TensorFlow does not have: "
            "set python in [watch.verify] to an interpreter whose libraries register it.",
            op=operation.group(1),
        )
    return _classify_python(error, text, keras, known)


def _classify_python(
    error: Exception, text: str, keras: Any, known: tuple[str, ...]
) -> CheckResult:
    name = unknown_name(error)
    if name and not is_built_in(name, keras):
        return unknown_object((name,), known)
    if isinstance(error, ImportError):
        return failed("load", "environment", f"A module that it needs is not there: {text}")
    return failed("load", "load_error", f"It cannot be loaded: {text}")
