"""How `status` looks on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import COLOURS, console, grid, merged_holds, print_table, when
from checkpointd.core.text import ago, duration, iso, printable, sentence, size
from checkpointd.ledger import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from checkpointd.observe.replication_status import ReplicationStatus
    from checkpointd.observe.status import (
        DaemonStatus,
        QueueStatus,
        VerdictStatus,
        WatchStatus,
        WebAccess,
        WorkerStatus,
    )

_WORDS = {State.TRASHED: "pruned"}
"""What a count is called where the state's own name says too much: the trash may have given way."""

_MOST_QUIET = 5

_COUNTED = [state for state in State if state not in (State.GONE, State.UNKNOWN)]


def show_status(status: DaemonStatus, series: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print the daemon's status.

    Args:
        status: of the daemon.
        series: as `/api/v1/series` has them; those that have stopped saving are named.
    """
    from rich.text import Text

    out = console()
    table = _facts_table()
    state = Text()
    state.append(*(("healthy", "green") if status.healthy else ("not healthy", "bold red")))
    state.append("" if status.ready else ", its first scan is not done yet")
    table.add_row("daemon", state)
    table.add_row("version", f"{status.version}, pid {status.pid}")
    if status.started_at:
        table.add_row("started", when(status.started_at))
    table.add_row("config", printable(status.config_path))
    if status.config_error:
        error = sentence(status.config_error)
        table.add_row(
            "", Text(f"the last reload failed, the old config is still in use: {error}", "yellow")
        )
    if status.web:
        table.add_row("web", printable(f"{status.web}{_access(status.web_access)}"))
    table.add_row("queue", _queue(status.queue))
    for path in status.verifying:
        table.add_row("", f"verifying {printable(path)}")
    if status.engine.line:
        tone = "" if status.engine.reachable and status.engine.workers else "yellow"
        table.add_row("fleet", Text(sentence(status.engine.line), tone))
    for worker in status.workers:
        table.add_row(f"{worker.kind} worker", sentence(_worker(worker)))
    tone = "yellow" if status.sandbox.missing else ""
    table.add_row("sandbox", Text(printable(status.sandbox.line), tone))
    _attention(table, status, series)
    for problem in status.problems:
        table.add_row("problem", Text(sentence(problem), "yellow"))
    print_table(out, table)
    for watch in status.watches:
        _watch(out, watch)
    _verdicts(out, status.last_verdicts)


def _facts_table() -> Table:
    table = grid("", "")
    table.columns[0].style = "dim"
    table.columns[0].no_wrap = True
    return table


def _access(access: WebAccess) -> str:
    """What protects the web server, and until when."""
    needed = [
        word
        for word, is_needed in (
            ("password", access.basic_auth),
            ("client certificate", access.client_certificates),
        )
        if is_needed
    ]
    needs = f", needs a {' and a '.join(needed)}" if needed else ""
    until = access.certificate_not_after
    return needs + (f", certificate until {iso(until)}" if until else "")


def _queue(queue: QueueStatus) -> str:
    oldest = f", the oldest since {ago(queue.oldest_at, time.time())}" if queue.oldest_at else ""
    until = queue.resting_until
    rests = f"; duty_cycle lets a worker rest until {iso(until)}" if until else ""
    return f"{queue.length} waiting{oldest}{rests}"


def _attention(table: Table, status: DaemonStatus, series: Sequence[Mapping[str, Any]]) -> None:
    """What is bad now, what was, and which series have stopped saving."""
    from rich.text import Text

    for row in status.attention:
        text = printable(f"{row.verdict}: {row.path}  {row.reason}")
        table.add_row("attention", Text(text, COLOURS.get(row.verdict, "")))
    if bad := _bad(status):
        table.add_row("" if status.attention else "earlier", bad)
    for text in _quiet(series):
        table.add_row("attention", Text(text, "yellow"))


def _bad(status: DaemonStatus) -> str:
    """How many checkpoints are invalid or inconclusive, and the command that lists them."""
    states = [state for state in ("invalid", "inconclusive") if status.count(state)]
    if not states:
        return ""
    counts = ", ".join(f"{status.count(state)} {state}" for state in states)
    options = "".join(f" --state {state}" for state in states)
    return f"{counts}: `checkpointd list{options}` lists them"


def _quiet(series: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each series that has stopped saving."""
    quiet = [row for row in series if row.get("is_quiet") and row.get("newest")]
    lines = [
        printable(
            f"{row['watch']} / {row['series']} has stopped saving: the last save was "
            f"{ago(row['newest']['saved_at'], time.time())}, before that one came every "
            f"{duration(row['usual_interval'])}"
        )
        for row in quiet[:_MOST_QUIET]
    ]
    more = len(quiet) - _MOST_QUIET
    return [*lines, f"{more} more series have stopped saving"] if more > 0 else lines


def _worker(worker: WorkerStatus) -> str:
    if worker.message:
        return worker.message
    if not worker.up:
        return "not started"
    parts = [f"pid {worker.pid}", f"{worker.busy} busy" if worker.busy else "idle"]
    if worker.memory_bytes:
        parts.append(f"memory limit {size(worker.memory_bytes)}")
    parts += [f"{name} {version}" for name, version in (worker.environment or {}).items()]
    return ", ".join(parts)


def _watch(out: Console, watch: WatchStatus) -> None:
    from rich.text import Text

    head = Text("\nwatch ")
    head.append(printable(watch.name), "bold")
    head.append(f"  {printable(watch.path)}")
    out.print(head)
    table = _facts_table()
    message = f": {sentence(watch.message)}" if watch.message else ""
    state = f"{'up' if watch.up else 'down'}, {watch.method}{message}"
    table.add_row("  state", Text(state, "" if watch.up else "red"))
    counts = [
        f"{watch.counts[state]} {_WORDS.get(state, state)}"
        for state in _COUNTED
        if watch.counts.get(state)
    ]
    if watch.unknown:
        what = "that is no checkpoint" if watch.unknown == 1 else "that are no checkpoints"
        counts.append(f"{watch.unknown} {what}")
    table.add_row("  contains", ", ".join(counts) or "nothing yet")
    sizes = (
        (watch.retained_bytes, "kept"),
        (watch.trash_bytes, "in the trash"),
        (watch.vault_bytes or None, "in the vault"),
        (watch.filesystem_avail_bytes, "free"),
    )
    disk = [f"{size(count)} {what}" for count, what in sizes if count is not None]
    facts = ", ".join(disk) or "not measured yet"
    if watch.filesystem.next_saves_fit:
        table.add_row("  disk", facts)
    else:
        table.add_row("  disk", Text(f"{facts}: too little for the next saves", "yellow"))
    table.add_row("  pruning", printable(watch.plan or watch.mode))
    if watch.replication.to:
        table.add_row("  copies", _copies(watch.replication))
    holds = [(h.series, h.message or f"{h.reason}.", h.cure) for h in watch.holds]
    for hold in merged_holds(holds):
        text = "\n".join(sentence(line) for line in hold if line)
        table.add_row("  on hold", Text(text, "yellow"))
    print_table(out, table)


def _copies(replication: ReplicationStatus) -> Text:
    """How many checkpoints still wait for their copy in a bucket."""
    from rich.text import Text

    to = printable(replication.to)
    if not replication.waiting:
        return Text(f"all valid ones are in {to}")
    since = ago(replication.oldest_at, time.time()) if replication.oldest_at else "now"
    wait = "waits" if replication.waiting == 1 else "wait"
    text = (
        f"{replication.waiting} {wait} for {to}, {size(replication.waiting_bytes)}, the first "
        f"since {since}"
    )
    if replication.copying:
        text += f"; now: {printable(replication.copying)}"
    if replication.failure:
        text += f"\n{sentence(printable(replication.failure))}"
    return Text(text, "yellow" if replication.failure else "")


def _verdicts(out: Console, verdicts: tuple[VerdictStatus, ...]) -> None:
    from rich.text import Text

    if not verdicts:
        return
    out.print("\nlast verdicts")
    table = grid("", "", "", "")
    for row in verdicts:
        table.add_row(
            Text(f"  {row.verdict}", COLOURS.get(row.verdict, "")),
            ago(row.at, time.time()),
            printable(row.path),
            printable(row.reason),
        )
    print_table(out, table)
