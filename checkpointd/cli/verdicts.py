"""Prints a verdict: one line that can be understood without the manual, or the whole report.

Everything is taken from the public object of a report (`verify --json`), so that it is the same
whether it comes from this process, from the daemon, or from the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import COLOURS, grid, print_table, print_text
from checkpointd.core.suite import cure_of
from checkpointd.core.text import duration, printable, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType
    from rich.text import Text

_WORD = 12
"""The width of the longest verdict."""


def cure(reason: str) -> str:
    """What to do about a reason; empty for one that is not in the closed list."""
    return cure_of(reason)


def verdict_lines(public: dict[str, Any]) -> list[Text]:
    """The lines of one verdict: what, where, why, and what to do."""
    from rich.text import Text

    verdict = str(public.get("verdict") or "no verdict")
    reason, message = str(public.get("reason", "")), str(public.get("message", ""))
    head = Text()
    head.append(verdict.upper().ljust(_WORD), COLOURS.get(verdict, ""))
    head.append(f"  {printable(str(public['path']))}")
    seconds = public.get("duration_seconds")
    took = f"  {duration(seconds)}" if seconds else ""
    if verdict == "valid":
        proof = ", ".join(public.get("shown", ())) or "nothing shown"
        head.append(f"  {proof}{took}")
        lines = [head]
        for check in public.get("checks", ()):
            if check.get("reason") and check.get("outcome") in ("warn", "skip"):
                text = str(check["message"]).rstrip(".")
                note = f"Note: {check['reason']}: {text}. {cure(check['reason'])}"
                lines.append(_indented(note))
        return lines
    why = "  ".join(sentence(part) for part in (reason, message) if part)
    head.append(f"  {why}{took if reason else ''}")
    return [head, *([_indented(f"What to do: {cure(reason)}")] if cure(reason) else [])]


def _indented(text: str) -> Text:
    from rich.text import Text

    return Text(" " * (_WORD + 2) + sentence(text), "dim")


def print_verdict(out: Console, public: dict[str, Any]) -> None:
    """Print one verdict; paths are never broken, so that they can be copied."""
    for line in verdict_lines(public):
        print_text(out, line, _WORD + 2)


def print_report(out: Console, public: dict[str, Any], facts: Iterable[tuple[str, str]]) -> None:
    """Print a whole report, check by check.

    Args:
        out: where to.
        public: the report's public object; `stderr` may be added to it.
        facts: rows of what else is known, such as `("saved", "...")`.
    """
    print_verdict(out, public)
    table = grid("", "")
    table.columns[0].style = "dim"
    for name, value in facts:
        table.add_row(name, printable(value))
    environment = public.get("environment") or {}
    if environment:
        table.add_row(
            "under", printable(", ".join(f"{k} {v}" for k, v in environment.items() if v))
        )
    out.print()
    print_table(out, table)
    out.print()
    checks = grid("", "", "", "")
    for check in public.get("checks", ()):
        checks.add_row(*_check_row(check))
    print_table(out, checks)
    if public.get("stderr"):
        out.print("\nlast output of the loader:")
        for line in str(public["stderr"]).splitlines():
            print_text(out, f"  {printable(line)}")


def _check_row(check: dict[str, Any]) -> tuple[RenderableType, ...]:
    from rich.text import Text

    outcome = str(check.get("outcome", ""))
    seconds = float(check.get("duration_seconds") or 0.0)
    text = Text()
    reason = str(check.get("reason", ""))
    text.append("  ".join(sentence(p) for p in (reason, str(check.get("message", ""))) if p))
    if cure(reason):
        text.append(f"\nWhat to do: {cure(reason)}", "dim")
    return (
        Text(outcome, COLOURS.get(outcome, "")),
        str(check.get("name", "")),
        "" if outcome == "skip" else duration(seconds),
        text,
    )
