"""The loader `saved_model`: `tf.saved_model.load`, and the callables that Keras left in the model.

Of a signature that does not run in TensorFlow 2, the session of TensorFlow 1 decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import passed
from checkpointd.golden.arrays import ArrayError, array_of
from checkpointd.verify.load.loaded import ArraySpec, GraphSource, Loaded, Signature
from checkpointd.verify.load.loaders import saved_model_errors, session
from checkpointd.verify.load.loaders.attempt import Attempt, errors_of
from checkpointd.verify.load.loaders.session_fallback import with_session, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.verify.load.loaders.attempt import LoadSource

_SERVE = "serve"


def load(source: LoadSource, spec: LoaderSpec, _earlier: Sequence[Attempt]) -> Attempt:
    """Load the first graph that TensorFlow 2 takes, rather one that has a signature.

    Where it has none, and another graph has, a session may show more.
    """
    try:
        graphs = session.graphs_of(source.path)
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything
        result = saved_model_errors.explain(source.path, [error])
        return Attempt(spec, result=result, is_final=True)
    loaded, tags, errors = _load_first(source.path, graphs)
    if loaded is None:
        return Attempt(spec, errors=errors)
    result = passed(
        "load",
        "Loaded as a SavedModel.",
        loader=spec.name,
        tags=list(tags),
        saved_with=str(getattr(loaded.model, "tensorflow_version", "")),
        signatures=sorted(loaded.signatures),
    )
    is_final = bool(loaded.signatures) or not any(graphs.values())
    loaded = with_session(loaded, source.path, tags)
    return Attempt(spec, loaded, result, errors, is_final=is_final)


def explain(source: LoadSource, attempts: Sequence[Attempt]) -> CheckResult:
    """Explain why neither loader takes it."""
    return saved_model_errors.explain(source.path, list(errors_of(attempts).values()))


def _load_first(
    path: str, tag_sets: Collection[tuple[str, ...]]
) -> tuple[Loaded | None, tuple[str, ...], dict[str, Exception]]:
    """Load the first graph with a signature, else the first that is loaded; with what failed."""
    errors: dict[str, Exception] = {}
    spare: tuple[Loaded | None, tuple[str, ...]] = (None, ())
    several = len(tag_sets) > 1
    for tags in tag_sets:
        try:
            loaded = _load(path, tags if several else None)
        except Exception as error:  # noqa: BLE001 - the same
            name = f"tf.saved_model.load{session.with_tags(tags) if several else ''}"
            errors[name] = without_frames(error)
            continue
        if loaded.signatures:
            return loaded, tags, errors
        spare = spare if spare[0] is not None else (loaded, tags)
    return (*spare, errors)


def _load(path: str, tags: Sequence[str] | None = None) -> Loaded:
    """Load a SavedModel with TensorFlow's own loader.

    Args:
        path: its directory.
        tags: of the graph to load; None where there is only one.

    Raises:
        Exception: whatever TensorFlow raises.
    """
    import tensorflow as tf

    model = tf.saved_model.load(path, tags=None if tags is None else list(tags))
    signatures = {name: _signature(function) for name, function in model.signatures.items()}
    return Loaded(model, None, signatures, state=_state(model))


def _state(model: Any) -> tuple[Any, ...]:
    functions = [*model.signatures.values(), getattr(model, _SERVE, None)]
    captured = [v for f in functions for v in getattr(f, "variables", None) or ()]
    unique = {id(v): v for v in captured}.values()
    return tuple(sorted(unique, key=lambda v: getattr(v, "trainable", True)))  # states come first


def callables(model: Any) -> list[Callable[[Any], Any]]:
    """The ways in which Keras runs a model that it exported, the structure of inputs kept."""
    functions: list[Callable[[Any], Any]] = []
    serve = getattr(model, _SERVE, None)
    if callable(serve):
        functions.append(serve)
    if callable(model):
        functions += [lambda inputs: model(inputs, training=False), model]
    return functions


def _signature(function: Any) -> Signature:
    import tensorflow as tf

    keywords = function.structured_input_signature[1]
    order = list(getattr(function, "_arg_keywords", None) or sorted(keywords))
    by_name = {name: keywords.get(name, keywords.get(_sanitized(name))) for name in order}
    specs = {name: spec for name, spec in by_name.items() if spec is not None}
    outputs = function.structured_outputs
    named = outputs if isinstance(outputs, dict) else {}

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        tensors = {
            name: tf.cast(arrays[name], spec.dtype)
            if spec.dtype.is_floating
            else tf.constant(arrays[name], spec.dtype)
            for name, spec in specs.items()
        }
        return {name: _array(value, name) for name, value in function(**tensors).items()}

    return Signature(
        tuple(_spec(name, spec) for name, spec in specs.items()),
        tuple(_spec(name, spec) for name, spec in sorted(named.items())),
        run,
        in_parts=True,
        source=lambda: GraphSource.of_function(function, list(specs)),
    )


def _sanitized(name: str) -> str:
    """What TensorFlow calls a parameter for an input with a name such as `x-1` or `a/b`."""
    plain = "".join(c if c.isalnum() else "_" for c in name)
    return plain if plain[:1].isalpha() else f"arg_{plain}"


def _array(value: Any, name: str) -> Any:
    try:
        return array_of(value, name)
    except ArrayError:  # sparse, for one, which is not compared
        return value


def _spec(name: str, spec: Any) -> ArraySpec:
    import tensorflow as tf

    if not hasattr(spec, "dtype") or isinstance(spec, (tf.RaggedTensorSpec, tf.SparseTensorSpec)):
        return ArraySpec(name, type(spec).__name__, None)
    shape = spec.shape
    return ArraySpec(name, spec.dtype.name, None if shape.rank is None else tuple(shape.as_list()))
