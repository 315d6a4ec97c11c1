"""Why no Keras in this interpreter loads a whole model, and whether that is the file's fault.

It is where the file's own content cannot be loaded by anything. It is not where Keras falls short
of what Keras wrote (a class that was dropped, an operation in an `.h5` file), nor where the class
that is meant may be another than the one that was found.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed
from checkpointd.verify.keras_files.origin import objects, release
from checkpointd.verify.load import keras_built_ins, runtime
from checkpointd.verify.load.load_errors import (
    classify,
    custom_objects_line,
    one_line,
    unknown_name,
    where_from,
)
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from checkpointd.verify.keras_files.origin import Origin

_LEGACY_PIP = "pip install 'checkpointd[legacy]'"
_OURS_TO_JUDGE = frozenset({"load.load_error", "load.unknown_object"})
_LACKS = re.compile(r"missing \d+ required [\w-]+ arguments?: (.+)")
_CLASS = re.compile(r"deserializing class '([^']+)'|(\w+)\.__init__\(\)")
_NO_WEIGHTS = re.compile(r"Layer '([^']+)' expected \d+ variables?, but received 0 variables")
_REFUSED = re.compile(
    r"arguments? passed to (\w+): \{?'(\w+)'|(\w+)\.__init__\(\) got an unexpected keyword "
    r"argument '(\w+)'"
)
_FUNCTION = re.compile(r"<function (\w+) at 0x")
_SHARED = 2
_EVERY_LAYER = frozenset(
    {
        *("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape"),
        *("batch_size", "weights", "activity_regularizer", "autocast", "input_dim", "dynamic"),
        *("input_length", "input_dtype", "kwargs", "self"),
        *("query_shape", "key_shape", "value_shape"),
    }
)


def judge(
    error: Exception,
    library: Any,
    origin: Origin,
    custom: Mapping[str, Any],
    load_with: Callable[[Mapping[str, Any]], Any],
) -> CheckResult:
    """Judge what a library raised when it loaded a model that names nothing unknown.

    Args:
        error: of the last try, without the compile configuration.
        library: of the writer's generation, where there is one.
        origin: what the file declares about itself.
        custom: the custom objects that the settings name.
        load_with: loads the model with other custom objects.
    """
    result = classify(error, library, tuple(custom))
    if result.reason not in _OURS_TO_JUDGE:
        return result
    if origin.generation == 1:
        return _environment(
            "Keras 1 wrote it, and no Keras that is maintained reads its configuration: load it "
            "with Keras 2.2 and save it again. It cannot be loaded: "
            f"{one_line(f'{type(error).__name__}: {error}', 400)}",
            origin,
        )
    operations = keras_built_ins.keras_operations(origin.model, library)
    if any(name not in custom for name in operations):
        return _operations(operations, library, origin, custom, load_with)
    mismatch = _versions(error, library, origin, result)
    if mismatch is not None or result.reason == "load.unknown_object":
        return mismatch or result
    if origin.legacy_layout:
        taken = _of_text_taken_for_a_function(error, library, origin, custom, load_with)
        if taken is not None:
            return taken
    return _of_shared_layer(str(error), origin, result) or _of_arguments(
        error, library, origin, custom, result
    )


def needs_legacy(origin: Origin, message: str = "") -> CheckResult:
    """Make the result for a model of Keras 2 that only tf-keras can load, which is not there."""
    return failed(
        "load",
        "needs_legacy",
        f"Keras {origin.version} wrote it and Keras 3 cannot read it: {_LEGACY_PIP}."
        + (f" {message}" if message else ""),
        written_by=origin.version,
    )


def _environment(message: str, origin: Origin, **details: Any) -> CheckResult:
    return failed("load", "environment", message, written_by=origin.version, **details)


def _operations(
    operations: Mapping[str, Any],
    library: Any,
    origin: Origin,
    custom: Mapping[str, Any],
    load_with: Callable[[Mapping[str, Any]], Any],
) -> CheckResult:
    named = ", ".join(map(repr, operations))
    entries = (f'{name} = "{kind.__module__}:{name}"' for name, kind in operations.items())
    line = f"custom_objects = {{ {', '.join(entries)} }}"
    try:
        load_with({**operations, **custom})
    except Exception as error:  # noqa: BLE001 - Keras raises anything
        outcome = f"Naming them does not help: {one_line(f'{type(error).__name__}: {error}', 400)}"
    else:
        outcome = f"With {line} in [watch.verify] (and in load_model) it loads."
    return _environment(
        f"It uses {named} of Keras's own operations, which Keras writes into an .h5 file and "
        f"{library.__name__} {library.__version__} does not find there by itself: save it as "
        f".keras. {outcome}",
        origin,
        objects=list(operations),
        config=line,
    )


def _versions(
    error: Exception, library: Any, origin: Origin, result: CheckResult
) -> CheckResult | None:
    """What one Keras has and another has not; None if that is not it."""
    here = f"{library.__name__} {library.__version__}"
    if origin.generation == runtime.LEGACY and runtime.generation(library) != runtime.LEGACY:
        return needs_legacy(origin, result.message)
    if release(origin.version) > release(str(library.__version__)):
        return _environment(
            f"Keras {origin.version} wrote it, and the older Keras {library.__version__} here "
            f"does not read it: upgrade Keras, or set python in [watch.verify]. {result.message}",
            origin,
        )
    refused = _refused_argument(str(error), library, origin)
    if refused:
        return _environment(
            f"Keras {origin.version} wrote it, and the newer {here} does not take {refused}: load "
            f"it with Keras {origin.version} (python in [watch.verify]), or save it again with "
            f"this one. {result.message}",
            origin,
        )
    name = unknown_name(error)
    gone = [
        kind for kind in keras_built_ins.dropped(origin.model) if not hasattr(library.layers, kind)
    ]
    if gone or (name and keras_built_ins.is_marked_built_in(name, origin.model)):
        name = name if name in gone or not gone else gone[0]
        return _environment(
            f"It uses Keras's own {name!r}, which {here} does not find: load it with the Keras "
            f"that wrote it ({origin.version or 'unknown'}; python in [watch.verify]) and save it "
            "without.",
            origin,
            object=name,
        )
    return None


def _refused_argument(text: str, library: Any, origin: Origin) -> str:
    """Name an argument of a class of Keras that an older Keras wrote and this one does not take.

    A name that differs by one character from one that it takes is a damaged one.
    """
    found = [next(filter(None, zip(m[::2], m[1::2])), ("", "")) for m in _REFUSED.findall(text)]
    kind, argument = next((pair for pair in found if all(pair)), ("", ""))
    older = release(origin.version) < release(str(library.__version__))
    built_in = getattr(library.layers, kind, None) if kind else None
    if not older or built_in is None or not keras_built_ins.is_marked_built_in(kind, origin.model):
        return ""
    if any(_differ_by_one(argument, name) for name in _parameters(built_in)):
        return ""
    return f"{argument!r} of {kind}"


def _of_text_taken_for_a_function(
    error: Exception,
    library: Any,
    origin: Origin,
    custom: Mapping[str, Any],
    load_with: Callable[[Mapping[str, Any]], Any],
) -> CheckResult | None:
    """Explain an argument such as `score_mode="dot"`, which Keras 3 reads wrongly from HDF5.

    What its reader of HDF5 finds by a text among its functions it puts in the text's place.
    """
    name = next(iter(_FUNCTION.findall(str(error))), "")
    configs = [node.get("config") for node in objects(origin.model)] if name else []
    if not any(isinstance(c, dict) and name in map(_plain_text, c.values()) for c in configs):
        return None
    try:
        load_with({name: name, **custom})
    except Exception:  # noqa: BLE001 - Keras raises anything
        outcome = ""
    else:
        outcome = f" load_model(…, custom_objects={{{name!r}: {name!r}}}) loads it."
    return _environment(
        f"Keras wrote it, and {library.__name__} {library.__version__} takes the text {name!r} in "
        f"an .h5 file for its function of that name: save it as .keras.{outcome} "
        f"{one_line(f'{type(error).__name__}: {error}', 400)}",
        origin,
    )


def _plain_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _of_shared_layer(text: str, origin: Origin, result: CheckResult) -> CheckResult | None:
    """Explain weights that Keras does not find for a layer that two models share; else None."""
    match = _NO_WEIGHTS.search(text)
    name = match.group(1) if match else ""
    configs = [node.get("config") for node in objects(origin.model) if "class_name" in node]
    if not name or [c.get("name") for c in configs if isinstance(c, dict)].count(name) < _SHARED:
        return None
    return dataclasses.replace(
        result,
        message=f"{result.message} The layer {printable(name, 80)!r} belongs to a model and to "
        "another one inside it, and Keras does not find its weights in a .keras file then: save "
        "the model as .h5, or use a layer for each.",
    )


def _of_arguments(
    error: Exception,
    library: Any,
    origin: Origin,
    custom: Mapping[str, Any],
    result: CheckResult,
) -> CheckResult:
    """Explain a class that does not take its configuration: the user's, or another of that name."""
    text = str(error)
    kinds = [next(filter(None, found)) for found in _CLASS.findall(text)][-1:]
    if kinds and _LACKS.search(text) and any(kinds[0] == n.rpartition(">")[2] for n in custom):
        return dataclasses.replace(
            result,
            message=f"{result.message} get_config of {printable(kinds[0], 80)} does not give it: "
            "let it return every argument that __init__ needs, and save again.",
        )
    if not isinstance(error, (TypeError, KeyError)):
        return result
    for kind in kinds or dict.fromkeys(str(n.get("class_name")) for n in objects(origin.model)):
        others = () if kind in custom else _other_arguments(kind, library, origin)
        if others:
            return _namesake(kind, others)
    return result


def _namesake(kind: str, others: tuple[str, ...]) -> CheckResult:
    """Make the result for a class that bears the name of one of Keras's and is another."""
    line = custom_objects_line((kind,))
    shown = ", ".join(map(repr, others[:3]))
    return failed(
        "load",
        "unknown_object",
        printable(
            f"It uses a {kind!r} with arguments that Keras's own class of that name does not take "
            f"({shown}): if it is a class of your own or of another library, add to [watch.verify] "
            f"the line {line}, {where_from((kind,))}."
        ),
        object=kind,
        objects=[kind],
        config=line,
    )


def _other_arguments(kind: str, library: Any, origin: Origin) -> tuple[str, ...]:
    """Name the arguments by which a class is not Keras's own of that name.

    Keras 2, and Keras 3 in an HDF5 file, do not record where a class is defined. A name that
    differs by one character from an argument that is not there is a damaged one.
    """
    built_in = getattr(library.layers, kind, None)
    if built_in is None:
        return ()
    known = {*_EVERY_LAYER, *_parameters(built_in)}
    arguments: dict[str, None] = {}
    for node in objects(origin.model):
        config = node.get("config")
        if node.get("class_name") != kind or node.get("module") or not isinstance(config, dict):
            continue
        absent = known - set(config)
        for key in config:
            if key in known:
                continue
            if any(_differ_by_one(key, name) for name in absent):
                return ()
            arguments[key] = None
    return tuple(arguments)


def _parameters(kind: Any) -> Iterator[str]:
    for one in getattr(kind, "__mro__", ()):
        if "__init__" in vars(one):
            try:
                yield from inspect.signature(one.__init__).parameters
            except (TypeError, ValueError):
                continue


def _differ_by_one(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other)) == 1
