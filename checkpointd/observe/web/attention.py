"""What needs a person's attention, the worst first, and the headline; pure."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.suite import cure_of
from checkpointd.core.text import ago, duration, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.ledger import CheckpointSummary
    from checkpointd.observe.series_status import SeriesStatus
    from checkpointd.observe.status import DaemonStatus, WatchStatus

LISTED_SECONDS = 7 * 24 * 3600.0
"""For how long a series without a save since is listed because its newest one is not valid."""

URGENT_SECONDS = 3600.0
"""A disk that will be full sooner than this is urgent."""

SOON_SECONDS = 24 * 3600.0
"""A disk that will be full sooner than this is worth a warning."""

MAX_SERIES = 20
"""How many series that have stopped saving are listed one by one."""


class Rank(enum.IntEnum):
    """The order of the list: what makes training useless first, what may be normal last."""

    UNHEALTHY = 0
    INVALID = 1
    DISK_URGENT = 2
    WATCH_DOWN = 3
    INCONCLUSIVE = 4
    DISK_SOON = 5
    CONFIG = 6
    WATCH_MISSING = 7
    PROBLEM = 8
    HOLD = 9
    QUIET = 10


_TONES = {Rank.QUIET: "wait"} | dict.fromkeys(
    (Rank.UNHEALTHY, Rank.INVALID, Rank.DISK_URGENT, Rank.WATCH_DOWN), "bad"
)


@dataclass(frozen=True)
class Todo:
    """Something to look at: what, why, what is known beside it, and what helps.

    `path` addresses the page that has more.
    """

    rank: Rank
    what: str
    why: str = ""
    reason: str = ""
    facts: tuple[str, ...] = ()
    cure: str = ""
    path: str = ""

    @property
    def tone(self) -> str:
        """How urgent it is: bad, warn or wait."""
        return _TONES.get(self.rank, "warn")


@dataclass(frozen=True)
class Headline:
    """The sentence at the top: `tone` is good, wait, warn or bad."""

    tone: str
    title: str
    detail: str


def todos(status: DaemonStatus, series: Sequence[SeriesStatus], now: float) -> list[Todo]:
    """What needs a person's attention, the worst first, nothing twice."""
    entries = [*_daemon(status), *_watches(status), *_disks(status, now), *_holds(status)]
    for rank, one in ((Rank.INVALID, "invalid"), (Rank.INCONCLUSIVE, "inconclusive")):
        entries += _not_valid(rank, [s for s in series if s.state == one], now)
    entries += _quiet(series, now)
    return sorted(dict.fromkeys(entries), key=lambda todo: todo.rank)


def series_todos(status: SeriesStatus, now: float) -> list[Todo]:
    """What there is about one series."""
    rank = Rank.INVALID if status.state == "invalid" else Rank.INCONCLUSIVE
    is_bad = status.state in ("invalid", "inconclusive")
    return [*(_not_valid(rank, [status], now) if is_bad else ()), *_quiet([status], now)]


def headline(
    status: DaemonStatus, series: Sequence[SeriesStatus], entries: Sequence[Todo]
) -> Headline:
    """The one sentence at the top."""
    urgent = sum(todo.tone == "bad" for todo in entries)
    warnings = sum(todo.tone == "warn" for todo in entries)
    quiet = sum(todo.tone == "wait" for todo in entries)
    if not status.healthy:
        return Headline("bad", "Not healthy", "Nothing may be verified now. Start below.")
    if urgent:
        beside = f" Beside that: {_count(warnings, 'warning')}." if warnings else ""
        title = _count(urgent, "urgent problem")
        return Headline("bad", title, f"checkpointd itself is healthy.{beside}")
    if not status.ready:
        return Headline("wait", "Starting", "The first scan is still running.")
    if warnings:
        things = "One thing needs" if warnings == 1 else f"{warnings} things need"
        return Headline("warn", f"{things} attention", "checkpointd itself is healthy.")
    return _calm(status, series, quiet)


def _calm(status: DaemonStatus, series: Sequence[SeriesStatus], quiet: int) -> Headline:
    if not status.watches:
        return Headline("warn", "Nothing is watched", "The config has no [[watch]].")
    valid = sum(one.state == "valid" for one in series)
    detail = f"The newest checkpoint of {valid} series is valid." if valid else "Nothing to do."
    if quiet:
        many = f"More than {MAX_SERIES}" if quiet > MAX_SERIES else str(quiet)
        title = "One series has" if quiet == 1 else f"{many} series have"
        return Headline("wait", f"{title} stopped saving", detail)
    return Headline("good", "All is well", detail)


def name_of(status: SeriesStatus) -> str:
    """How a series is called on the page: its watch and its label."""
    return f"{status.watch} / {status.series}"


def step_and_age(checkpoint: CheckpointSummary, now: float) -> str:
    """A checkpoint in a few words."""
    step = f"step {checkpoint.step}, " if checkpoint.step is not None else ""
    return f"{os.path.basename(checkpoint.path)}, {step}saved {ago(checkpoint.saved_at, now)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 or noun.endswith("s") else f"{number} {noun}s"


def _daemon(status: DaemonStatus) -> Iterable[Todo]:
    if status.config_error:
        yield Todo(
            Rank.CONFIG,
            "The config could not be loaded; the old one is still in use",
            status.config_error,
            cure="Find every error with: checkpointd config check. Then: checkpointd reload.",
        )
    elsewhere = tuple(
        beginning
        for watch in status.watches
        for beginning in (
            *(() if watch.up else (f"Watch {printable(watch.name)} is down",)),
            *(() if watch.filesystem.next_saves_fit else (_space_problem(watch),)),
        )
    )
    for problem in status.problems:
        if problem != status.config_error and not problem.startswith(elsewhere):
            yield Todo(Rank.PROBLEM if status.healthy else Rank.UNHEALTHY, problem)


def _space_problem(watch: WatchStatus) -> str:
    """How the daemon's problem begins which says that the next saves may not fit."""
    return f"Watch {watch.name}: the trash holds "


def _watches(status: DaemonStatus) -> Iterable[Todo]:
    for watch in status.watches:
        if watch.up:
            continue
        was_there = bool(watch.last_reconcile_at or watch.counts)
        yield Todo(
            Rank.WATCH_DOWN if was_there else Rank.WATCH_MISSING,
            f"Watch {watch.name} cannot see its directory"
            if was_there
            else f"Watch {watch.name} waits for its directory",
            watch.message or f"{watch.path} cannot be read.",
            cure="Look at the mount and the permissions; the watch recovers by itself."
            if was_there
            else "Start its job, mount it, or correct its path; the watch begins by itself.",
        )


def by_device(watches: Iterable[WatchStatus]) -> list[list[WatchStatus]]:
    """The watches, those on one file system together; those that are not measured left out."""
    groups: dict[str, list[WatchStatus]] = {}
    for watch in watches:
        if watch.filesystem.size_bytes and watch.filesystem_avail_bytes is not None:
            groups.setdefault(watch.filesystem.device or watch.name, []).append(watch)
    return list(groups.values())


def full_at(watches: Sequence[WatchStatus]) -> float | None:
    """When the file system of some watches will be full, as the one that knows longest says."""
    return max(watches, key=lambda w: w.filesystem.observed_seconds).filesystem.full_at


def _disks(status: DaemonStatus, now: float) -> Iterable[Todo]:
    for watches in by_device(status.watches):
        names = ", ".join(watch.name for watch in watches)
        tight = [w for w in watches if not w.filesystem.next_saves_fit]
        when = full_at(watches)
        left = None if when is None else when - now
        if not tight and (left is None or left > SOON_SECONDS):
            continue
        free = size(min(w.filesystem_avail_bytes or 0 for w in watches))
        total = size(watches[0].filesystem.size_bytes or 0)
        why = f"{free} of {total} are free."
        if tight:
            why += " That is too little for the next two saves and a reserve."
        if left is not None and left > 0:
            last = duration(max(watch.filesystem.observed_seconds for watch in watches))
            why += f" At the rate of the last {last} it is full in {duration(left)}."
        is_urgent = bool(tight) or (left is not None and left < URGENT_SECONDS)
        is_full = any(not watch.filesystem_avail_bytes for watch in watches)
        soon = f"will be full in {duration(max(left or 0, 0))}"
        if tight:
            soon = "is full" if is_full else "has too little space for the next saves"
        yield Todo(
            Rank.DISK_URGENT if is_urgent else Rank.DISK_SOON,
            f"The disk of {names} {soon}",
            why,
            cure="See what may go: checkpointd prune. Then: checkpointd prune --apply, and "
            "checkpointd trash empty. If nothing may go, keep fewer checkpoints, or free space.",
        )


def _holds(status: DaemonStatus) -> Iterable[Todo]:
    for watch in status.watches:
        for hold in watch.holds:
            where = f"{watch.name} / {hold.series}" if hold.series else watch.name
            yield Todo(
                Rank.HOLD,
                f"Pruning of {where} is on hold",
                hold.message,
                hold.reason,
                cure=hold.cure,
            )


def _not_valid(rank: Rank, series: Sequence[SeriesStatus], now: float) -> Iterable[Todo]:
    """Series whose newest verdict is not valid; a valid one that is saved later ends it.

    Those of one watch with the same reason are one entry, about the one that began last.
    """
    groups: dict[tuple[str, str], list[SeriesStatus]] = {}
    for one in sorted(series, key=_since, reverse=True):
        newest = one.newest_verified
        if newest and now - max(newest.verified_at or 0, newest.saved_at) <= LISTED_SECONDS:
            groups.setdefault((one.watch, newest.reason), []).append(one)
    for alike in groups.values():
        one, newest = alike[0], alike[0].newest_verified
        if newest is None:
            continue
        since = f"Not valid since {ago(_since(one), now)}"
        many = f"; {one.not_valid} checkpoints so far" if one.not_valid > 1 else ""
        more = (f"{_count(len(alike) - 1, 'more series')} of {one.watch} like it.",)
        yield Todo(
            rank,
            f"{name_of(one)} is {one.state}",
            newest.message,
            newest.reason,
            (f"{since}{many}.", newest_valid_text(one, now), *(more if len(alike) > 1 else ())),
            cure_of(newest.reason),
            f"/series/{one.id}",
        )


def _since(status: SeriesStatus) -> float:
    """When the first one was saved that no valid one has followed."""
    saved = status.newest_verified.saved_at if status.newest_verified else 0.0
    return status.not_valid_since or saved


def newest_valid_text(status: SeriesStatus, now: float) -> str:
    """Which checkpoint of a series is the newest good one, in a sentence."""
    if status.newest_valid is not None:
        return f"Newest valid: {step_and_age(status.newest_valid, now)}."
    if status.last_valid_at:
        return (
            "No valid one is on disk; the last was saved "
            f"{ago(status.last_valid_at, now)}, and is overwritten or gone."
        )
    return "There has never been a valid one."


def _quiet(series: Sequence[SeriesStatus], now: float) -> Iterable[Todo]:
    """Series whose job has ended or died; only a person can tell which."""
    quiet = [s for s in series if s.is_quiet and s.newest is not None and s.usual_interval]
    quiet.sort(key=lambda s: s.newest.saved_at if s.newest else 0.0, reverse=True)
    for one in quiet[:MAX_SERIES]:
        if one.newest is not None and one.usual_interval is not None:
            yield Todo(
                Rank.QUIET,
                f"{name_of(one)} has stopped saving",
                f"The last save was {ago(one.newest.saved_at, now)}, before that one came every "
                f"{duration(one.usual_interval)}.",
                facts=(newest_valid_text(one, now),),
                cure="Look whether its job still runs; if it has ended, there is nothing to do.",
                path=f"/series/{one.id}",
            )
    if len(quiet) > MAX_SERIES:
        yield Todo(Rank.QUIET, f"{len(quiet) - MAX_SERIES} more series have stopped saving")
