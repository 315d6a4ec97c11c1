"""What the daemon shows of itself: the status, the health and the snapshot for the metrics.

Everything here answers from memory; a task of its own keeps it fresh, so that a hung disk or a
slow ledger never stops a scrape.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd import __version__
from checkpointd.daemon.sandbox_status import confinement, layers, problem
from checkpointd.ledger import Ledger, LedgerError, SeriesSummary, State
from checkpointd.ledger.public import public_detail, public_entry, public_verdict
from checkpointd.observe.health import Health, Progress, WatchProgress, judge
from checkpointd.observe.snapshot import SeriesSnapshot, Snapshot, WatchSnapshot

if TYPE_CHECKING:
    from checkpointd.daemon.service import Service
    from checkpointd.ledger import Entry

_REFRESH_SECONDS = 5.0
_CALM_SECONDS = 0.1
_CALM_SHARE = 10.0
_OVERDUE_SECONDS = 300.0
_VERDICTS = 8
_ANSWER_LIMIT = 10_000

log = structlog.get_logger()


@dataclass
class WatchFacts:
    """What was last found out about the file system of a watch, in bytes."""

    available: int | None = None
    trash: int | None = None


@dataclass
class _Watch:
    """The series of one watch as they are shown, and the bytes that their checkpoints occupy."""

    series: dict[str, tuple[SeriesSnapshot, int]] = field(default_factory=dict)
    retained_bytes: int = 0

    def take(self, summary: SeriesSummary) -> None:
        """Show a series as it is now."""
        _, before = self.series.get(summary.series, (None, 0))
        self.retained_bytes += summary.retained_bytes - before
        self.series[summary.series] = (_shown(summary), summary.retained_bytes)


@dataclass
class Board:
    """The daemon's memory of what it would tell."""

    service: Service
    counts: dict[str, dict[State, int]] = field(default_factory=dict)
    watches: dict[str, _Watch] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    attention: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, WatchFacts] = field(default_factory=dict)
    loop_at: float = field(default_factory=time.monotonic)

    async def keep_fresh(self) -> None:
        """Read what changed in the ledger, until cancelled; at most a small part of the time."""
        dirty = self.service.engine.dirty
        everything = True
        while True:
            dirty.clear()
            began = time.monotonic()
            try:
                await self.refresh(everything=everything)
                everything = False
            except LedgerError:
                everything = True
            seconds = time.monotonic() - began
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(dirty.wait(), _REFRESH_SECONDS)
            await asyncio.sleep(max(_CALM_SECONDS, _CALM_SHARE * seconds))

    async def refresh(self, *, everything: bool = True) -> None:
        """Read what the status and the metrics need from the ledger, once."""
        ledger = self.service.ledger
        changed = {(c.watch, c.series) for c in await ledger(Ledger.take_changes)}
        if not everything and not changed:
            return
        self.counts = await ledger(Ledger.counts)
        if everything:
            self.watches = {}
        for summary in await ledger(Ledger.series, None if everything else changed):
            self.watches.setdefault(summary.watch, _Watch()).take(summary)
        newest = await ledger(Ledger.last_reported, _VERDICTS)
        self.verdicts = [public_verdict(entry) for entry in newest]
        wanting = await ledger(
            Ledger.entries, states=[State.INVALID, State.INCONCLUSIVE], limit=_VERDICTS
        )
        self.attention = [public_verdict(entry) for entry in wanting]

    def health(self) -> Health:
        """Judge the daemon's parts by when they last made progress."""
        watches = []
        for name, (_, watcher) in self.service.engine.watches.items():
            status = watcher.status()
            watches.append(
                WatchProgress(
                    name,
                    up=status.up,
                    reconciled=status.ready,
                    hung=status.hung,
                    message=status.message,
                )
            )
        overdue = [at for at in self._overdue() if at < self.service.pulse_at]
        supervisor_at = min([self.service.pulse_at, *overdue])
        health = judge(
            Progress(self.loop_at, supervisor_at, tuple(watches)),
            time.monotonic(),
            supervisor_seconds=_OVERDUE_SECONDS,
        )
        troubles = [
            self.service.engine.trouble,
            *self.service.retaining.refusals.values(),
            *self.service.publishing.troubles.values(),
            *self.service.listening.access.problems(),
            problem(self._sandbox()),
        ]
        problems = (*(t for t in troubles if t), *health.problems)
        return replace(health, problems=problems)

    def _overdue(self) -> list[float]:
        """When each verification should have ended that still goes on: nobody ends it any more."""
        timeout = self.service.config.worker.timeout
        return [began + timeout for _, began in self.service.engine.verifying.values()]

    def sentence(self) -> str:
        """One line for `systemctl status`."""
        total = dict.fromkeys(State, 0)
        for counts in self.counts.values():
            for state, count in counts.items():
                total[state] += count
        waiting = len(self.service.engine.queue) + len(self.service.engine.verifying)
        parts = [
            f"{total[State.VALID]} valid",
            f"{total[State.INVALID]} invalid",
            f"{total[State.INCONCLUSIVE]} inconclusive",
            f"{waiting} waiting",
        ]
        if self.service.config_error:
            parts.append("last reload failed, the old config stays")
        return ", ".join(parts)

    def status(self) -> dict[str, Any]:
        """The object of `/api/v1/status`."""
        service, engine = self.service, self.service.engine
        health = self.health()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": service.started_at,
            "config_path": str(service.path),
            "config_loaded_at": service.config_loaded_at,
            "config_error": service.config_error,
            "state_dir": str(service.config.state_dir),
            "healthy": health.healthy,
            "ready": health.ready,
            "problems": list(health.problems),
            "watches": [self._watch(name) for name in engine.watches],
            "queue": {"length": len(engine.queue), "oldest_at": engine.queue.oldest_since},
            "verifying": sorted(engine.verifying),
            "workers": service.dispatcher.status(),
            "sandbox": self._sandbox(),
            "last_verdicts": self.verdicts,
            "attention": self.attention,
            "web": service.listening.url,
            "web_access": service.listening.access.status(),
        }

    def _sandbox(self) -> dict[str, Any]:
        workers = self.service.dispatcher.status()
        return confinement(self.service.config.worker.sandbox, workers)

    def _watch(self, name: str) -> dict[str, Any]:
        settings, watcher = self.service.engine.watches[name]
        status = watcher.status()
        counts = self.counts.get(name, {})
        facts = self.facts.get(name, WatchFacts())
        return {
            "name": name,
            "path": str(settings.path),
            "method": status.method,
            "up": status.up,
            "ready": status.ready,
            "message": status.message,
            "mode": settings.retention.mode,
            "counts": {str(state): count for state, count in counts.items()},
            "unknown": status.unknown,
            "last_reconcile_at": status.last_reconcile_at,
            "reconcile_seconds": status.reconcile_seconds,
            "filesystem_avail_bytes": facts.available,
            "retained_bytes": self.watches.get(name, _Watch()).retained_bytes,
            "trash_bytes": facts.trash,
            "holds": [
                {"series": hold.series, "reason": hold.reason, "cure": hold.cure}
                for hold in self.service.retaining.holds.get(name, ())
            ],
        }

    def snapshot(self) -> Snapshot:
        """What the gauges are drawn from."""
        engine = self.service.engine
        watches = []
        for name, (_, watcher) in engine.watches.items():
            facts, known = self.facts.get(name, WatchFacts()), self.watches.get(name, _Watch())
            holds: dict[str, int] = {}
            for hold in self.service.retaining.holds.get(name, ()):
                holds[hold.reason] = holds.get(hold.reason, 0) + 1
            watches.append(
                WatchSnapshot(
                    name=name,
                    up=watcher.status().up,
                    counts={str(s): n for s, n in self.counts.get(name, {}).items()},
                    holds=holds,
                    series=tuple(shown for shown, _ in known.series.values()),
                    retained_bytes=known.retained_bytes,
                    trash_bytes=facts.trash,
                    filesystem_avail_bytes=facts.available,
                )
            )
        workers = {"scan": True, "load": True}
        for row in self.service.dispatcher.status():
            workers[row["kind"]] = not row["message"]
        return Snapshot(
            watches=tuple(watches),
            workers=workers,
            sandbox=layers(self._sandbox()),
            queue_length=len(engine.queue),
            queue_oldest_at=engine.queue.oldest_since,
            web=self.service.listening.snapshot(),
        )

    def measure(self, name: str, path: str, trash_bytes: int) -> None:
        """Note how full a watch's file system is; called in the watch's disk thread."""
        facts = self.facts.setdefault(name, WatchFacts())
        facts.trash = trash_bytes
        with contextlib.suppress(OSError):
            facts.available = shutil.disk_usage(path).free

    async def checkpoints(
        self, *, watch: str | None, series: str | None, state: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Checkpoints newest first, for the API."""
        states = [State(state)] if state in set(State) else None
        entries: list[Entry] = await self.service.ledger(
            Ledger.entries,
            watch=watch,
            series=series,
            states=states,
            limit=min(limit, _ANSWER_LIMIT),
        )
        return [public_entry(entry) for entry in entries]

    async def checkpoint(self, identity: int) -> dict[str, Any] | None:
        """One checkpoint with its report, for the API."""
        entry = await self.service.ledger(Ledger.by_id, identity)
        return public_detail(entry) if entry is not None else None


def _shown(summary: SeriesSummary) -> SeriesSnapshot:
    facts = summary.facts
    return SeriesSnapshot(
        series=summary.series,
        last_seen=summary.last_seen,
        last_valid=summary.last_valid,
        last_valid_step=summary.last_valid_step,
        predictions_max_abs_difference=facts.predictions_max_abs_difference if facts else None,
        weight_norm=facts.weight_norm if facts else None,
        weight_change_ratio=facts.weight_change_ratio if facts else None,
        non_finite_values=facts.non_finite_values if facts else None,
        evaluation=facts.evaluation if facts else {},
    )
