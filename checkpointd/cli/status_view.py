"""How `status` looks on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import COLOURS, console, grid, print_table, when
from checkpointd.core.text import ago, iso, printable, size
from checkpointd.ledger import State
from checkpointd.observe.sandbox import sandbox_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_COUNTED = [state for state in State if state not in (State.GONE, State.UNKNOWN)]


def show_status(facts: dict[str, Any]) -> None:
    """Print the daemon's status; a key that an other version does not send is left out."""
    from rich.text import Text

    out = console()
    healthy, ready = facts.get("healthy"), facts.get("ready")
    word = "healthy" if healthy else "not healthy"
    table = _facts_table()
    state = Text()
    state.append(word, "green" if healthy else "bold red")
    state.append("" if ready else ", still looking through its watches for the first time")
    table.add_row("daemon", state)
    table.add_row("version", f"{facts.get('version', '?')}, pid {facts.get('pid', '?')}")
    if facts.get("started_at"):
        table.add_row("started", when(facts["started_at"]))
    table.add_row("config", printable(str(facts.get("config_path", ""))))
    if facts.get("config_error"):
        error = printable(str(facts["config_error"]))
        table.add_row("", Text(f"the last reload failed, the old one holds: {error}", "yellow"))
    if facts.get("web"):
        table.add_row("web", printable(f"{facts['web']}{_access(facts.get('web_access') or {})}"))
    queue = facts.get("queue", {})
    waiting = f"{queue.get('length', 0)} waiting"
    if queue.get("oldest_at"):
        waiting += f", the oldest since {ago(queue['oldest_at'], time.time())}"
    table.add_row("queue", waiting)
    for path in facts.get("verifying", ()):
        table.add_row("", f"verifying {printable(str(path))}")
    _workers(table, facts)
    bad = _bad(facts)
    if bad:
        table.add_row("not good", Text(bad, "bold red"))
    for problem in facts.get("problems", ()):
        table.add_row("problem", Text(printable(str(problem)), "yellow"))
    print_table(out, table)
    for watch in facts.get("watches", ()):
        _watch(out, watch)
    _verdicts(out, facts.get("last_verdicts", ()))


def _access(access: dict[str, Any]) -> str:
    """What protects the web side, and until when."""
    told = [
        word
        for key, word in (("basic_auth", "password"), ("client_certificates", "client certificate"))
        if access.get(key)
    ]
    needs = f", needs a {' and a '.join(told)}" if told else ""
    until = access.get("certificate_not_after")
    return needs + (f", certificate until {iso(until)}" if until else "")


def _bad(facts: dict[str, Any]) -> str:
    """How many checkpoints are invalid or inconclusive now, and the command that lists them."""
    told, options = [], ""
    for state in ("invalid", "inconclusive"):
        count = sum(watch.get("counts", {}).get(state, 0) for watch in facts.get("watches", ()))
        if count:
            told.append(f"{count} {state}")
            options += f" --state {state}"
    return f"{', '.join(told)}: `checkpointd list{options}` lists them" if told else ""


def _facts_table() -> Table:
    table = grid("", "")
    table.columns[0].style = "dim"
    table.columns[0].no_wrap = True
    return table


def _workers(table: Table, facts: dict[str, Any]) -> None:
    from rich.text import Text

    for worker in facts.get("workers", ()):
        table.add_row(f"{worker.get('kind', '?')} worker", _worker(worker))
    if sandbox := facts.get("sandbox"):
        tone = "yellow" if sandbox.get("missing") else ""
        table.add_row("sandbox", Text(printable(sandbox_line(sandbox)), tone))


def _worker(worker: dict[str, Any]) -> str:
    if worker.get("message"):
        return printable(str(worker["message"]))
    if not worker.get("up"):
        return "not started"
    versions = worker.get("environment") or {}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    busy = f"{worker['busy']} busy" if worker.get("busy") else "idle"
    holds = f", may hold {size(worker['memory_bytes'])}" if worker.get("memory_bytes") else ""
    return printable(f"pid {worker.get('pid')}, {busy}{holds}{', ' + told if told else ''}")


def _watch(out: Console, watch: dict[str, Any]) -> None:
    from rich.text import Text

    up = watch.get("up")
    head = Text("\nwatch ")
    head.append(printable(str(watch.get("name", "?"))), "bold")
    head.append(f"  {printable(str(watch.get('path', '')))}")
    out.print(head)
    table = _facts_table()
    message = f": {printable(str(watch['message']))}" if watch.get("message") else ""
    table.add_row(
        "  state",
        Text(f"{'up' if up else 'down'}, {watch.get('method', '?')}{message}", "" if up else "red"),
    )
    counts = watch.get("counts", {})
    told = [f"{counts[state]} {state}" for state in _COUNTED if counts.get(state)]
    if watch.get("unknown"):
        told.append(f"{watch['unknown']} that are no checkpoints")
    table.add_row("  holds", ", ".join(told) or "nothing yet")
    sizes = (("retained_bytes", "kept"), ("trash_bytes", "in the trash"))
    disk = [f"{size(watch[key])} {what}" for key, what in sizes if watch.get(key) is not None]
    if watch.get("filesystem_avail_bytes") is not None:
        disk.append(f"{size(watch['filesystem_avail_bytes'])} free")
    table.add_row("  disk", ", ".join(disk) or "not measured yet")
    table.add_row("  pruning", str(watch.get("mode", "?")))
    for hold in watch.get("holds", ()):
        text = f"{hold.get('series', '')}: {hold.get('reason', '')}. {hold.get('cure', '')}"
        table.add_row("  on hold", Text(printable(text), "yellow"))
    print_table(out, table)


def _verdicts(out: Console, verdicts: Any) -> None:
    from rich.text import Text

    if not verdicts:
        return
    out.print("\nlast verdicts")
    table = grid("", "", "", "")
    for one in verdicts:
        verdict = str(one.get("verdict", ""))
        table.add_row(
            Text(f"  {verdict}", COLOURS.get(verdict, "")),
            ago(float(one.get("at") or 0), time.time()),
            printable(str(one.get("path", ""))),
            printable(str(one.get("reason", ""))),
        )
    print_table(out, table)
