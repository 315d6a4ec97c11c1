"""Copies valid checkpoints to a bucket: one at a time, until the store has them.

What is copied is in the ledger alone: after a restart, whatever ended the daemon, all that has no
copy there is copied; what the bucket has already is compared and not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.buckets import BucketClient
from checkpointd.core.urls import parse_url
from checkpointd.daemon.watch_copies import WatchCopies
from checkpointd.ledger import ChangeKind, Ledger, LedgerError, State
from checkpointd.retention.replication import (
    LOOK_SECONDS,
    Copier,
    CopyingStoppedError,
    Destination,
    InTheWayError,
    NotCopiableError,
    missing_copies,
)
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.worker.limits import lower_priority

if TYPE_CHECKING:
    from checkpointd.config import Config
    from checkpointd.daemon.retention_runner import RetentionRunner
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.ledger import Change, Entry, Replica, Unreplicated
    from checkpointd.observe.metrics import Metrics
    from checkpointd.observe.replication_status import ReplicationStatus

CHANGES = frozenset(
    {
        ChangeKind.VERDICT,
        ChangeKind.GONE,
        ChangeKind.TRASHED,
        ChangeKind.RESTORED,
        ChangeKind.AVAILABILITY,
    }
)
"""After which kinds of change something may wait, or wait no more."""

_ROUND_SECONDS = 30.0
_PAUSE_SECONDS = 0.2
_REFRESH_SECONDS = 2.0
_PACE = 20.0
"""The pause between two queries for pending copies, as a multiple of what the last one took."""

_WARN_AT_FAILURE = 3
"""From this many failures in a row on, it is more than a short interruption."""

log = structlog.get_logger()


class Replicator:
    """Copies the checkpoints of every watch with `[watch.replicate]`.

    Args:
        ledger: holds the verdicts and the copies.
        watches: the watches that run.
        metrics: counts copies.
        retention: knows whether the next saves fit each disk.
    """

    def __init__(
        self,
        ledger: LedgerThread,
        watches: Watches,
        metrics: Metrics,
        retention: RetentionRunner,
    ) -> None:
        self._ledger = ledger
        self._watches = watches
        self._metrics = metrics
        self._retention = retention
        self._running: dict[str, WatchCopies] = {}
        self._one = asyncio.Lock()

    async def configure(self, config: Config) -> None:
        """Copy the watches of a config from now on.

        What goes on as before is not interrupted; what has failed is tried again at once.
        """
        wanted = {w.name: w for w in config.watch if w.replicate.to is not None}
        for name, copies in list(self._running.items()):
            new = wanted.get(name)
            before = copies.settings
            if new is None or (new.path, new.replicate) != (before.path, before.replicate):
                await self._running.pop(name).close()
            else:
                copies.retry()
        for name, settings in wanted.items():
            if name not in self._running:
                copies = self._running[name] = WatchCopies(settings)
                copies.task = asyncio.create_task(self._run(copies))

    def on_change(self, change: Change) -> None:
        """Look soon for what waits to be copied in the watch of a change."""
        if change.watch in self._running:
            self._running[change.watch].wake.set()

    def problems(self) -> list[str]:
        """Sentences about what is not copied."""
        return [
            text
            for copies in self._running.values()
            for text in copies.problems(is_tight=self._retention.is_tight(copies.name))
        ]

    def status(self, name: str) -> ReplicationStatus | None:
        """The copies of a watch; None for a watch that is not copied."""
        return self._running[name].status() if name in self._running else None

    async def close(self) -> None:
        """Stop copying."""
        running, self._running = self._running, {}
        await asyncio.gather(*(copies.close() for copies in running.values()))

    async def _run(self, copies: WatchCopies) -> None:
        await copies.disk(lower_priority, idle=False)
        while True:
            copies.wake.clear()
            wait = _ROUND_SECONDS
            try:
                wait = await self._round(copies)
            except LedgerError as error:
                log.warning("not copied, tried again", watch=copies.name, error=str(error))
            except CopyingStoppedError:
                pass
            except Exception:
                log.exception("copying failed because of a bug in checkpointd", watch=copies.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await copies.wake.wait()
            await asyncio.sleep(max(_PAUSE_SECONDS, min(copies.pace, _ROUND_SECONDS)))

    async def _round(self, copies: WatchCopies) -> float:
        """Copy what waits, until nothing does or the store fails.

        Returns:
            How many seconds the next round may wait for a change.
        """
        if copies.since is None:
            copies.since = await self._ledger(Ledger.replicating_since, copies.name, copies.to)
        await self._find_waiting(copies)
        began = time.monotonic()
        watch = self._watches.get(copies.name)
        status = watch.watcher.status() if watch is not None else None
        if status is None or not (status.up and status.ready):
            return _ROUND_SECONDS
        if copies.is_paused():
            return min(copies.next_due(), _ROUND_SECONDS)
        if time.monotonic() >= copies.look_at:
            await self._look(copies)
        for unreplicated in copies.due():
            await self._copy(copies, unreplicated)
            is_old = time.monotonic() - began > max(_REFRESH_SECONDS, copies.pace)
            if copies.is_paused() or (copies.wake.is_set() and is_old):
                break
        return min(copies.next_due(), _ROUND_SECONDS)

    async def _find_waiting(self, copies: WatchCopies) -> None:
        """Ask the ledger which copies are pending; less often if the query takes long."""
        began = time.monotonic()
        copies.set_waiting(await self._ledger(Ledger.unreplicated, copies.name, copies.to))
        copies.pace = _PACE * (time.monotonic() - began)

    async def _copy(self, copies: WatchCopies, unreplicated: Unreplicated) -> None:
        """Copy one checkpoint, if it still is what was verified."""
        async with self._one:
            entry = await self._ledger(Ledger.entry, unreplicated.path)
            if entry is None or entry.state is not State.VALID:
                return
            copies.copying = unreplicated.path
            try:
                replica = await copies.disk(self._copied, copies, entry, await self._identity())
                await self._ledger(Ledger.record_replica, replica)
            except NotUnchangedError:
                copies.note_failure(unreplicated.path, "")  # it is saved again, and verified again
                return
            except (InTheWayError, NotCopiableError) as error:
                self._note_failure(copies, unreplicated.path, str(error))
                return
            except OSError as error:
                self._note_store_failure(copies, error)
                return
            finally:
                copies.copying = ""
        works_again = copies.note_copied(unreplicated.path)
        self._metrics.replicated(copies.name, replica.size_bytes)
        if works_again:
            log.info("the store answers again", watch=copies.name, to=copies.to)
        log.info("copied", watch=copies.name, path=unreplicated.path, to=replica.url, id=entry.id)

    async def _identity(self) -> str:
        return await self._ledger(lambda ledger: ledger.identity)

    def _copied(self, copies: WatchCopies, entry: Entry, ledger: str) -> Replica:
        """Copy a checkpoint; in the disk thread."""
        settings = copies.settings
        destination = Destination(
            copies.name, str(settings.path), copies.to, ledger, settings.replicate.rate
        )
        digest = entry.whole_report.facts.digest if entry.whole_report else ""
        return Copier(destination, copies.stop.is_set).copy(entry, digest)

    def _note_failure(self, copies: WatchCopies, path: str, why: str) -> None:
        attempts = copies.note_failure(path, why)
        self._metrics.replication_failed(copies.name)
        write = log.warning if attempts == 1 else log.debug
        write("not copied", watch=copies.name, path=path, to=copies.to, error=why)

    def _note_store_failure(self, copies: WatchCopies, error: OSError) -> None:
        why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        attempts = copies.note_store_failure(why)
        self._metrics.replication_failed(copies.name)
        write = {1: log.info, _WARN_AT_FAILURE: log.warning}.get(attempts, log.debug)
        write("the store failed", watch=copies.name, to=copies.to, error=why)

    async def _look(self, copies: WatchCopies) -> None:
        """Check that all copies still exist; missing ones are made again."""
        known = await self._ledger(Ledger.replicas, copies.name, copies.to)
        copies.look_at = time.monotonic() + LOOK_SECONDS
        if not known:
            return
        at = time.time()
        try:
            missing = await copies.disk(
                lambda: missing_copies(
                    BucketClient(parse_url(copies.to)), copies.to, known, copies.stop.is_set
                )
            )
        except OSError as error:
            copies.look_at = 0.0
            self._note_store_failure(copies, error)
            return
        if missing:
            log.warning(
                "copies are gone or were changed; they are made again of what is still here",
                watch=copies.name,
                to=copies.to,
                count=len(missing),
                path=missing[0],
            )
        await self._ledger(Ledger.record_replicas_seen, copies.name, copies.to, missing, at)
        await self._find_waiting(copies)
