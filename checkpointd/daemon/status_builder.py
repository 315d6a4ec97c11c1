"""Builds the daemon's status, and from it the snapshot for the metrics; all from memory."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd import __version__
from checkpointd.observe.replication_status import ReplicationStatus
from checkpointd.observe.sandbox import SandboxStatus, WorkerSandbox
from checkpointd.observe.series_status import SeriesStatus
from checkpointd.observe.snapshot import EngineSnapshot, Snapshot, WatchSnapshot
from checkpointd.observe.status import (
    DaemonStatus,
    EngineStatus,
    HoldStatus,
    QueueStatus,
    WatchStatus,
    WorkerStatus,
    status_line,
)

if TYPE_CHECKING:
    from checkpointd.daemon.active_config import ActiveConfig
    from checkpointd.daemon.duty_cycle import DutyCycle
    from checkpointd.daemon.health_monitor import HealthMonitor
    from checkpointd.daemon.hooks import HookRunner
    from checkpointd.daemon.replicator import Replicator
    from checkpointd.daemon.retention_runner import RetentionRunner
    from checkpointd.daemon.servers import Servers
    from checkpointd.daemon.state_usage import StateUsage
    from checkpointd.daemon.status_cache import StatusCache
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.dispatch import Dispatcher


@dataclass(frozen=True)
class StatusBuilder:
    """Collects the status of each part of the daemon.

    Args:
        active: the config in force.
        cache: what is kept of the ledger.
        watches: the watches that run.
        work: what waits and what is being verified.
        dispatcher: the workers.
        retention: holds, and how full each disk is.
        health: problems, and whether all parts go on.
        servers: the web server's address and access.
        state_usage: how full the state directory is.
        hooks: what waits for the user's commands.
        duty_cycle: until when workers rest.
        replicating: what waits for its copy in a bucket.
        started_at: seconds since the epoch.
    """

    active: ActiveConfig
    cache: StatusCache
    watches: Watches
    work: WorkQueue
    dispatcher: Dispatcher
    retention: RetentionRunner
    health: HealthMonitor
    servers: Servers
    state_usage: StateUsage
    hooks: HookRunner
    duty_cycle: DutyCycle
    replicating: Replicator
    started_at: float = field(default_factory=time.time)

    def build(self) -> DaemonStatus:
        """The status as it is now."""
        health, workers = self.health.check(), self._workers()
        return DaemonStatus(
            version=__version__,
            pid=os.getpid(),
            started_at=self.started_at,
            config_path=str(self.active.path),
            config_loaded_at=self.active.loaded_at,
            config_error=self.active.error,
            state_dir=str(self.active.config.state_dir),
            healthy=health.healthy,
            ready=health.ready,
            problems=tuple(problem.text for problem in health.problems),
            problem_counts=dict(Counter(problem.reason for problem in health.problems)),
            watches=tuple(self._watch(name) for name in self.watches),
            queue=self._queue(),
            verifying=tuple(sorted(self.work.running)),
            workers=workers,
            engine=self.engine(),
            sandbox=self.sandbox(),
            last_verdicts=self.cache.last_verdicts,
            attention=self.cache.attention,
            hooks=self.hooks.status(),
            web=self.servers.url,
            web_access=self.servers.access.status(),
            last_scrape_at=self.servers.access.last_scrape_at,
        )

    def series(self, watch: str | None = None) -> tuple[SeriesStatus, ...]:
        """Every series, or those of one watch; those of a watch that is gone are left out."""
        names = list(self.watches) if watch is None else [watch]
        now, removals = time.time(), self.retention.outcomes.next_removals
        return tuple(
            SeriesStatus.of(summary, now, removals.get(name, {}).get(summary.series))
            for name in names
            if name in self.watches
            for summary in self.cache.summaries(name)
        )

    def line(self) -> str:
        """One line for `systemctl status`: it is asked every second."""
        counts = [self.cache.counts(name) for name in self.watches]
        return status_line(counts, len(self.work) + len(self.work.running), self.active.error)

    def engine(self) -> EngineStatus:
        """Who verifies."""
        facts = self.dispatcher.engine()
        shown = {key: facts[key] for key in facts if key != "problems"}
        return EngineStatus(**shown)

    def sandbox(self) -> SandboxStatus:
        """What confines the loading of models, as far as the workers have found out."""
        mode = self.active.config.worker.sandbox
        return SandboxStatus.of(mode, [worker.sandbox for worker in self._workers()])

    def snapshot(self) -> Snapshot:
        """What the gauges are drawn from."""
        status = self.build()
        workers = {"scan": True, "load": True}
        for worker in status.workers:
            workers[worker.kind] = not worker.message
        return Snapshot(
            watches=tuple(self._watch_snapshot(watch) for watch in status.watches),
            workers=workers,
            sandbox=status.sandbox.layers,
            queue_length=status.queue.length,
            queue_oldest_at=status.queue.oldest_at,
            web=self.servers.snapshot(),
            problems=status.problem_counts,
            memory_limits={w.kind: w.memory_bytes for w in status.workers if w.memory_bytes},
            state_dir=self.state_usage.last,
            engine=_engine_snapshot(status.engine),
        )

    def _watch_snapshot(self, watch: WatchStatus) -> WatchSnapshot:
        usage = self.retention.usage(watch.name)
        return WatchSnapshot(
            name=watch.name,
            up=watch.up,
            counts=watch.counts,
            holds=Counter(hold.reason for hold in watch.holds),
            series=self.cache.series(watch.name),
            hooks_pending=self.hooks.pending(watch.name),
            replication_waiting=watch.replication.waiting if watch.replication.to else None,
            replication_oldest_at=watch.replication.oldest_at,
            retained_bytes=watch.retained_bytes,
            trash_bytes=watch.trash_bytes,
            trash_reserve_bytes=watch.trash_reserve_bytes,
            vault_bytes=usage.vault,
            filesystem_avail_bytes=watch.filesystem_avail_bytes,
            filesystem_size_bytes=usage.filesystem.size_bytes,
            next_save_bytes=usage.next_save,
        )

    def _watch(self, name: str) -> WatchStatus:
        watch = self.watches[name]
        status, usage = watch.watcher.status(), self.retention.usage(name)
        return WatchStatus(
            name=name,
            path=str(watch.settings.path),
            method=status.method,
            up=status.up,
            ready=status.ready,
            message=status.message,
            mode=watch.settings.retention.mode,
            plan=self.retention.outcomes.previews.get(name, ""),
            filesystem=usage.filesystem,
            replication=self.replicating.status(name) or ReplicationStatus(),
            counts=self.cache.counts(name),
            unknown=status.unknown,
            last_reconcile_at=status.last_reconcile_at,
            reconcile_seconds=status.reconcile_seconds,
            filesystem_avail_bytes=usage.available,
            retained_bytes=self.cache.retained_bytes(name),
            trash_bytes=usage.trash,
            vault_bytes=usage.vault,
            trash_reserve_bytes=usage.reserve,
            holds=tuple(
                HoldStatus(hold.series, hold.reason, hold.cure, hold.message)
                for hold in self.retention.outcomes.holds.get(name, ())
            ),
        )

    def _queue(self) -> QueueStatus:
        length = len(self.work)
        resting_until = self.duty_cycle.resting_until if length else None
        return QueueStatus(length, self.work.oldest_since, resting_until)

    def _workers(self) -> tuple[WorkerStatus, ...]:
        return tuple(map(_worker, self.dispatcher.status()))


def _engine_snapshot(engine: EngineStatus) -> EngineSnapshot | None:
    if engine.name == "local":
        return None
    return EngineSnapshot(engine.reachable, engine.workers, engine.slots)


def _worker(row: dict[str, Any]) -> WorkerStatus:
    sandbox = row.get("sandbox")
    tried = (
        WorkerSandbox(sandbox["landlock"], sandbox["seccomp"], tuple(sandbox["missing"]))
        if sandbox
        else None
    )
    return WorkerStatus(**{**row, "sandbox": tried})
