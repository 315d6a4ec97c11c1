"""SavedModels that are small on disk and exhaust memory: recursion, nested calls and shapes.

A function that calls itself overflows the stack of its reader (CVE-2022-23591), functions that call
each other twice, many levels deep, expand into more nodes than fit any memory, and a constant or a
`Fill` declares a tensor of any size in a few bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.verify.scan.findings import BOMB, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.verify.scan.safety.graph_flow import Flow
    from checkpointd.verify.scan.saved_model.nodes import Constant, Node

_MAX_CALLS_DEEP = 500
_MAX_UNFOLDED = 50_000_000
_LEAST_BOUND = 4 << 30
_TIMES_THE_FILE = 16
_UNCOUNTED = 1 << 60
_ELEMENT_BYTES = 4
"""Of the results of ops, nearly all of which are float32 or int32."""
_WIDTHS = {"8": 1, "4": 1, "2": 1, "16": 2, "32": 4, "64": 8, "128": 16}

_SHAPED = {
    "Fill": 0,
    "BroadcastTo": 1,
    "RandomStandardNormal": 0,
    "RandomUniform": 0,
    "RandomUniformInt": 0,
    "StatelessRandomNormal": 0,
    "StatelessRandomNormalV2": 0,
    "StatelessRandomUniform": 0,
    "StatelessRandomUniformV2": 0,
    "TensorListReserve": 1,
    "Tile": 1,
    "TruncatedNormal": 0,
}
"""Ops whose result has the shape that an input gives, by its number; for `Tile`, a multiple."""


def cycles(flow: Flow) -> Iterator[Finding]:
    """Find functions that call themselves, or each other too deeply or too often."""
    functions = flow.graph.functions
    calls = {f.name: [c for n in f.nodes for c in flow.called(n)] for f in functions.values()}
    waiting = {name: len(set(called)) for name, called in calls.items()}
    callers: dict[str, set[str]] = {}
    for name, called in calls.items():
        for other in called:
            callers.setdefault(other, set()).add(name)
    ready = [name for name, count in waiting.items() if not count]
    depth = dict.fromkeys(ready, 0)
    size: dict[str, int] = {}
    while ready:
        name = ready.pop()
        unfolded = len(functions[name].nodes) + sum(size[c] for c in calls[name])
        size[name] = min(unfolded, _UNCOUNTED)
        for caller in callers.get(name, ()):
            depth[caller] = max(depth.get(caller, 0), depth[name] + 1)
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    stuck = sorted(name for name in calls if name not in size)
    if stuck:
        name = _on_cycle(stuck, calls)
        yield Finding(
            BOMB,
            f"The function {name!r} of its graph calls itself, which ends in a stack overflow.",
            where=name,
        )
        return
    for name, levels in depth.items():
        if levels > _MAX_CALLS_DEEP:
            message = f"The functions of its graph call each other {levels} levels deep."
            yield Finding(BOMB, message, where=name)
            return
    most = max(size.values(), default=0)
    if most > _MAX_UNFOLDED:
        name = max(size, key=lambda n: size[n])
        yield Finding(
            BOMB,
            f"The function {name!r} of its graph unfolds into {_count(most)} nodes.",
            where=name,
        )


def _on_cycle(stuck: list[str], calls: dict[str, list[str]]) -> str:
    """Return a function that calls itself, and not one that only calls such a function."""
    inside, name, seen = set(stuck), stuck[0], set()
    while name not in seen:
        seen.add(name)
        name = next(c for c in calls[name] if c in inside)
    return name


def shapes(flow: Flow, size: int) -> Iterator[Finding]:
    """Find tensors that are far larger in memory than anything on disk.

    Args:
        flow: the graph.
        size: of the whole checkpoint, in bytes.
    """
    bound = max(_LEAST_BOUND, _TIMES_THE_FILE * size)
    unstored = 0
    for scope, node in flow.nodes():
        if node.constant is not None:
            needed = _bytes(node.constant)
            if needed > bound:
                yield _bomb(node, needed, flow.path(scope, node))
                return
            unstored += max(0, needed - node.constant.stored)
        elif node.op in _SHAPED and flow.reached(scope, node).live:
            needed = _ELEMENT_BYTES * _elements(flow, scope, node)
            if needed > bound:
                yield _bomb(node, needed, flow.path(scope, node))
                return
    if unstored > bound:
        yield Finding(
            BOMB,
            f"The constants of its graph need {_count(unstored)} bytes of memory more than are "
            "stored.",
        )


def _bomb(node: Node, needed: int, path: str) -> Finding:
    return Finding(
        BOMB,
        f"A tensor in its graph needs {_count(needed)} bytes of memory, far more than the file "
        f"has: {path}.",
        where=node.name,
        what=node.op,
    )


def _count(number: int) -> str:
    """Format a number for a message."""
    return f"{number:,}" if number < _UNCOUNTED else "more than 2^60"


def _product(numbers: Iterable[int]) -> int:
    """Multiply sizes, up to more than any machine has."""
    product = 1
    for number in numbers:
        if number <= 0:
            return 0
        product = min(product * number, _UNCOUNTED)
    return product


def _bytes(constant: Constant) -> int:
    """Return the bytes that a constant needs in memory, at least one for each element."""
    digits = constant.dtype.partition("_")[0].lstrip("abcdefghijklmnopqrstuvwxyz")
    return _product(constant.shape) * _WIDTHS.get(digits, 1)


def _elements(flow: Flow, scope: str, node: Node) -> int:
    """Return the least number of elements of a result; 0 if its shape is not in the graph."""
    data = [name for name in node.inputs if not name.startswith("^")]
    index = _SHAPED[node.op]
    shape = flow.node(scope, data[index]) if index < len(data) else None
    if shape is None or shape.constant is None or shape.constant.numbers is None:
        return 0
    numbers, given = shape.constant.numbers, _product(shape.constant.shape)
    if len(numbers) == 1 and 1 < given <= 64:  # noqa: PLR2004 - one value stands for all, in a rank
        numbers = numbers * given
    return _product(numbers)
