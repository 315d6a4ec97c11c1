"""Why a load failed: a missing custom object, the wrong environment, or the checkpoint itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from checkpointd.core import memory_errors
from checkpointd.core.check_result import CheckResult, failed
from checkpointd.verify.keras_files.keras_names import OTHER, owner
from checkpointd.verify.load.keras_built_ins import is_built_in
from checkpointd.verify.load.keras_messages import cause_first
from checkpointd.verify.suite import describe, printable
from checkpointd.verify.tf_errors import cause, environment_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMES = (
    re.compile(r"Could not locate (?:class|function|\w+) '([^']+)'"),
    re.compile(r"Unknown [a-z][\w ]*: '?\"?([\w.>-]+)"),
    re.compile(r"Could not interpret [\w ]+ identifier: '?\"?([\w.>-]+)"),
    re.compile(r"Could not deserialize (?:class |function |\w+ )?'([^']+)' because"),
)
_KIND = re.compile(
    r"Unknown (layer|loss|metric|optimizer|activation|initializer|regularizer|constraint)\b"
)
_UNSAFE = re.compile(r"Lambda` layer|unsafe deserialization|enable_unsafe_deserialization")
_VALUES = re.compile(r", (?:value|numpy)=.*?>", re.DOTALL)
_LISTS = re.compile(r"\s+(?:(?<=\. )Showing \d+ of \d+|List of objects)\b.*", re.DOTALL)
_TEXT = 600
_NAMELESS = "<lambda>"
_YOURS = "your_module"
_NOWHERE = frozenset({"__main__", "builtins"})  # the latter for every function
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


def one_line(text: str, limit: int) -> str:
    """Shorten a library's message to one printable line that ends like a sentence.

    Lists of variables with all their numbers are left out; what is too long ends after a whole
    sentence, where there is one.

    Args:
        text: of the library's exception.
        limit: how many characters to keep.
    """
    line = " ".join(_LISTS.sub("", _VALUES.sub(">", cause_first(cause(text)))).split())
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


def _unknown_kind(error: BaseException) -> str:
    """What Keras took the object for that it does not know; empty where it does not name it."""
    match = _KIND.search(str(error))
    return match.group(1) if match else ""


def custom_objects_line(names: Sequence[str], modules: Mapping[str, str] | None = None) -> str:
    """Write the line of config that names custom objects.

    Args:
        names: of the objects.
        modules: where the file says that each is defined, as far as it does.
    """
    entries = [
        f"{name if re.fullmatch(r'[A-Za-z0-9_-]+', name) else chr(34) + name + chr(34)} = "
        f'"{_module(name, modules or {})}:{_short(name) or "your_function"}"'
        for name in names
    ]
    return f"custom_objects = {{ {', '.join(entries)} }}"


def where_from(names: Sequence[str], modules: Mapping[str, str] | None = None) -> str:
    """Say what else the line that `custom_objects_line` writes needs, as the end of a sentence."""
    tops = dict.fromkeys(_module(name, modules or {}).partition(".")[0] for name in names)
    directories = "directory that" if len(tops) == 1 else "directories that"
    verb = "is" if len(tops) == 1 else "are"
    text = f"with python_path naming the {directories} {' and '.join(tops)} {verb} in"
    installed = [top for top in tops if top != _YOURS]
    return f"{text}, or python an interpreter with {' and '.join(installed)}" if installed else text


def _module(name: str, modules: Mapping[str, str]) -> str:
    """The module to name for an object: the one in the file, where a model's code can be."""
    module = modules.get(name, "")
    if not _DOTTED.fullmatch(module) or module in _NOWHERE:
        return _YOURS
    short = _short(name)
    return module if owner(module, short, is_function=not short[:1].isupper()) == OTHER else _YOURS


def _short(name: str) -> str:
    return name.rpartition(">")[2].rpartition(".")[2]


def unknown_object(
    names: Sequence[str],
    known: Sequence[str],
    kind: str = "",
    modules: Mapping[str, str] | None = None,
) -> CheckResult:
    """Make the result for missing custom objects, with the line of config that names them.

    Args:
        names: that Keras does not know.
        known: names of the custom objects in the settings.
        kind: the kind that Keras has no object of by that name, where it has one of another kind.
        modules: where the file says that each is defined, as far as it does.
    """
    line = custom_objects_line(names, modules)
    already = f" (named so far: {', '.join(known)})" if known else ""
    not_own = "which is not Keras's own" if len(names) == 1 else "which are not Keras's own"
    why = f"and Keras has no {kind} of that name" if kind else not_own
    if _NAMELESS in names:
        why += " (a lambda that a layer was given, of whose code the file holds nothing)"
    return failed(
        "load",
        "unknown_object",
        printable(
            f"It uses {', '.join(map(repr, names))}, {why}{already}: add to "
            f"[watch.verify] the line {line}, {where_from(names, modules)}."
        ),
        object=names[0],
        objects=list(names),
        config=line,
    )


def needs_code(layer: str) -> CheckResult:
    """Make the result for a Lambda layer that may not be run."""
    result = failed(
        "safety",
        "needs_code",
        f"Loading it would run Python code stored in it ({printable(layer)}): set "
        "allow_code = true in [watch.verify] if you trust its writer.",
        layer=layer,
    )
    return CheckResult(
        "load", result.outcome, result.reason, result.message, details=result.details
    )


def foreign_code(path: str, named: str) -> CheckResult:
    """Make the result for what would call code that is neither Keras's nor the user's."""
    result = failed(
        "safety",
        "code",
        f"{printable(path)} names {printable(named)}: loading it would run code that is not the "
        "model's. Do not load it, and ask where it came from.",
        object=named,
    )
    return CheckResult(
        "load", result.outcome, result.reason, result.message, details=result.details
    )


def classify(error: Exception, keras: Any = None, known: tuple[str, ...] = ()) -> CheckResult:
    """Make the result for an exception while loading.

    Args:
        error: what the library raised.
        keras: the library, whose names are not the user's.
        known: names of the custom objects in the settings.
    """
    text = one_line(f"{type(error).__name__}: {error}", _TEXT)
    if memory_errors.is_memory_error(error):
        return failed("load", "out_of_memory", f"There was not enough memory to load it: {text}")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return failed("load", "unreadable", f"It could not be read: {describe(error)}.")
    if _UNSAFE.search(str(error)):
        return needs_code("a Lambda layer")
    missing = environment_problem(error)
    if missing is not None:
        return failed("load", missing.word, missing.message, **missing.details)
    return _classify_python(error, text, keras, known)


def _classify_python(
    error: Exception, text: str, keras: Any, known: tuple[str, ...]
) -> CheckResult:
    name, kind = unknown_name(error), _unknown_kind(error)
    if name and not is_built_in(name, keras, kind):
        return unknown_object((name,), known, kind if is_built_in(name, keras) else "")
    return failed("load", "load_error", f"It cannot be loaded: {text}")
