"""Where a string in a SavedModel's graph comes from: an asset, a caller, a constant, or elsewhere.

Only ops that pass on the strings that they are given are followed; the result of any other op
counts as computed, and never as an asset's path. Arguments of functions are followed to callers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.verify.scan.safety.graph_variables import ALIASES, PLACEHOLDERS, Variables
from checkpointd.verify.scan.safety.graph_walk import MAIN, base, data_of, tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from checkpointd.verify.scan.safety.graph_walk import Walk
    from checkpointd.verify.scan.saved_model.nodes import Node

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_CHOICES = frozenset({"Case", "If", "StatelessCase", "StatelessIf"})
_LOOPS = frozenset({"StatelessWhile", "While"})
_REDUCES = "ReduceDataset"
_MAPS = frozenset(
    {"FlatMapDataset", "InterleaveDataset", "LegacyParallelInterleaveDatasetV2", "MapDataset"}
    | {"ParallelInterleaveDataset", "ParallelInterleaveDatasetV2", "ParallelInterleaveDatasetV3"}
    | {"ParallelInterleaveDatasetV4", "ParallelMapDataset", "ParallelMapDatasetV2"}
)
"""Ops whose result is the result of the function that they call."""

_APPLY = _MAPS | frozenset(
    {"BatchFunction", "FilterDataset", "MapDefun", "OneShotIterator", "ParallelFilterDataset"}
    | {"RemoteCall", "TPUPartitionedCall"}
)
"""Ops whose function gets no other arguments than the inputs of the op."""

_PASS_ON: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(PLACEHOLDERS | {"ConcatV2", "Const", "IdentityN", "Pack"}),
    **dict.fromkeys(("TensorDataset", "TensorSliceDataset", "ZipDataset", "ConcatenateDataset")),
    **dict.fromkeys(("ExpandDims", "Identity", "OptionsDataset", "PrefetchDataset"), (0,)),
    **dict.fromkeys(("ReadVariableOp", "RepeatDataset", "Reshape", "Squeeze"), (0,)),
    **dict.fromkeys(("ShuffleDatasetV3", "BatchDataset", "BatchDatasetV2", "TakeDataset"), (0,)),
    **dict.fromkeys(("AssertCardinalityDataset", "CacheDataset", "CacheDatasetV2"), (0,)),
    **dict.fromkeys(("FilterDataset", "IgnoreErrorsDataset", "ModelDataset"), (0,)),
    **dict.fromkeys(("ParallelBatchDataset", "ShuffleAndRepeatDataset", "UnbatchDataset"), (0,)),
    **dict.fromkeys(("ShuffleDataset", "ShuffleDatasetV2", "SkipDataset", "ShardDataset"), (0,)),
    **dict.fromkeys(("StridedSlice", "Slice", "Gather", "GatherV2", "GatherNd", "Unpack"), (0,)),
    **dict.fromkeys(("TensorListFromTensor", "TensorListGetItem", "TensorListStack"), (0,)),
    **dict.fromkeys(("TensorListSetItem",), (0, 2)),
    **dict.fromkeys(("EnsureShape", "BroadcastTo", "Tile", "SplitV", "MatchingFiles"), (0,)),
    **dict.fromkeys(("Select", "SelectV2"), (1, 2)),
    "Split": (1,),
}
"""Ops that pass on strings, and the inputs that hold them; None: all."""

_NO_STRINGS = frozenset(
    {"AddV2", "Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalNot"}
    | {"LogicalOr", "Maximum", "Minimum", "Mul", "NotEqual", "Range", "Rank", "Shape", "ShapeN"}
    | {"Size", "Sub", "TensorListReserve", "EmptyTensorList", "StringLength"}
)
"""Ops whose result is never a string."""

_JOIN = frozenset({"StringJoin"})
_TRIM = frozenset({"StringLower", "StringStrip", "StringUpper"})

_MAX_STEPS = 2_000_000
"""How many tensors of one graph are followed to the sources of strings."""


@dataclass
class Sources:
    """Where a string may come from.

    `constants` are those in the graph, `assets` files that the SavedModel holds, `filename` the
    path that the saver is given, `given` what a caller gives, `computed` anything else.
    `fixed` is an asset whose path is a constant in the graph too: TensorFlow 1 feeds the path of
    the asset in its place while it loads, and not when a signature is run.
    """

    constants: set[bytes] = field(default_factory=set)
    assets: bool = False
    fixed: bool = False
    filename: bool = False
    given: bool = False
    computed: bool = False

    @property
    def only_given(self) -> bool:
        """Whether it comes from the caller, or from the SavedModel's assets, alone."""
        return self.given and not (self.computed or self.filename or self.constants)


class Origins:
    """Finds the sources of strings in one graph."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._graph = graph = walk.graph
        self._left = _MAX_STEPS
        self._sites: dict[str, list[tuple[str, Node]]] | None = None
        self._assets = {tensor(name) for name, _ in graph.assets if name}
        self._defaults = set(map(tensor, graph.defaults))
        self._filename = tensor(graph.filename) if graph.filename else ""
        self._variables = Variables(walk)
        self._never_given = {*graph.gradients.values(), *graph.backward, *graph.objects.loading}
        self._never_given |= {f.name for f in graph.functions.values() if f.stands_in}
        self._never_given.update(f for _, node in walk.nodes() for f in walk.in_texts(node))

    def source(
        self,
        scope: str,
        node: Node,
        index: int,
        *,
        head: bool = False,
        fed: Collection[str] = (),
    ) -> Sources:
        """Find where the string comes from that is input number `index` of a node.

        Args:
            scope: the function that the node is in.
            node: which one.
            index: among its inputs that are tensors.
            head: follow only the first part of a path that is joined. The other parts are the
                caller's, or constants that name a file in a directory: a path that may lead
                anywhere else, also because the first part is empty, counts as computed.
            fed: tensors of the graph that a caller gives.
        """
        data = data_of(node)
        if index >= len(data):
            return Sources(computed=True)
        return self._trace(scope, data[index], fed, head=head)

    def _trace(
        self, scope: str, start: str, fed: Collection[str], *, head: bool = False
    ) -> Sources:
        sources = Sources()
        left = [(scope, start)]
        seen = set(left)
        while left:
            self._left -= 1
            if self._left < 0:
                sources.computed = True
                return sources
            at, name = left.pop()
            if at == MAIN and tensor(name) in fed:
                sources.given = True
                continue
            steps = self._joined(at, name, sources, fed) if head else None
            for step in self._before(at, name, sources) if steps is None else steps:
                if step not in seen:
                    seen.add(step)
                    left.append(step)
        return sources

    def _joined(
        self, scope: str, name: str, sources: Sources, fed: Collection[str]
    ) -> list[tuple[str, str]] | None:
        """Return the first part of a path that is joined; None if a tensor is not such a path."""
        node = self._walk.node(scope, base(name))
        data = data_of(node) if node is not None else []
        if node is None or node.op not in _JOIN | _TRIM or not data:
            return None
        between = node.texts.get("separator", ("",))[0].encode("utf-8", "surrogateescape")
        fixed = [between] * (len(data) - 1)
        for rest in data[1:] if node.op in _JOIN else ():
            source = self._trace(scope, rest, fed)
            sources.computed |= source.computed or source.assets or source.filename
            fixed += source.constants
        sources.computed |= any(b".." in text for text in fixed)
        sources.computed |= sum(text.count(b"/") for text in fixed) > 1
        return [(scope, data[0])]

    def _before(self, scope: str, name: str, sources: Sources) -> Iterable[tuple[str, str]]:
        """Add a tensor to `sources` if it is one, and return the tensors that it is made of."""
        where = base(name)
        functions = self._graph.functions
        if scope != MAIN and where in functions[scope].arguments:
            return self._argument(scope, functions[scope].arguments.index(where), sources)
        node = self._walk.node(scope, where)
        if node is None:
            sources.computed = True
            return ()
        if scope == MAIN and tensor(name) in self._assets | {self._filename}:
            asset = tensor(name) in self._assets
            sources.assets |= asset
            sources.fixed |= asset and node.op not in ("Placeholder", "PlaceholderV2")
            sources.filename |= not asset
            return ()
        sources.computed |= scope == MAIN and tensor(name) in self._defaults
        sources.computed |= node.op == "Const" and node.constant is None  # the caller gives it
        if node.constant is not None and node.constant.dtype == "string":
            strings = node.constant.strings
            sources.constants.update((b"",) if strings == () else strings or (b"(long)",))
        if node.op in PLACEHOLDERS:
            sources.given = True
        variable = self._variables.name(where) if scope == MAIN and node.op not in ALIASES else ""
        if variable in self._variables.assigned:  # such as one that holds an asset's path
            sources.computed |= variable in self._variables.escaped
            return [(scope, i) for i in self._variables.assigned[variable]]
        if node.op in _NO_STRINGS:
            return ()
        return self._of_node(scope, node, name, sources)

    def _of_node(
        self, scope: str, node: Node, name: str, sources: Sources
    ) -> Iterable[tuple[str, str]]:
        """Return the tensors that an op passes on, and the results of functions that it calls."""
        data = data_of(node)
        called = list(self._walk.called(node))
        if node.op in self._graph.functions:
            return [(called[0], result) for result in self._graph.functions[node.op].results]
        if node.op in _CALLS | _CHOICES | _LOOPS and called:
            port = int(tensor(name).rpartition(":")[2])
            steps = [(scope, data[port])] if node.op in _LOOPS and port < len(data) else []
            for function in called:
                results = self._graph.functions[function].results
                if node.op in _LOOPS and len(results) != len(data):
                    continue  # its condition
                if port < len(results):
                    steps.append((function, results[port]))
                else:
                    sources.computed = True
            return steps
        if node.op in _MAPS:
            return [(f, result) for f in called for result in self._graph.functions[f].results]
        if node.op not in _PASS_ON:
            sources.computed = True
            return [(scope, i) for i in data]
        chosen = _PASS_ON[node.op]
        return [(scope, i) for k, i in enumerate(data) if chosen is None or k in chosen]

    def _argument(self, function: str, index: int, sources: Sources) -> Iterator[tuple[str, str]]:
        """Yield the tensors that an argument of a function is: of its callers, or captured."""
        objects = self._graph.objects
        captures = objects.functions.get(function, ())
        given = len(self._graph.functions[function].arguments) - len(captures)
        if index >= given:
            captured = captures[index - given]
            if captured in objects.assets:
                sources.assets = True
            elif captured in objects.constants:
                yield MAIN, objects.constants[captured]
            else:  # a variable, whose value is in the checkpoint
                sources.computed = True
        sources.computed |= index < given and function in self._never_given
        sites = self._callers().get(function, ())
        for scope, node in sites:
            yield from self._at_call(function, index, scope, node, sources)
        if not sites and index < given:
            sources.given = True

    def _at_call(
        self, function: str, index: int, scope: str, node: Node, sources: Sources
    ) -> Iterator[tuple[str, str]]:
        """Yield the tensors that an argument of a function is in one node that calls it."""
        data = data_of(node)
        results = self._graph.functions[function].results
        first = {_REDUCES: 1}.get(node.op, 1 if node.op in _CHOICES else 0)
        if node.op in _LOOPS:
            bodies = [f for f in map(self._graph.functions.get, self._walk.called(node)) if f]
            carried = [f for f in bodies if len(f.results) == len(data)]
            sources.computed |= not carried or index >= len(data)
            yield from ((f.name, f.results[index]) for f in carried if index < len(data))
        elif node.op == _REDUCES and index < len(results):
            yield function, results[index]
        elif node.op == _REDUCES:
            yield from ((scope, name) for name in (*data[:1], *data[1 + len(results) :]))
            return
        elif node.op not in self._graph.functions and node.op not in _CALLS | _CHOICES | _APPLY:
            called = (self._graph.functions[f] for f in self._walk.called(node))
            yield from ((f.name, result) for f in called for result in f.results)
        exact = node.op == function or node.op in _CALLS | _CHOICES | _LOOPS | {_REDUCES}
        if exact and index + first < len(data):
            yield scope, data[index + first]
        else:  # the op decides which of them becomes the argument
            yield from ((scope, name) for name in data)
            sources.computed |= not data

    def _callers(self) -> dict[str, list[tuple[str, Node]]]:
        if self._sites is None:
            self._sites = {}
            for scope, node in self._walk.nodes():
                for name in self._walk.called(node):
                    self._sites.setdefault(name, []).append((scope, node))
        return self._sites
