"""The output of `prune`: keep or remove, and the reason for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.cli.errors import FAILED, NOT_BEGUN, OK, REFUSED
from checkpointd.cli.output import console, grid, merged_holds, print_table, print_text
from checkpointd.core.text import printable, size
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence


def lines(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of one watch, one for each decision, hold and removal."""
    watch = plan.get("watch")
    decided = [{"watch": watch, **row} for row in plan.get("decisions", ())]
    held = [{"watch": watch, "hold": True, **row} for row in plan.get("holds", ())]
    done = [{"watch": watch, **row} for row in plan.get("removals", ())]
    keys = ("unmet", "skipped", "file_differs", "space", "message")
    noted = {key: plan[key] for key in keys if plan.get(key)}
    notes = [{"watch": watch, **noted}] if noted else []
    return decided + held + done + notes


def show_plan(plan: dict[str, Any]) -> None:
    """Print what is kept and what is removed."""
    from rich.text import Text

    out = console()
    decisions = plan.get("decisions", ())
    mode = f", pruning is {plan['mode']}" if plan.get("mode") else ""
    out.print(Text(f"watch {printable(str(plan.get('watch', '')))}{mode}", "bold"))
    if plan.get("file_differs"):
        text = f"{plan['file_differs']} This is the plan of what runs."
        print_text(out, Text(printable(text), "yellow"))
    holds = [
        (h.get("series", ""), h.get("message") or f"{h.get('reason', '')}.", h.get("cure", ""))
        for h in plan.get("holds", ())
    ]
    for held in merged_holds(holds):
        for start, text in zip(("on hold", "", ""), filter(None, held), strict=False):
            print_text(out, Text(f"{start:<9}{printable(text)}", "yellow"), 9)
    for note in plan.get("notes", ()):
        print_text(out, Text(printable(str(note)), "yellow"))
    if plan.get("unmet"):
        print_text(out, Text(printable(str(plan["unmet"])), "yellow"))
    if not decisions:
        print_text(out, Text(printable(_why_empty(plan))))
        return
    table = grid("", "step", "size", "path")
    for column in table.columns[1:3]:
        column.justify = "right"
        column.no_wrap = True
    for decision in decisions:
        keep = bool(decision.get("keep"))
        path = Text(printable(str(decision.get("path", ""))))
        reasons = (
            "on hold, see above"
            if decision.get("rule") == "hold"
            else "; ".join(decision.get("reasons", ()))
        )
        path.append(f"\n{printable(reasons)}", "dim")
        table.add_row(
            Text("keep" if keep else "remove", "green" if keep else "red"),
            "" if decision.get("step") is None else str(decision["step"]),
            size(decision.get("size_bytes", 0)),
            path,
        )
    print_table(out, table)
    removed = [decision for decision in decisions if not decision.get("keep")]
    frees = size(sum(decision.get("size_bytes", 0) for decision in removed))
    later = plan.get("summary", {}).get("delayed")
    more = f", {later} more once they are old enough (min_age)" if later else ""
    out.print(f"{len(decisions) - len(removed)} kept, {len(removed)} to remove ({frees}){more}")
    if plan.get("space"):
        print_text(out, Text(str(plan["space"]), "yellow"))


def _why_empty(plan: dict[str, Any]) -> str:
    """Why a plan decides nothing."""
    if plan.get("failed") or plan.get("skipped"):
        return "nothing is planned"  # `show_removals` prints why
    return str(plan.get("message") or "no checkpoint is known yet")


def show_removals(plan: dict[str, Any]) -> None:
    """Print the result of a pruning that was carried out."""
    from rich.text import Text

    out = console()
    for note in ("message", "skipped"):
        if plan.get(note):
            print_text(out, Text(printable(str(plan[note])), "yellow"))
    removals = plan.get("removals", ())
    for removal in removals:
        if not removal.get("done"):
            text = f"kept after all  {removal.get('path', '')}: {removal.get('reason', '')}"
            print_text(out, Text(printable(text), "yellow"))
    moved = [removal for removal in removals if removal.get("done")]
    if moved:
        done = "removed from the bucket" if is_url(moved[0]["path"]) else "moved into the trash"
        out.print(
            f"{len(moved)} {done} ({size(sum(o['size_bytes'] for o in moved))}); "
            "`checkpointd restore PATH` brings one back."
        )


def exit_code(outcomes: Sequence[dict[str, Any]]) -> int:
    """The exit code of what was carried out: the worst that happened."""
    removals = [removal for outcome in outcomes for removal in outcome.get("removals", ())]
    if any(o.get("failed") for o in (*outcomes, *removals)):
        return FAILED
    if any(not removal.get("done") for removal in removals):
        return REFUSED
    return NOT_BEGUN if outcomes and all(o.get("skipped") for o in outcomes) else OK
