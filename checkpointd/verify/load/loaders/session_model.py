"""A graph of a SavedModel in a session of TensorFlow 1."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LEAVES_STATE = frozenset(
    {"Const", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Variable", "VariableV2"}
    | {"VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "IsVariableInitialized"}
    | {"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "LookupTableFind"}
    | {"LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "Assert", "Print", "PrintV2"}
)
"""Stateful ops that leave a session as it was; any other may change it."""
_ASSIGNS = ("Assign", "Scatter", "Apply", "CountUpTo")
"""How ops begin that change a reference variable, which are not marked as stateful."""


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
        """Run a part of the graph: what `Session.run` returns for names of ops and tensors."""
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
        wanted = [graph.as_graph_element(part) for f in fetches.values() for part in parts_of(f)]
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
            self._changing[name] = False  # while it is examined: one may call itself
            self._changing[name] = any(self._may_change(n.op, n) for n in function.node_def)
        return self._changing[name]


def parts_of(fetch: Any) -> list[str]:
    """Return the names of the tensors that an output is fetched by."""
    return [fetch] if isinstance(fetch, str) else list(fetch)
