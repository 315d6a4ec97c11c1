"""The first page: every series, disk and watch at a glance, for the engineer on call.

What the page contains is decided here and in `attention`, as plain facts; the template only lays
it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.observe.web.attention import by_device, full_at, headline, todos
from checkpointd.observe.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.observe.series_status import SeriesStatus
    from checkpointd.observe.status import DaemonStatus, WatchStatus

MAX_ROWS = 50
"""How many series the first page lists; `/series` lists all."""

_ORDER = {"invalid": 0, "inconclusive": 1, "writing": 2, "pending": 2, "superseded": 2}


@dataclass(frozen=True)
class Disk:
    """A file system, and the watches on it; sizes in bytes, `full_at` in seconds since the epoch.

    `used` is a percentage.
    """

    watches: tuple[WatchStatus, ...]
    free: int
    total: int
    trash: int
    full_at: float | None
    observed_seconds: float
    next_saves_fit: bool

    @property
    def used(self) -> float:
        """How full it is, in percent."""
        return 100 * (1 - self.free / self.total) if self.total else 0.0


def worst_first(series: Sequence[SeriesStatus]) -> list[SeriesStatus]:
    """Invalid ones first, then those that stopped saving, then by the last save.

    Those that have nothing on disk any more are left out.
    """

    def key(status: SeriesStatus) -> tuple[int, bool, float]:
        saved = status.newest.saved_at if status.newest else 0.0
        return _ORDER.get(status.state, 3), not status.is_quiet, -saved

    return sorted((one for one in series if one.count), key=key)


def disks(status: DaemonStatus) -> list[Disk]:
    """The file systems of the watches, the fullest first."""
    file_systems = [
        Disk(
            watches=tuple(watches),
            free=min(watch.filesystem_avail_bytes or 0 for watch in watches),
            total=watches[0].filesystem.size_bytes or 0,
            trash=sum(watch.trash_bytes or 0 for watch in watches),
            full_at=full_at(watches),
            observed_seconds=max(watch.filesystem.observed_seconds for watch in watches),
            next_saves_fit=all(watch.filesystem.next_saves_fit for watch in watches),
        )
        for watches in by_device(status.watches)
    ]
    return sorted(file_systems, key=lambda disk: -disk.used)


def counts(watch: WatchStatus) -> list[tuple[str, int]]:
    """How many checkpoints of a watch are in which state, those that there are."""
    known = dict(watch.counts)
    if watch.unknown:
        known.setdefault("unknown", watch.unknown)
    states = [str(state) for state in State if state is not State.GONE]
    words = {str(State.TRASHED): "pruned"}  # they need not be in the trash any more
    return [(words.get(state, state), known[state]) for state in states if known.get(state)]


def render_page(status: DaemonStatus, series: Sequence[SeriesStatus], now: float) -> str:
    """Lay the first page out.

    Args:
        status: of the daemon.
        series: every series.
        now: seconds since the epoch.
    """
    found, listed = todos(status, series, now), worst_first(series)
    return render(
        "overview.html.j2",
        now,
        status=status,
        series=listed[:MAX_ROWS],
        more=max(0, len(listed) - MAX_ROWS),
        disks=disks(status),
        todos=found,
        headline=headline(status, series, found),
        counts=counts,
    )


def render_all_series(status: DaemonStatus, series: Sequence[SeriesStatus], now: float) -> str:
    """Lay the page out that lists every series."""
    return render("all_series.html.j2", now, status=status, series=worst_first(series))
