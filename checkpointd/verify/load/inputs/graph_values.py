"""What the graph of a signature asks of its inputs: indices below a size, words of a table, images.

Each tensor's value is followed from the inputs, and from the features that a `ParseExample` takes
out of them, through ops that only move or convert it, to the ops that limit it. What is found
makes inputs that fit; nothing is judged by it. Sources: tensorflow/core/ops/*_ops.cc.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.verify.load.inputs.limits import (
    NOTHING,
    PARSERS,
    InputLimits,
    TensorValue,
    dtype_name,
    first_of,
    parsed,
    shape_of,
)
from checkpointd.verify.load.inputs.value_ops import EVALUATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.verify.load.loaded import GraphSource

_MOST_NODES = 200_000
_MOST_DEPTH = 24
_MOST_CONSTANT = 4096
_MOST_KEYS = 1 << 20

_MOVED = (
    "All Any AsString BatchToSpaceND BroadcastTo Cast ClipByValue Concat ConcatV2 "
    "DecodeCompressed DeepCopy DynamicPartition EnsureShape ExpandDims GatherNd Identity "
    "IdentityN Max Maximum Min Minimum MirrorPad Pack Pad PadV2 PlaceholderWithDefault "
    "PreventGradient RaggedGather RaggedTensorFromVariant RaggedTensorToTensor "
    "RaggedTensorToVariant RegexReplace Reshape Reverse ReverseV2 Select SelectV2 Slice "
    "Snapshot SpaceToBatchND SparseFillEmptyRows SparseReshape SparseSlice "
    "SparseTensorDenseAdd SparseToDense Split SplitV Squeeze StaticRegexReplace StopGradient "
    "StridedSlice StringLower StringSplit StringSplitV2 StringStrip StringUpper "
    "TensorArrayReadV3 TensorArrayScatterV3 TensorListFromTensor TensorListGetItem "
    "TensorListStack Tile Transpose Unique UniqueV2 Unpack Where"
)
_MOVES = frozenset(_MOVED.split())
"""Ops whose outputs hold values of their inputs, moved, converted or cut."""

_KEEP_SHAPE = frozenset(
    {"StopGradient", "PreventGradient", "EnsureShape", "PlaceholderWithDefault"}
)
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_KINDS = {
    "DecodeJpeg": "image",
    "DecodePng": "image",
    "DecodeImage": "image",
    "DecodeAndCropJpeg": "image",
    "ExtractJpegShape": "jpeg",
    "DecodeGif": "gif",
    "DecodeBmp": "bmp",
    "DecodeWav": "wav",
    "StringToNumber": "number",
    "DecodeCSV": "csv",
    "ParseTensor": "tensor",
    "DecodeRaw": "raw",
    "DecodePaddedRaw": "raw",
    "DecodeBase64": "base64",
    "DecodeJSONExample": "json",
    "ReadFile": "file",
    "WriteFile": "file",
    "SaveV2": "file",
    "Save": "file",
    "SaveSlices": "file",
    "RestoreV2": "file",
    "Restore": "file",
    "MergeV2Checkpoints": "file",
    "MatchingFiles": "file",
}


def limits_of(source: GraphSource) -> dict[str, InputLimits]:
    """Follow every input of a graph.

    Returns:
        By an input's name what the graph asks of it.
    """
    limits = {name: InputLimits() for name in source.inputs}
    bound = {
        node: TensorValue(of=(limits[name],), whole=True) for name, node in source.inputs.items()
    }
    for node, handle in source.captured.items():
        bound[node] = TensorValue(shape=source.shapes.get(node), handle=handle)
    library = {f.signature.name: f for f in source.graph.library.function}
    _Walk(library).graph(source.graph.node, bound)
    return limits


class _Walk:
    """One walk over a graph and the functions that it calls."""

    def __init__(self, library: Mapping[str, Any]) -> None:
        self.library = library
        self.left = _MOST_NODES
        self.depth = 0
        self.keys: dict[int, list[Any]] = {}

    def graph(
        self, nodes: Iterable[Any], bound: Mapping[str, TensorValue]
    ) -> Callable[[str], TensorValue]:
        """Evaluate nodes in an order in which inputs come first; returns values by reference."""
        values: dict[str, list[TensorValue]] = {name: [value] for name, value in bound.items()}
        by_name = {node.name: node for node in nodes}

        def get(reference: str) -> TensorValue:
            parts = reference.split(":")
            value = values.get(parts[0])
            if not value:
                return NOTHING
            index = int(parts[-1]) if len(parts) > 1 else 0
            if len(parts) > 2 and parts[0] in by_name:  # noqa: PLR2004 - node:output:index
                index += first_of(by_name[parts[0]], parts[1])
            return value[min(index, len(value) - 1)]

        for node in _ordered(by_name, values):
            self.left -= 1
            if self.left < 0:
                break
            given = [get(name) for name in node.input if not name.startswith("^")]
            values[node.name] = self.node(node, given) or [NOTHING]
        return get

    def node(self, node: Any, inputs: list[TensorValue]) -> list[TensorValue]:
        """Evaluate one node."""
        op = node.op
        if op in _CALLS:
            return self.call(node.attr["f"].func.name, inputs)
        if op in self.library:
            return self.call(op, inputs)
        if op in ("If", "StatelessIf"):
            then = self.call(node.attr["then_branch"].func.name, inputs[1:])
            other = self.call(node.attr["else_branch"].func.name, inputs[1:])
            return [a if a.of else b for a, b in zip(then, other)]
        if op in ("While", "StatelessWhile"):
            self.call(
                node.attr["body"].func.name, [TensorValue(g.of, 0, None, g.shape) for g in inputs]
            )
            return inputs
        if op in PARSERS:
            return parsed(node, inputs)
        result = self.plain(op, node, inputs)
        return [result if result.shape is not None else replace(result, shape=_declared(node))]

    def call(self, name: str, inputs: list[TensorValue]) -> list[TensorValue]:
        """Evaluate a function of the library."""
        function = self.library.get(name)
        if function is None or self.depth >= _MOST_DEPTH:
            return []
        self.depth += 1
        bound = {arg.name: value for arg, value in zip(function.signature.input_arg, inputs)}
        get = self.graph(function.node_def, bound)
        self.depth -= 1
        return [get(function.ret[arg.name]) for arg in function.signature.output_arg]

    def plain(self, op: str, node: Any, inputs: list[TensorValue]) -> TensorValue:
        """Evaluate an op that calls nothing."""
        result = NOTHING
        if op == "Const":
            result = _constant(node)
        elif op in _VARIABLES:
            result = TensorValue(shape=shape_of(node.attr["shape"].shape))
        elif op.startswith("LookupTableFind"):
            types = [dtype_name(node.attr[key].type) for key in ("Tin", "Tout")]
            self.look_up(inputs[0], inputs[1], types)
        elif op in _KINDS:
            result = _decoded(op, node, inputs)
        elif op in EVALUATED and inputs:
            result = EVALUATED[op](op, inputs)
        elif op in _MOVES and inputs:
            carrier = next((g for g in inputs if g.of), inputs[0])
            result = TensorValue(
                carrier.of, carrier.shift, whole=carrier.whole and op in _KEEP_SHAPE
            )
        return result

    def look_up(self, table: TensorValue, keys: TensorValue, types: list[str]) -> None:
        """Note the keys of the table that an input is looked up in."""
        if not keys.of or table.handle is None:
            return
        if id(table.handle) not in self.keys:
            self.keys[id(table.handle)] = _keys(table.handle, *types)
        for limits in keys.of:
            limits.words += self.keys[id(table.handle)][:16]


def _declared(node: Any) -> tuple[int | None, ...] | None:
    """The shape of a node's first output, where the graph was written with shapes."""
    if "_output_shapes" not in node.attr:
        return None
    shapes = node.attr["_output_shapes"].list.shape
    return shape_of(shapes[0]) if shapes else None


def _ordered(by_name: Mapping[str, Any], known: Mapping[str, Any]) -> Iterable[Any]:
    """Nodes with their inputs first; a cycle (a loop of TensorFlow 1) is cut anywhere."""
    seen = set(known)
    for root in by_name:
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            name, ready = stack.pop()
            if ready:
                yield by_name[name]
                continue
            if name in seen or name not in by_name:
                continue
            seen.add(name)
            stack.append((name, True))
            inputs = [r.lstrip("^").partition(":")[0] for r in by_name[name].input]
            stack += [(one, False) for one in inputs if one not in seen]


def _constant(node: Any) -> TensorValue:
    import tensorflow as tf

    proto = node.attr["value"].tensor
    shape = shape_of(proto.tensor_shape)
    if shape is None or None in shape or int(np.prod([n or 0 for n in shape])) > _MOST_CONSTANT:
        return TensorValue(shape=shape)
    return TensorValue(constant=tf.make_ndarray(proto), shape=shape)


def _decoded(op: str, node: Any, inputs: list[TensorValue]) -> TensorValue:
    kind = _KINDS[op]
    for limits in (limits for value in inputs for limits in value.of):
        limits.kinds.add(kind)
        if kind == "csv":
            limits.columns = max(1, len(node.attr["OUT_TYPE"].list.type))
        if kind in ("raw", "tensor"):
            limits.dtype = dtype_name(node.attr["out_type"].type)
    return inputs[0] if kind in ("base64", "json") and inputs else NOTHING


def _keys(handle: Any, key_type: str, value_type: str) -> list[Any]:
    """Read the keys of a table, by its true types: by others TensorFlow ends the process."""
    import tensorflow as tf

    raw = tf.raw_ops
    try:
        if int(raw.LookupTableSizeV2(table_handle=handle)) > _MOST_KEYS:
            return []
        exported = raw.LookupTableExportV2(table_handle=handle, Tkeys=key_type, Tvalues=value_type)
    except Exception:  # noqa: BLE001 - not initialised, for one
        return []
    return list(exported[0].numpy())
