"""Prints the result of `diff` for people, in 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import console, grid, print_table, print_text
from checkpointd.core.text import printable, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_ROWS = 30
_ROLES = {"model": 0, "other": 1, "optimizer": 2}
_RESULTS = {
    "same": "They are the same.",
    "different": "They differ.",
    "inconclusive": "No difference was found, and it is not certain that they are the same.",
}


def show_diff(facts: dict[str, Any], *, everything: bool = False) -> None:
    """Print how two checkpoints differ.

    Args:
        facts: what `checkpointd.verify.scan.diff.comparison` found.
        everything: list every tensor.
    """
    out = console()
    for label in ("a", "b"):
        side = facts[label]
        writer = f", {printable(side['writer'])}" if side["writer"] else ""
        print_text(out, f"{label}  {printable(side['path'])}", 3)
        about = f"{side['format']}{writer}, {side['tensors']:,} tensors, {size(side['bytes'])}"
        print_text(out, f"   {about}", 3)
    counts = {key.replace("_", " "): n for key, n in facts["counts"].items() if n or key == "same"}
    print_text(out, "Tensors: " + ", ".join(f"{n:,} {word}" for word, n in counts.items()) + ".")
    if facts["counts"]["changed"]:
        norm = facts["norm"][0]
        moved = f" ({facts['difference_norm'] / norm:.2g} of a's norm)" if norm else ""
        print_text(
            out,
            f"The weights differ by a norm of {facts['difference_norm']:.4g}{moved}.",
        )
    limit = None if everything else _ROWS
    _changed_tensors(out, facts["changed"], limit)
    _unpaired(out, "only in b", facts["appeared"], limit)
    _unpaired(out, "only in a", facts["gone"], limit)
    _unpaired(out, "not paired: in a", facts["unclear"]["a"], limit)
    _unpaired(out, "not paired: in b", facts["unclear"]["b"], limit)
    _unpaired(
        out, "not compared: text of HDF5", [_sides_as_one(r) for r in facts["not_compared"]], limit
    )
    if facts["not_listed"]:
        print_text(out, f"{facts['not_listed']:,} more tensors are too many for the report.")
    _text_differences(out, "signatures", facts["signatures"], limit)
    _text_differences(out, "configuration", facts["configuration"], limit)
    for problem in facts["problems"][:limit]:
        print_text(out, f"{printable(problem['path'])}: {printable(problem['message'])}")
    _pairing(out, facts["paired_by"])
    print_text(out, _RESULTS[facts["result"]])


def _changed_tensors(out: Console, rows: Sequence[dict[str, Any]], limit: int | None) -> None:
    if not rows:
        return
    ordered = sorted(rows, key=lambda r: -(r["max_rel_difference"] or 0.0))
    table = grid("changed", "largest", "relative", "norm in a", "in b")
    for row in ordered[:limit]:
        table.add_row(
            row["name"],
            _number(row["max_abs_difference"]),
            _number(row["max_rel_difference"]),
            *(_number(norm) for norm in row["norm"]),
        )
        for note in _notes(row):
            table.add_row(f"  {note}")
    out.print()
    print_table(out, table)
    _hint_at_more(out, rows, limit)


def _notes(row: dict[str, Any]) -> list[str]:
    notes = []
    if row["names"][0] != row["names"][1]:
        notes.append(f"{row['names'][0]} -> {row['names'][1]}")
    for key in ("dtype", "shape"):
        before, after = row[key]
        if before != after:
            notes.append(f"{key} {before} -> {after}")
    for key, word in (("nan", "NaN"), ("inf", "Inf")):
        before, after = row[key]
        if before != after:
            notes.append(f"{word} {before:,} -> {after:,}")
    return notes


def _sides_as_one(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{key: row[key][0] for key in ("dtype", "shape", "norm")}}


def _unpaired(out: Console, title: str, rows: Sequence[dict[str, Any]], limit: int | None) -> None:
    if not rows:
        return
    table = grid(title, "dtype", "shape", "norm")
    for row in sorted(rows, key=lambda r: _ROLES.get(r["role"], len(_ROLES)))[:limit]:
        shape = " x ".join(map(str, row["shape"])) or "scalar"
        table.add_row(row["name"], row["dtype"], shape, _number(row["norm"]))
    out.print()
    print_table(out, table)
    _hint_at_more(out, rows, limit)


def _hint_at_more(out: Console, rows: Sequence[Any], limit: int | None) -> None:
    if limit is not None and len(rows) > limit:
        print_text(out, f"... and {len(rows) - limit:,} more: --all lists them.")


def _text_differences(
    out: Console, title: str, comparison: dict[str, Any], limit: int | None
) -> None:
    if comparison["differences"]:
        out.print()
        print_text(out, title)
        for line in comparison["differences"][:limit]:
            print_text(out, f"  {printable(line)}", 4)
        _hint_at_more(out, comparison["differences"], limit)
    if comparison["note"]:
        print_text(out, comparison["note"])


def _pairing(out: Console, paired_by: dict[str, int]) -> None:
    others = {why: n for why, n in paired_by.items() if why not in ("name", "key")}
    if others:
        words = ", ".join(f"{n:,} by {why}" for why, n in others.items())
        out.print()
        print_text(out, f"Tensors whose names differ were paired: {words}.")


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3g}"
