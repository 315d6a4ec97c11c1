"""The loader `saved_model_v1`: a session of TensorFlow 1, as in TensorFlow Serving.

It takes graphs that `tf.saved_model.load` does not make functions of: reference variables, an
input that two names share, names that are no parameter's, the `eval` graphs of TFMA.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import passed
from checkpointd.verify.load.loaded import ArraySpec, GraphSource, Loaded, Signature
from checkpointd.verify.load.loaders import saved_model_errors
from checkpointd.verify.load.loaders.attempt import Attempt, errors_of
from checkpointd.verify.load.loaders.session_model import SessionModel, parts_of
from checkpointd.verify.tf_errors import environment_problem, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.loader_specs import LoaderSpec
    from checkpointd.verify.load.loaders.attempt import LoadSource

TITLE = "the TensorFlow 1 session loader"

_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
_FIRST = ("serve",)


@dataclass(frozen=True)
class Parts:
    """An output that is no one array (sparse, ragged): its components, which are not compared."""

    components: tuple[Any, ...]


class NotLoadedError(Exception):
    """No graph in it is loaded: `errors` has what each of its tag sets ended in, in order."""

    def __init__(self, errors: Mapping[tuple[str, ...], Exception]) -> None:
        super().__init__("no graph of the SavedModel is loaded")
        self.errors = dict(errors)


def load(source: LoadSource, spec: LoaderSpec, earlier: Sequence[Attempt]) -> Attempt:
    """Load the graph that is served, where TensorFlow 2 loads none that has a signature."""
    errors = errors_of(earlier)
    has_model = any(attempt.loaded is not None for attempt in earlier)
    if not has_model and any(_is_out_of_memory(error) for error in errors.values()):
        return Attempt(spec)
    loaded, own_errors = _load(source.path)
    errors = {**errors, **own_errors}
    if loaded is None or (has_model and not loaded.signatures):
        return Attempt(spec, errors=own_errors)
    if not loaded.signatures and any(
        environment_problem(error) is not None for error in errors.values()
    ):
        # Objects that a library has to register: a graph without a signature does not use them.
        return Attempt(spec, errors=own_errors)
    first = next(iter(errors.values()), None)
    if first is not None and loaded.model.meta_graph.object_graph_def.nodes:
        broken = saved_model_errors.half_read(source.path, first)
        if broken is not None:
            return Attempt(spec, result=broken, is_final=True)
    return Attempt(spec, loaded, _result(loaded, spec, errors), is_final=True)


def _load(path: str) -> tuple[Loaded | None, dict[str, Exception]]:
    gc.collect()  # what TensorFlow 2 left of a model that it gave up
    try:
        return load_graph(path), {}
    except NotLoadedError as error:
        return None, {f"{TITLE}{with_tags(tags)}": one for tags, one in error.errors.items()}
    except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; `explain` decides
        return None, {TITLE: error}


def _is_out_of_memory(error: Exception) -> bool:
    reason = environment_problem(error)
    return reason is not None and reason.word == "out_of_memory"


def _result(loaded: Loaded, spec: LoaderSpec, errors: Mapping[str, Exception]) -> CheckResult:
    why = "."
    for name, error in list(errors.items())[:1]:
        why = f": {name} fails with {shortened(str(error))}"
    return passed(
        "load",
        f"Loaded as a SavedModel by {TITLE}{with_tags(loaded.model.tags)}{why}",
        loader=spec.name,
        tags=list(loaded.model.tags),
        saved_with=loaded.model.tensorflow_version,
        signatures=sorted(loaded.signatures),
    )


def with_tags(tags: Sequence[str]) -> str:
    """Name the tags of a graph, in a sentence."""
    return f" with the tags {', '.join(tags)}" if tags else " without tags"


def load_graph(path: str, tag_sets: Iterable[tuple[str, ...]] | None = None) -> Loaded:
    """Load the first graph of a SavedModel that a session takes, the one that is served first.

    One without a signature is kept only where no other graph has any.

    Args:
        path: its directory.
        tag_sets: which graphs to try; None for all of them.

    Raises:
        NotLoadedError: none of them is loaded.
        Exception: whatever TensorFlow raises while it reads the file.
    """
    errors: dict[tuple[str, ...], Exception] = {}
    spare: Loaded | None = None
    for tags in graphs_of(path) if tag_sets is None else tag_sets:
        try:
            model = SessionModel(path, tags)
            loaded = Loaded(model, None, _signatures(model), guard=model.unchanged)
        except Exception as error:  # noqa: BLE001 - TensorFlow raises anything; the caller judges
            errors[tags] = error
            continue
        model.failed = errors
        if loaded.signatures:
            return loaded
        spare = spare or loaded
    if spare is None:
        raise NotLoadedError(errors)
    return spare


def graphs_of(path: str) -> dict[tuple[str, ...], bool]:
    """The tag sets of a SavedModel's graphs: what is served first, `train` last.

    Returns:
        Each once, with whether that graph has a signature.

    Raises:
        Exception: whatever TensorFlow raises while it reads the file.
    """
    from tensorflow.python.saved_model import loader_impl

    graphs: dict[tuple[str, ...], bool] = {}
    for graph in loader_impl.parse_saved_model(path).meta_graphs:
        tags = tuple(sorted(graph.meta_info_def.tags))  # of equal ones the first is loaded
        graphs.setdefault(tags, bool(set(graph.signature_def) - set(_INTERNAL)))
    order = sorted(graphs, key=lambda tags: (tags != _FIRST, "serve" not in tags, "train" in tags))
    return {tags: graphs[tags] for tags in order}


def _signatures(model: SessionModel) -> dict[str, Signature]:
    return {
        name: _signature(model, definition)
        for name, definition in sorted(model.meta_graph.signature_def.items())
        if name not in _INTERNAL
    }


def _signature(model: SessionModel, definition: Any) -> Signature:
    graph = model.session.graph
    feeds = {k: v for key, info in sorted(definition.inputs.items()) for k, v in _feeds(key, info)}
    fetches = {key: _fetched(info) for key, info in sorted(definition.outputs.items())}
    for name in (*feeds.values(), *(part for f in fetches.values() for part in parts_of(f))):
        graph.as_graph_element(name)  # raises where it is not in the graph

    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for key, name in feeds.items():  # two inputs may be one tensor
            given[name] = arrays[key]
        outputs = model.run(fetches, given)
        return {
            key: Parts(tuple(value)) if isinstance(value, list) else value
            for key, value in outputs.items()
            if value is not None  # of an operation
        }

    return Signature(
        tuple(_spec(graph, key, name) for key, name in feeds.items()),
        tuple(
            _spec(graph, key, fetch)
            if isinstance(fetch, str)
            else ArraySpec(key, "CompositeTensorSpec", None)
            for key, fetch in fetches.items()
        ),
        run,
        in_parts=True,
        source=lambda: GraphSource(
            graph.as_graph_def(add_shapes=True),
            {key: name.partition(":")[0] for key, name in feeds.items()},
        ),
    )


def _feeds(key: str, info: Any) -> list[tuple[str, str]]:
    """The inputs that an entry of a signature stands for, named as `tf.saved_model.load` does."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [
            (f"{key}_indices", sparse.indices_tensor_name),
            (f"{key}_values", sparse.values_tensor_name),
            (f"{key}_dense_shape", sparse.dense_shape_tensor_name),
        ]
    if kind == "composite_tensor":
        parts = info.composite_tensor.components
        return [(f"{key}_component_{n}", part.name) for n, part in enumerate(parts)]
    return [(key, info.name)]


def _fetched(info: Any) -> Any:
    """The name of what an output is, or the names of its parts."""
    parts = [name for _, name in _feeds("", info)]
    return parts if info.WhichOneof("encoding") in ("coo_sparse", "composite_tensor") else parts[0]


def _spec(graph: Any, key: str, name: str) -> ArraySpec:
    element = graph.as_graph_element(name)
    if not hasattr(element, "dtype"):
        return ArraySpec(key, "operation", None)
    dtype, shape = element.dtype.base_dtype.name, element.shape
    handle = dtype in ("resource", "variant")  # whose bytes have no shape that it declares
    return ArraySpec(key, dtype, None if handle or shape.rank is None else tuple(shape.as_list()))
