"""The thread of one watch, as the daemon controls it, for directories and buckets alike."""

from __future__ import annotations

import abc
import threading
from typing import TYPE_CHECKING

from checkpointd.series.templates import compile_template
from checkpointd.watch.event_queue import EventQueue
from checkpointd.watch.events import WatcherStatus, WatchEvent, WatchHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.config import WatchSettings


class WatchThread(abc.ABC):
    """A thread that compares what exists with what was reported, and emits events.

    Args:
        settings: the `[[watch]]` of the config.
        emit: called with each event from this thread, which waits for it.
        clock: a monotonic clock in seconds.

    Raises:
        ValueError: the settings' `version` is not a template.
    """

    def __init__(
        self,
        settings: WatchSettings,
        emit: Callable[[WatchEvent], None],
        clock: Callable[[], float],
    ) -> None:
        for template in settings.version:
            compile_template(template)
        self._settings = settings
        self._on_event = emit
        self._clock = clock
        self._queue = EventQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{settings.name}", daemon=True
        )
        self._health: tuple[bool, str] | None = None
        self._busy_since: float | None = None
        self._last_at = 0.0
        self._seconds = 0.0
        self._ready = False

    @abc.abstractmethod
    def _run(self) -> None: ...

    @abc.abstractmethod
    def status(self) -> WatcherStatus:
        """Return its state; may be called from any thread."""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop; a thread that gets no answer from the disk or the store is left after `timeout`."""
        self._stopping.set()
        self._queue.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def wake(self) -> None:
        """Compare everything now."""
        self._queue.wake(full_scan=True)

    def mark_incomplete(self, path: str, key: str) -> None:
        """Wait again for a generation that its verification found to be incomplete."""
        self._queue.add_incomplete(path, key)

    def report_again(self, path: str) -> None:
        """Report the present generation of a path once more, as soon as it is settled."""
        self._queue.request_report(path)

    def _silent_seconds(self) -> float:
        """For how long the disk or the store has not answered; 0 where nothing is asked of it."""
        busy = self._busy_since
        return 0.0 if busy is None else self._clock() - busy

    def _emit(self, event: WatchEvent) -> None:
        """Emit an event; the time that this takes does not count as waiting for an answer."""
        busy, self._busy_since = self._busy_since, None
        self._on_event(event)
        self._busy_since = None if busy is None else self._clock()

    def _note_response(self) -> None:
        """Restart the clock of `hung`: there was an answer."""
        self._busy_since = self._clock()

    def _set_health(self, message: str, *, up: bool) -> None:
        if (up, message) != self._health:
            self._health = (up, message)
            self._emit(WatchHealth(self._settings.name, up, message))
