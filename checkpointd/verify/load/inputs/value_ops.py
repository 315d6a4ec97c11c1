"""Ops that limit an input, or change what is known of its values: what each of them implies.

Each takes the op's name and what is known of its inputs, notes what it asks of the inputs of the
graph, and gives what is known of its output.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.verify.load.inputs.limits import NOTHING, TensorValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_GATHERS = ("GatherV2", "Gather", "ResourceGather")
_PICTURES = (None, None, None, None)
_ABOVE, _BELOW = ("Greater", "GreaterEqual"), ("Less", "LessEqual")
_EQUAL = ("Equal", "NotEqual")


def _scalar(constant: Any) -> float | None:
    if constant is None or np.size(constant) != 1 or np.asarray(constant).dtype.kind not in "iufb":
        return None
    return float(np.asarray(constant).reshape(-1)[0])


def _shifted(op: str, inputs: list[TensorValue]) -> TensorValue:
    for here, there in (inputs[:2], inputs[1::-1]):
        by = _scalar(there.constant)
        if here.of and by is not None and by == int(by):
            if op == "Sub" and here is not inputs[0]:
                return NOTHING
            return TensorValue(
                here.of, here.shift + int(-by if op == "Sub" else by), whole=here.whole
            )
    return NOTHING


def _gathered(op: str, inputs: list[TensorValue]) -> TensorValue:
    table, indices = inputs[0], inputs[1]
    axis = _scalar(inputs[2].constant) if op == "GatherV2" and len(inputs) > 2 else 0  # noqa: PLR2004
    if table.shape is not None and axis is not None and -1 <= axis < len(table.shape):
        _bound(indices, table.shape[int(axis)] if table.shape else None)
    return TensorValue(table.of, table.shift)


def _bound(indices: TensorValue, size: Any) -> None:
    most = _scalar(size)
    if most is not None and most > 0:
        for limits in indices.of:
            limits.bound(int(most), indices.shift)


def _compared(op: str, inputs: list[TensorValue]) -> TensorValue:
    flipped = not inputs[0].of
    here, there = (inputs[1], inputs[0]) if flipped else (inputs[0], inputs[1])
    constant = _scalar(there.constant)
    if constant is None:
        return NOTHING
    for limits in here.of:
        if op in _EQUAL or (op in _ABOVE) != flipped:
            limits.above.append(constant - here.shift)
        if op in _EQUAL or (op in _BELOW) != flipped:
            limits.under.append(constant - here.shift)
    return NOTHING


def _one_hot(_op: str, inputs: list[TensorValue]) -> TensorValue:
    _bound(inputs[0], inputs[1].constant)
    return NOTHING


def _counted(op: str, inputs: list[TensorValue]) -> TensorValue:
    at = 1 if op == "RaggedBincount" else 0
    _bound(inputs[at], inputs[at + 1].constant)
    return NOTHING


def _shaped(op: str, inputs: list[TensorValue]) -> TensorValue:
    """A matrix is multiplied by one with as many rows, a picture filtered by channels."""
    shape = inputs[1].shape
    if not inputs[0].whole or shape is None:
        return NOTHING
    wanted: tuple[int | None, ...] | None = None
    if op == "Conv2D" and len(shape) == len(_PICTURES):
        wanted = (*_PICTURES[:-1], shape[2])
    elif op in ("MatMul", "BatchMatMulV2", "BatchMatMulV3") and len(shape) > 1:
        wanted = (*[None] * (len(shape) - 1), shape[-2])
    for limits in inputs[0].of:
        limits.shape = limits.shape or wanted
    return NOTHING


def _reshaped(_op: str, inputs: list[TensorValue]) -> TensorValue:
    """What is made into rows of fixed shapes has as many values in each of its own."""
    if inputs[0].whole and inputs[1].constant is not None:
        sizes = [int(n) for n in np.ravel(inputs[1].constant)]
        for limits in inputs[0].of:
            limits.shape = limits.shape or (None, math.prod(n for n in sizes if n > 0))
    return TensorValue(inputs[0].of, inputs[0].shift)


def _multiplied(_op: str, inputs: list[TensorValue]) -> TensorValue:
    """The columns of a sparse matrix are the rows of the dense one."""
    rows = (inputs[3].shape or (None,))[0]
    for limits in inputs[2].of:
        limits.columns = rows or 1
    return NOTHING


def _same(_op: str, inputs: list[TensorValue]) -> TensorValue:
    return inputs[0]


EVALUATED: Mapping[str, Callable[[str, list[TensorValue]], TensorValue]] = {
    **dict.fromkeys(("ReadVariableOp", "Identity", "Cast"), _same),
    **dict.fromkeys(("AddV2", "Add", "Sub"), _shifted),
    **dict.fromkeys(_GATHERS, _gathered),
    **dict.fromkeys((*_ABOVE, *_BELOW, *_EQUAL), _compared),
    **dict.fromkeys(("Bincount", "DenseBincount", "RaggedBincount"), _counted),
    **dict.fromkeys(("Conv2D", "MatMul", "BatchMatMulV2", "BatchMatMulV3"), _shaped),
    "Reshape": _reshaped,
    "OneHot": _one_hot,
    "SparseTensorDenseMatMul": _multiplied,
}
"""What is known of an op, by its name."""
