"""One thread for each watch of a bucket: it polls with one flat listing and emits events.

The same code as for directories compares the listing with what was reported; there are no events,
and every object appears as a whole.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from checkpointd.buckets import BucketStorage
from checkpointd.watch.change_detector import ChangeDetector
from checkpointd.watch.directory_tree import DirectoryTree
from checkpointd.watch.events import Reconciled, WatcherStatus, WatchEvent
from checkpointd.watch.globs import select
from checkpointd.watch.watch_thread import WatchThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.config import WatchSettings

_AT_MOST_EVERY_SECONDS = 5.0
"""The shortest interval between listings that are made because somebody waits for a report."""

_RETRY_SECONDS = 15.0
_HUNG_SECONDS = 60.0
_EMPTY = (
    "Nothing is below the URL although checkpoints are known there: are the bucket and the "
    "credentials the right ones? What is known is kept."
)


class BucketWatcher(WatchThread):
    """Watches what is below a URL; the arguments and methods are those of `Watcher`.

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
        self._root = str(settings.path)
        self._known = known
        self._series = series or {}
        self._unchanged = unchanged or {}
        self._storage: BucketStorage | None = None
        self._tree: DirectoryTree | None = None
        self._detector: ChangeDetector | None = None
        self._had_content = False

    def status(self) -> WatcherStatus:
        """Return its state; may be called from any thread."""
        up, message = self._health or (False, "It has not listed the bucket yet.")
        detector = self._detector
        hung = self._silent_seconds() > _HUNG_SECONDS
        if hung:
            up, message = False, f"The store of {self._root!r} has not answered for a minute."
        elif not self._thread.is_alive():
            up, message = False, "It is not running."
        return WatcherStatus(
            up=up,
            method="list",
            message=message,
            directories=0 if self._tree is None else len(self._tree),
            unknown=0 if detector is None else detector.unknown,
            last_reconcile_at=self._last_at,
            reconcile_seconds=self._seconds,
            overflows=0,
            ready=self._ready,
            hung=hung,
            begins=self._health is None and not hung and self._thread.is_alive(),
            pages=0 if self._storage is None else self._storage.pages,
        )

    def _run(self) -> None:
        every = self._settings.poll_interval
        while not self._stopping.is_set():
            self._busy_since = began = self._clock()
            try:
                self._poll()
                wait = every
            except OSError as error:
                self._set_health(_sentence(error, self._root), up=False)
                wait = min(every, _RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - one fault must not end the watch
                self._set_health(
                    f"It failed and restarts: {type(error).__name__}: {error}", up=False
                )
                wait = min(every, _RETRY_SECONDS)
            finally:
                self._busy_since = None
            if self._queue.wait(wait):
                rest = began + min(every, _AT_MOST_EVERY_SECONDS) - self._clock()
                self._stopping.wait(max(0.0, rest))

    def _poll(self) -> None:
        """List the bucket once and compare everything with the listing."""
        started = self._clock()
        if self._storage is None:
            self._storage = BucketStorage(self._root)
        self._storage.refresh(self._root, self._note_response)
        detector = self._detector or self._begin(self._storage, started)
        suspicious = self._storage.is_empty and not self._had_content and detector.knows_any
        detector.reconcile(
            self._queue.take(),
            started,
            initial=not self._ready,
            may_report_gone=lambda: not suspicious,
        )
        self._had_content = self._had_content or not self._storage.is_empty
        self._seconds, self._last_at = self._clock() - started, time.time()
        self._ready = True
        self._set_health(_EMPTY if suspicious else "", up=True)
        name, unknown = self._settings.name, detector.unknown
        self._emit(Reconciled(name, self._last_at, self._seconds, unknown))

    def _begin(self, storage: BucketStorage, now: float) -> ChangeDetector:
        """Make what needs the bucket: until it was listed once, nothing is known to be there."""
        settings = self._settings
        self._tree = DirectoryTree(self._root, select(settings.include, settings.exclude), storage)
        self._detector = ChangeDetector(
            settings,
            self._known,
            self._emit,
            self._tree,
            series=self._series,
            unchanged=self._unchanged,
            on_response=self._note_response,
            now=now,
            storage=storage,
        )
        return self._detector


def _sentence(error: OSError, root: str) -> str:
    return f"{root!r} cannot be listed: {error.strerror or error}."
