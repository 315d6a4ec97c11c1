"""Why a load failed: a forgotten custom object, the wrong environment, or the checkpoint itself."""

from __future__ import annotations

import re
from typing import Any

from checkpointd.checkpoint import CheckResult, failed
from checkpointd.verify.suite import describe, printable

_NAMES = (
    re.compile(r"Could not locate (?:class|function|\w+) '([^']+)'"),
    re.compile(r"Unknown [a-z][\w ]*: '?\"?([\w.>-]+)"),
    re.compile(r"Could not interpret [\w ]+ identifier: '?\"?([\w.>-]+)"),
    re.compile(r"Could not deserialize (?:class |function |\w+ )?'([^']+)' because"),
)
_UNSAFE = re.compile(r"Lambda` layer|unsafe deserialization|enable_unsafe_deserialization")
_UNREGISTERED_OP = re.compile(r"Op type not registered '([^']+)'")
_TEXT = 600


def unknown_name(error: BaseException) -> str:
    """Find the name of the object that Keras 2, Keras 3 or tf-keras does not know; or empty."""
    text = str(error)
    for pattern in _NAMES:
        match = pattern.search(text)
        if match:
            return match.group(1).rstrip(".")
    return ""


def is_built_in(name: str, keras: Any) -> bool:
    """Whether a name is one of the library's own, so that naming it in the config mends nothing."""
    if name.startswith(("keras.", "tf_keras.")):
        return True
    rooms = ("layers", "losses", "metrics", "activations", "optimizers", "initializers")
    return any(hasattr(getattr(keras, room, None), name) for room in rooms)


def unknown_object(name: str, known: tuple[str, ...]) -> CheckResult:
    """Make the result for a forgotten custom object, with the line of config that mends it."""
    short = name.rpartition(">")[2].rpartition(".")[2] or name
    key = name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'
    line = f'custom_objects = {{ {key} = "your_module:{short}" }}'
    already = f" (known so far: {', '.join(known)})" if known else ""
    return failed(
        "load",
        "unknown_object",
        f"It uses {printable(name)!r}, which is not Keras's own{already}: add to [watch.verify] "
        f"the line {line}, with python_path naming the directory that your_module lies in.",
        object=name,
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


def classify(error: Exception, keras: Any = None, known: tuple[str, ...] = ()) -> CheckResult:
    """Make the result that an exception while loading deserves.

    Args:
        error: what the library raised.
        keras: the library, to tell its own names from the user's.
        known: names of the custom objects that were given.
    """
    text = printable(f"{type(error).__name__}: {error}", _TEXT)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
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
        return unknown_object(name, known)
    if isinstance(error, ImportError):
        return failed("load", "environment", f"A module that it needs is not there: {text}")
    return failed("load", "load_error", f"It cannot be loaded: {text}")
