"""What is known of a signature's inputs, and of the features of a tf.Example that one may hold.

Sources: tensorflow/core/ops/parsing_ops.cc, tensorflow/core/example/example.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PARSERS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})
"""The ops that take features out of a tf.Example."""


@dataclass(frozen=True)
class ExampleFeature:
    """One feature of a tf.Example; `shape` is None where it may have any number of values."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    limits: InputLimits


@dataclass
class InputLimits:
    """What the graph asks of one input.

    `least` and `below` bound whole numbers; `near` holds constants that it is compared with;
    `words` keys of a table that it is looked up in; `kinds` what its bytes are decoded as;
    `features` those that are parsed out of it; `columns` how many values stand in a line of it, or
    in a row of the sparse matrix whose shape it is; `shape` what it is multiplied or reshaped as.
    """

    least: int = 0
    below: int | None = None
    above: list[float] = field(default_factory=list)
    under: list[float] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    columns: int = 1
    shape: tuple[int | None, ...] | None = None
    dtype: str = "float32"
    features: list[ExampleFeature] = field(default_factory=list)

    def bound(self, size: int, shift: int) -> None:
        """Note that the input plus `shift` is an index below `size`."""
        self.least = max(self.least, -shift)
        self.below = size - shift if self.below is None else min(self.below, size - shift)


@dataclass(frozen=True)
class TensorValue:
    """What is known of a tensor: whose values it holds, a constant, a shape, a handle.

    `whole`: it has the shape of the input whose values it holds.
    """

    of: tuple[InputLimits, ...] = ()
    shift: int = 0
    constant: Any = None
    shape: tuple[int | None, ...] | None = None
    handle: Any = None
    whole: bool = False


NOTHING = TensorValue()
"""Of a tensor of which nothing is known."""


def shape_of(proto: Any) -> tuple[int | None, ...] | None:
    """Read a TensorShapeProto: None for an unknown rank, and for each unknown size."""
    if proto.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in proto.dim)


def dtype_name(number: int) -> str:
    """Return the name of a DataType."""
    import tensorflow as tf

    return str(tf.dtypes.as_dtype(number).name)


def parsed(node: Any, inputs: list[TensorValue]) -> list[TensorValue]:
    """Make a source of every feature of a parser, and return its outputs in order."""
    sparse, dense, ragged = _feature_keys(node, inputs)
    attr = node.attr
    shapes = [shape_of(s) for s in attr["dense_shapes"].list.shape]
    types = {
        "sparse": [dtype_name(t) for t in attr["sparse_types"].list.type],
        "dense": [dtype_name(t) for t in attr["Tdense"].list.type],
        "ragged": [dtype_name(t) for t in attr["ragged_value_types"].list.type],
    }
    made = {
        "sparse": _features(sparse, types["sparse"], [None] * len(sparse)),
        "dense": _features(dense, types["dense"], shapes),
        "ragged": _features(ragged, types["ragged"], [None] * len(ragged)),
    }
    serialized = inputs[0] if inputs else NOTHING
    for limits in serialized.of:
        limits.kinds.add("example")
        limits.features += [*made["sparse"], *made["dense"], *made["ragged"]]
    nothing = [NOTHING] * len(sparse)
    return [
        *nothing,
        *(TensorValue((f.limits,)) for f in made["sparse"]),
        *nothing,
        *(TensorValue((f.limits,)) for f in made["dense"]),
        *(TensorValue((f.limits,)) for f in made["ragged"]),
        *([NOTHING] * len(ragged)),
    ]


def _features(
    keys: list[str], dtypes: list[str], shapes: Sequence[tuple[int | None, ...] | None]
) -> list[ExampleFeature]:
    return [
        ExampleFeature(key, dtype, shape, InputLimits())
        for key, dtype, shape in zip(keys, dtypes, shapes)
    ]


def _feature_keys(node: Any, inputs: list[TensorValue]) -> tuple[list[str], list[str], list[str]]:
    if node.op == "ParseSingleExample":
        return (
            [k.decode() for k in node.attr["sparse_keys"].list.s],
            [k.decode() for k in node.attr["dense_keys"].list.s],
            [],
        )
    if node.op == "ParseExampleV2":
        vectors = [_texts(value) for value in inputs[2:5]]
        return vectors[0], vectors[1], vectors[2]
    sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
    names = [text for value in inputs[2 : 2 + sparse + dense] for text in _texts(value)]
    return names[:sparse], names[sparse:], []


def _texts(value: TensorValue) -> list[str]:
    if value.constant is None:
        return []
    return [t.decode() if isinstance(t, bytes) else str(t) for t in np.ravel(value.constant)]


def first_of(node: Any, output: str) -> int:
    """Where an output of several begins among all outputs of a parser."""
    if node.op not in PARSERS:
        return 0
    attr = node.attr
    sparse, dense = len(attr["sparse_types"].list.type), len(attr["Tdense"].list.type)
    ragged = len(attr["ragged_value_types"].list.type)
    return {
        "sparse_values": sparse,
        "sparse_shapes": 2 * sparse,
        "dense_values": 3 * sparse,
        "ragged_values": 3 * sparse + dense,
        "ragged_row_splits": 3 * sparse + dense + ragged,
    }.get(output, 0)
