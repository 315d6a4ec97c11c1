"""One thread for each watch: it does all disk work of that watch and emits events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from checkpointd.core.mounts import file_system, is_remote
from checkpointd.watch.change_detector import ChangeDetector
from checkpointd.watch.directory_tree import DirectoryTree
from checkpointd.watch.events import Reconciled, WatcherStatus, WatchEvent
from checkpointd.watch.globs import select
from checkpointd.watch.inotify import Inotify
from checkpointd.watch.links import explain_links
from checkpointd.watch.root import Root
from checkpointd.watch.scan import explain
from checkpointd.watch.watch_thread import WatchThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.config import WatchSettings
    from checkpointd.watch.event_queue import Batch
    from checkpointd.watch.root import Identity

_RECONCILE_SECONDS = 60.0
_HEARTBEAT_SECONDS = 5.0
_MISSING_SECONDS = 1.0
_COALESCE_SECONDS = 0.005
_MAX_COALESCE_SECONDS = 0.25
_AFTER_OVERFLOW_SECONDS = 2.0
_HUNG_SECONDS = 20.0
_FAULT_SECONDS = 5.0
_RESTART_SECONDS = 30.0


class Watcher(WatchThread):
    """Watches one root and reports which checkpoints exist, are finished or are gone.

    Args:
        settings: the `[[watch]]` of the config; its path is absolute.
        known: the identity (or the key) of the generation of each path that is not reported again
            unless it has changed; empty for a known path that has to be reported again.
        emit: called with each event from this watcher's thread, which waits for it.
        series: the series of each known path.
        unchanged: of paths that wait for a verdict: the key of their generation, and for how many
            seconds it has been there.
        clock: a monotonic clock in seconds.

    Raises:
        ValueError: the settings' `version` is not a template.
    """

    def __init__(
        self,
        settings: WatchSettings,
        known: Mapping[str, str],
        emit: Callable[[WatchEvent], None],
        *,
        series: Mapping[str, str] | None = None,
        unchanged: Mapping[str, tuple[str, float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, emit, clock)
        self._name = settings.name
        self._root = Root(settings.path)
        self._tree = DirectoryTree(self._root.path, select(settings.include, settings.exclude))
        self._detector = ChangeDetector(
            settings,
            known,
            self._emit,
            self._tree,
            series=series or {},
            unchanged=unchanged or {},
            now=clock(),
            on_response=self._note_response,
        )
        self._inotify: Inotify | None = None
        self._method = settings.method
        self._watched_root: Identity | None = None
        self._is_first_scan = True
        self._unwatched: tuple[str, ...] = ()
        self._next_reconcile = 0.0
        self._next_check: float | None = None
        self._overflows = 0
        self._restarts = 0
        self._restarted_at: float | None = None
        self._no_events_message = ""

    def status(self) -> WatcherStatus:
        """Return its state; may be called from any thread."""
        up, message = self._health or (False, "It has not scanned yet.")
        silent = self._silent_seconds()
        hung = silent > _HUNG_SECONDS
        if hung:
            up = False
            message = (
                f"The file system has not responded for {silent:.0f} s: check the "
                "mount; the other watches continue."
            )
        elif self._was_restarted() and up:
            up = False
            message = "The event observer stopped unexpectedly; it was restarted, with a scan."
        elif not self._thread.is_alive():
            up, message = False, "It is not running."
        return WatcherStatus(
            up=up,
            method=self._method,
            message=message,
            directories=len(self._tree),
            unknown=self._detector.unknown,
            last_reconcile_at=self._last_at,
            reconcile_seconds=self._seconds,
            overflows=self._overflows,
            ready=self._ready,
            hung=hung,
            restarts=self._restarts,
            begins=self._health is None and not hung and self._thread.is_alive(),
        )

    def _was_restarted(self) -> bool:
        """Whether the observer stopped recently: long enough for a scrape to see it."""
        at = self._restarted_at
        return at is not None and self._clock() - at < _RESTART_SECONDS

    def _run(self) -> None:
        wait = 0.0
        while not self._stopping.is_set():
            woken = self._queue.wait(wait)
            if woken and self._stopping.wait(self._coalesce_seconds()):
                break
            self._busy_since = self._clock()
            try:
                wait = self._round(self._queue.take())
            except Exception as error:  # noqa: BLE001 - one fault must not end the watch
                self._set_health(
                    f"It failed and restarts: {type(error).__name__}: {error}", up=False
                )
                self._next_reconcile = 0.0
                wait = 0.0
                self._stopping.wait(_FAULT_SECONDS)
            finally:
                self._busy_since = None
        self._stop_inotify()

    def _coalesce_seconds(self) -> float:
        """Return how long to let events accumulate: longer where a check takes long."""
        return min(_MAX_COALESCE_SECONDS, max(_COALESCE_SECONDS, self._detector.last_seconds))

    def _round(self, batch: Batch) -> float:
        """Scan or check once; return the seconds until the next round."""
        missing = self._find_root()
        if missing:
            self._stop_inotify()
            self._keep_requests(batch)
            self._is_first_scan = True
            self._set_health(missing, up=False)
            return _MISSING_SECONDS
        self._ensure_events()
        self._overflows += batch.overflows
        now = self._clock()
        due = now >= self._next_reconcile
        if due or batch.overflows or batch.full_scan or self._is_first_scan:
            self._reconcile(batch)
        else:
            before = self._next_check
            pending = before is not None and now >= before
            self._next_check = self._detector.check(
                batch, now, pending=pending, may_report_gone=self._root.is_unchanged
            )
            if before is not None and self._next_check is not None and not pending:
                self._next_check = min(before, self._next_check)
            if self._root.path in self._tree.errors:
                self._next_reconcile = 0.0
        now = self._clock()
        until = [now + _HEARTBEAT_SECONDS, self._next_reconcile]
        if self._next_check is not None:
            until.append(self._next_check)
        return max(0.0, min(until) - now)

    def _keep_requests(self, batch: Batch) -> None:
        """Keep the daemon's requests until the root is there."""
        for incomplete in batch.incomplete:
            self._detector.mark_incomplete(incomplete.path, incomplete.key)
        self._detector.requested.update(batch.requested)

    def _find_root(self) -> str:
        """Look for the root; return a sentence if it is missing. A new one is scanned first."""
        missing = self._root.find()
        if not missing and self._root.identity != self._watched_root:
            self._stop_inotify()
            self._is_first_scan = True
        self._watched_root = self._root.identity
        return missing

    def _ensure_events(self) -> None:
        """Observe events where that is possible; replace an observer that has stopped."""
        if self._inotify is not None:
            if self._inotify.alive:
                return
            self._stop_inotify()
            self._restarts += 1
            self._restarted_at = self._clock()
            self._set_health("The event observer stopped; it is being restarted.", up=False)
            self._next_reconcile = 0.0
        elif not self._is_first_scan and self._clock() < self._next_reconcile:
            return
        remote = is_remote(file_system(self._root.path))
        self._detector.local = not remote
        if self._settings.method == "poll" or (self._settings.method == "auto" and remote):
            self._method = "poll"
            return
        try:
            self._inotify = Inotify(self._root.path, self._queue)
        except OSError as error:
            self._method = "poll"
            why = error.strerror or error
            self._no_events_message = f"Events are not available, so it polls: {why}."
        else:
            self._method = "inotify"
            self._no_events_message = ""

    def _stop_inotify(self) -> None:
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify = None

    def _reconcile(self, batch: Batch) -> None:
        started = self._clock()
        unmounted = self._detector.knows_any and self._root.may_be_unmounted()
        self._next_check = self._detector.reconcile(
            batch,
            started,
            initial=self._is_first_scan,
            may_report_gone=lambda: not unmounted and self._root.is_unchanged(),
        )
        error = self._tree.errors.get(self._root.path)
        if error is not None:
            self._next_reconcile = self._clock() + _MISSING_SECONDS
            self._set_health(explain(self._root.path, error), up=False)
            return
        if not unmounted:
            self._root.mark_content()
        self._is_first_scan = False
        inotify = self._inotify
        self._unwatched = inotify.unwatched(self._tree.directories) if inotify else ()
        now = self._clock()
        self._seconds, self._last_at, self._ready = now - started, time.time(), True
        polls = inotify is None or bool(self._unwatched)
        every = self._settings.poll_interval if polls else _RECONCILE_SECONDS
        self._next_reconcile = now + (_AFTER_OVERFLOW_SECONDS if batch.overflows else every)
        self._set_health(self._warning(unmounted), up=True)
        self._emit(Reconciled(self._name, self._last_at, self._seconds, self._detector.unknown))

    def _warning(self, unmounted: bool) -> str:
        """Return a sentence about the limits of this watch; empty if there are none."""
        if unmounted:
            return "The root is empty although checkpoints are known there: is it mounted?"
        errors = self._tree.errors
        if errors:
            directory, error = next(iter(errors.items()))
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            return explain(directory, error) + more
        if self._unwatched:
            return (
                f"{len(self._unwatched)} directories send no events, so it polls as well: "
                "raise fs.inotify.max_user_watches."
            )
        return self._no_events_message or explain_links(self._tree.links_leaving())
