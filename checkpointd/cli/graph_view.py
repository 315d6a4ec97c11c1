"""Prints what a graph of a SavedModel offers: tags, methods, functions, operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import grid, print_table, print_text
from checkpointd.core.text import printable

if TYPE_CHECKING:
    from rich.console import Console


def show_graph(out: Console, graph: dict[str, Any], *, ops: bool) -> None:
    """Print one graph.

    Args:
        out: where to.
        graph: as `outline` describes it.
        ops: also print the operations that it uses.
    """
    tags = ", ".join(printable(tag) for tag in graph.get("tags", ())) or "without a tag"
    out.print()
    print_text(out, f"graph {tags}")
    table = grid("", "")
    table.columns[0].style = "dim"
    for name, method in sorted(graph.get("methods", {}).items()):
        called = printable(method) or "without a method name"
        table.add_row("  signature", f"{printable(name)}: {called}")
    for name, options in graph.get("functions", {}).items():
        for number, arguments in enumerate(options):
            call = f"{printable(name)}({', '.join(map(printable, arguments))})"
            table.add_row("  function" if not number else "", call)
    if ops:
        table.add_row("  ops", ", ".join(map(printable, graph.get("ops", ()))))
    print_table(out, table)
