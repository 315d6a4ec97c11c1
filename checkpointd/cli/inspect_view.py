"""Prints the result of `inspect` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.graph_view import show_graph
from checkpointd.cli.output import console, grid, print_table, print_text
from checkpointd.core.text import printable, size

if TYPE_CHECKING:
    from rich.console import Console

_TABLES = frozenset(
    {"tensors", "graphs", "signatures", "path", "size_bytes", "members", "totals", "problem"}
)


def show_inspection(facts: dict[str, Any], *, ops: bool = False) -> None:
    """Print what is in a checkpoint.

    Args:
        facts: what was found.
        ops: also print the operations that each graph uses.
    """
    out = console()
    print_text(out, printable(str(facts.get("path", ""))))
    table = grid("", "")
    table.columns[0].style = "dim"
    table.add_row("size", size(facts.get("size_bytes", 0)))
    for key, value in facts.items():
        if key not in _TABLES and value not in (None, "", [], {}):
            table.add_row(key.replace("_", " "), printable(_plain(value)))
    files = facts.get("members") or []
    if len(files) > 1:
        table.add_row("files", str(len(files)))
    totals = facts.get("totals") or {}
    if totals:
        table.add_row("tensors", _totals(totals))
    if facts.get("problem"):
        table.add_row("problem", printable(str(facts["problem"])))
    print_table(out, table)
    graphs = facts.get("graphs") or []
    _signatures(out, facts.get("signatures") or {}, graphs)
    for graph in graphs:
        show_graph(out, graph, ops=ops)
    _tensors(out, facts.get("tensors") or [])


def _totals(totals: dict[str, Any]) -> str:
    parts = ("model", "optimizer")
    sizes = [
        f"{part} {size(totals[f'{part}_bytes'])}" for part in parts if totals.get(f"{part}_bytes")
    ]
    return f"{totals.get('tensors', 0):,}" + (f" ({', '.join(sizes)})" if sizes else "")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return str(value)


def _signatures(out: Console, signatures: dict[str, Any], graphs: list[dict[str, Any]]) -> None:
    if not signatures:
        return
    served = next((g for g in graphs if set(signatures) == set(g.get("methods", ()))), {})
    tensors = served.get("tensors", {})
    table = grid(
        "signature", "", "name", "dtype", "shape", *(["tensor in the graph"] if tensors else [])
    )
    for name, ends in signatures.items():
        label = printable(str(name))
        for end, word in (("inputs", "takes"), ("outputs", "gives")):
            names = tensors.get(name, {}).get(end, {})
            for tensor in ends.get(end, ()):
                inner = [printable(names.get(tensor[0], ""))] if tensors else []
                table.add_row(label, word, *_tensor(tensor), *inner)
                label = ""
    out.print()
    print_table(out, table)


def _tensor(tensor: Any) -> tuple[str, str, str]:
    name, dtype, shape = (*tensor, None, None, None)[:3]
    return printable(str(name)), printable(str(dtype)), _shape(shape)


def _shape(shape: Any) -> str:
    if not isinstance(shape, list):
        return "any" if shape is None else str(shape)
    return " x ".join("?" if n in (None, -1) else str(n) for n in shape) or "scalar"


def _tensors(out: Console, tensors: list[dict[str, Any]]) -> None:
    if not tensors:
        return
    table = grid("tensor", "dtype", "shape", "bytes", "role")
    table.columns[3].justify = "right"
    for tensor in tensors:
        table.add_row(
            printable(str(tensor.get("name", ""))),
            str(tensor.get("dtype", "")),
            _shape(tensor.get("shape")),
            size(tensor.get("bytes", tensor.get("size_bytes", 0))),
            str(tensor.get("role", "")),
        )
    out.print()
    print_table(out, table)
