"""A SavedModel in a session of TensorFlow 1, which is how TensorFlow Serving loads it.

It takes graphs that `tf.saved_model.load` does not make functions of: reference variables, an
input that two names share, names that are no parameter's, the `eval` graphs of TFMA.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.verify.load.inputs.limits import GraphSource
from checkpointd.verify.load.runtime import Loaded, Signature, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

LOADER = "saved_model_v1"

_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
_FIRST = ("serve",)
_LEAVES_STATE = frozenset(
    {"Const", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Variable", "VariableV2"}
    | {"VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "IsVariableInitialized"}
    | {"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "LookupTableFind"}
    | {"LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "Assert", "Print", "PrintV2"}
)
"""Stateful ops that leave a session as it was; any other may change it."""
_ASSIGNS = ("Assign", "Scatter", "Apply", "CountUpTo")
"""How ops begin that change a reference variable, which are not marked as stateful."""


@dataclass(frozen=True)
class Parts:
    """An output that is no one array (sparse, ragged): its components, which nobody compares."""

    components: tuple[Any, ...]


class NotLoadedError(Exception):
    """No graph in it is loaded: `errors` has what each of its tag sets ended in, in order."""

    def __init__(self, errors: Mapping[tuple[str, ...], Exception]) -> None:
        super().__init__("no graph of the SavedModel is loaded")
        self.errors = dict(errors)


class SessionModel:
    """A graph of a SavedModel that was loaded into a session; ops and tensors go by name."""

    def __init__(self, path: str, tags: Sequence[str]) -> None:
        self.path = path
        self.tags = tuple(tags)
        self.failed: dict[tuple[str, ...], Exception] = {}
        self.tensorflow_version = ""
        self.meta_graph: Any = None
        self.session: Any = None
        self._touched = False
        self._functions: dict[str, Any] = {}
        self._changing: dict[str, bool] = {}
        self._load()

    def _load(self) -> None:
        import tensorflow as tf

        v1 = tf.compat.v1
        config = v1.ConfigProto(
            allow_soft_placement=True,
            intra_op_parallelism_threads=1,
            inter_op_parallelism_threads=1,
        )
        session = v1.Session(graph=tf.Graph(), config=config)
        try:
            with session.graph.as_default():
                self.meta_graph = v1.saved_model.loader.load(
                    session,
                    list(self.tags),
                    self.path,
                    clear_devices=True,  # of the machine that wrote it, which is another
                )
        except BaseException:
            session.close()
            raise
        self.session = session
        library = self.meta_graph.graph_def.library.function
        self._functions = {function.signature.name: function for function in library}
        self.tensorflow_version = str(self.meta_graph.meta_info_def.tensorflow_version)

    def run(self, fetches: Any, feeds: Mapping[Any, Any]) -> Any:
        """Run a part of the graph: what `Session.run` gives for names of ops and tensors."""
        self._touched = self._touched or self._changes_state(fetches)
        return self.session.run(fetches, feeds)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """A block after which the session is as it was loaded."""
        try:
            yield
        finally:
            if self._touched:
                self._touched = False
                self.session.close()
                self._load()

    def _changes_state(self, fetches: Mapping[str, Any]) -> bool:
        graph = self.session.graph
        wanted = [graph.as_graph_element(part) for f in fetches.values() for part in _parts(f)]
        left = [getattr(element, "op", element) for element in wanted]
        seen = set(left)
        while left:
            op = left.pop()
            if self._may_change(op.type, op.node_def):
                return True
            for other in (*op.control_inputs, *(tensor.op for tensor in op.inputs)):
                if other not in seen:
                    seen.add(other)
                    left.append(other)
        return False

    def _may_change(self, kind: str, node: Any) -> bool:
        """Whether an op, or one in a function that it calls, may change what the session holds."""
        from tensorflow.python.framework import op_def_registry

        names = [kind]
        for attribute in node.attr.values():
            names += [attribute.func.name, *(f.name for f in attribute.list.func)]
        called = [self._functions[name] for name in names if name in self._functions]
        if called:
            return any(self._function_changes(function) for function in called)
        known = op_def_registry.get(kind)
        stateful = known is not None and known.is_stateful and kind not in _LEAVES_STATE
        return stateful or kind.startswith(_ASSIGNS)

    def _function_changes(self, function: Any) -> bool:
        name = function.signature.name
        if name not in self._changing:
            self._changing[name] = False  # while it is looked at: one may call itself
            self._changing[name] = any(self._may_change(n.op, n) for n in function.node_def)
        return self._changing[name]


def load(path: str, tag_sets: Iterable[tuple[str, ...]] | None = None) -> Loaded:
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

    found: dict[tuple[str, ...], bool] = {}
    for graph in loader_impl.parse_saved_model(path).meta_graphs:
        tags = tuple(sorted(graph.meta_info_def.tags))  # of equal ones the first is loaded
        found.setdefault(tags, bool(set(graph.signature_def) - set(_INTERNAL)))
    order = sorted(found, key=lambda tags: (tags != _FIRST, "serve" not in tags, "train" in tags))
    return {tags: found[tags] for tags in order}


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
    for name in (*feeds.values(), *(part for f in fetches.values() for part in _parts(f))):
        graph.as_graph_element(name)  # one that is not in the graph is nobody's signature

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
            else Spec(key, "CompositeTensorSpec", None)
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


def _parts(fetch: Any) -> list[str]:
    return [fetch] if isinstance(fetch, str) else list(fetch)


def _spec(graph: Any, key: str, name: str) -> Spec:
    element = graph.as_graph_element(name)
    if not hasattr(element, "dtype"):
        return Spec(key, "operation", None)
    dtype, shape = element.dtype.base_dtype.name, element.shape
    handle = dtype in ("resource", "variant")  # whose bytes have no shape that it declares
    return Spec(key, dtype, None if handle or shape.rank is None else tuple(shape.as_list()))
