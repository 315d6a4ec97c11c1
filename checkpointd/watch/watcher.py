"""One thread for each watch: it does all the disk work of that watch and tells what it saw."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from checkpointd.watch.change_detector import ChangeDetector
from checkpointd.watch.directory_tree import DirectoryTree
from checkpointd.watch.event_queue import Batch, EventQueue
from checkpointd.watch.events import Reconciled, WatcherStatus, WatchEvent, WatchHealth
from checkpointd.watch.globs import select
from checkpointd.watch.inotify import Inotify
from checkpointd.watch.mounts import file_system, is_remote
from checkpointd.watch.scan import explain
from checkpointd.watch.series import compile_template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from checkpointd.config import WatchSettings

_RECONCILE_SECONDS = 60.0
_HEARTBEAT_SECONDS = 5.0
_MISSING_SECONDS = 1.0
_COALESCE_SECONDS = 0.02
_MOST_COALESCE_SECONDS = 0.25
_AFTER_OVERFLOW_SECONDS = 2.0
_HUNG_SECONDS = 20.0
_FAULT_SECONDS = 5.0
_RESTART_SECONDS = 30.0


class Watcher:
    """Watches one root and tells what is there, what is finished and what went.

    Args:
        settings: the `[[watch]]` of the config; its path is absolute.
        known: the identity (or the key) of the generation of each path that needs no telling
            unless it changed; empty for a path that is known and to be told again.
        emit: called with each event from this watcher's thread, which waits for it.
        series: the series in which each known path was placed.
        clock: a monotonic clock in seconds.

    Raises:
        ValueError: the settings' `version` is no template.
    """

    def __init__(
        self,
        settings: WatchSettings,
        known: Mapping[str, str],
        emit: Callable[[WatchEvent], None],
        *,
        series: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.version is not None:
            compile_template(settings.version)
        self._settings = settings
        self._name = settings.name
        self._root = os.fspath(settings.path)
        self._tell = emit
        self._clock = clock
        self._inbox = EventQueue()
        self._tree = DirectoryTree(self._root, select(settings.include, settings.exclude))
        self._sightings = ChangeDetector(
            settings, known, self._emit, self._tree, series=series or {}, alive=self._is_alive
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{settings.name}", daemon=True
        )
        self._inotify: Inotify | None = None
        self._method = settings.method
        self._health: tuple[bool, str] | None = None
        self._identity: tuple[int, int] | None = None
        self._filled: tuple[int, int] | None = None
        self._fresh = True
        self._blind: tuple[str, ...] = ()
        self._next_reconcile = 0.0
        self._look_at: float | None = None
        self._busy_since: float | None = None
        self._last_at = 0.0
        self._seconds = 0.0
        self._overflows = 0
        self._restarts = 0
        self._restarted_at: float | None = None
        self._ready = False
        self._trouble = ""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End; a thread that hangs in a sick file system is left behind after `timeout` seconds."""
        self._stopping.set()
        self._inbox.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def wake(self) -> None:
        """Compare everything with the disk now."""
        self._inbox.wake(everything=True)

    def incomplete(self, path: str, key: str) -> None:
        """A child says that this generation is not finished: wait on, until it is or is torn."""
        self._inbox.refuse(path, key)

    def again(self, path: str) -> None:
        """Tell of the path's generation once more, as soon as it is settled."""
        self._inbox.ask_again(path)

    def status(self) -> WatcherStatus:
        """Say how it is; from any thread."""
        up, message = self._health or (False, "It has not looked yet.")
        busy = self._busy_since
        hung = busy is not None and self._clock() - busy > _HUNG_SECONDS
        if busy is not None and hung:
            up = False
            message = (
                f"The file system has not answered for {self._clock() - busy:.0f} s: look at the "
                "mount; the other watches go on."
            )
        elif self._was_restarted() and up:
            up = False
            message = "The observer of events ended by itself; it was started again, with a scan."
        elif not self._thread.is_alive():
            up, message = False, "It is not running."
        return WatcherStatus(
            up=up,
            method=self._method,
            message=message,
            directories=len(self._tree),
            unknown=self._sightings.unknown,
            last_reconcile_at=self._last_at,
            reconcile_seconds=self._seconds,
            overflows=self._overflows,
            ready=self._ready,
            hung=hung,
            restarts=self._restarts,
        )

    def _was_restarted(self) -> bool:
        """Whether the observer ended a moment ago: long enough for a scrape to see it."""
        at = self._restarted_at
        return at is not None and self._clock() - at < _RESTART_SECONDS

    def _emit(self, event: WatchEvent) -> None:
        """Tell of something; the time that this takes is not the file system's."""
        busy, self._busy_since = self._busy_since, None
        self._tell(event)
        self._busy_since = None if busy is None else self._clock()

    def _is_alive(self) -> None:
        """The file system has answered: whatever comes next has its own time to do so."""
        self._busy_since = self._clock()

    def _run(self) -> None:
        wait = 0.0
        while not self._stopping.is_set():
            woken = self._inbox.wait(wait)
            if woken and self._stopping.wait(self._pause()):
                break
            self._busy_since = self._clock()
            try:
                wait = self._round(self._inbox.take())
            except Exception as error:  # noqa: BLE001 - one fault must not end the watch
                self._say(False, f"It failed and starts again: {type(error).__name__}: {error}")
                self._next_reconcile = 0.0
                wait = 0.0
                self._stopping.wait(_FAULT_SECONDS)
            finally:
                self._busy_since = None
        self._end_inotify()

    def _pause(self) -> float:
        """How long to let events gather: longer where a look takes long."""
        return min(_MOST_COALESCE_SECONDS, max(_COALESCE_SECONDS, self._sightings.last_seconds))

    def _round(self, batch: Batch) -> float:
        """Take one look; returns the seconds until the next."""
        missing = self._find_root()
        if missing:
            self._end_inotify()
            self._keep(batch)
            self._fresh = True
            self._identity = None
            self._say(False, missing)
            return _MISSING_SECONDS
        self._listen()
        if batch.lost:
            self._overflows += batch.lost
        now = self._clock()
        due = now >= self._next_reconcile
        if due or batch.lost or batch.everything or self._fresh:
            self._reconcile(batch)
        else:
            before = self._look_at
            pending = before is not None and now >= before
            self._look_at = self._sightings.look(
                batch, now, pending=pending, judge_gone=self._is_the_same_root
            )
            if before is not None and self._look_at is not None and not pending:
                self._look_at = min(before, self._look_at)
            if self._root in self._tree.errors:
                self._next_reconcile = 0.0
        now = self._clock()
        until = [now + _HEARTBEAT_SECONDS, self._next_reconcile]
        if self._look_at is not None:
            until.append(self._look_at)
        return max(0.0, min(until) - now)

    def _keep(self, batch: Batch) -> None:
        """Put what the daemon asked for back until the root is there."""
        for path, key in batch.refused:
            self._sightings.refuse(path, key)
        self._sightings.again.update(batch.again)

    def _find_root(self) -> str:
        """Look whether the root is there; returns a sentence if it is not."""
        try:
            seen = os.stat(self._root)
        except FileNotFoundError:
            return f"{self._root!r} does not exist yet; it is waited for."
        except OSError as error:
            return explain(self._root, error)
        if not stat.S_ISDIR(seen.st_mode):
            return f"{self._root!r} is no directory; one is waited for."
        identity = (seen.st_dev, seen.st_ino)
        if identity != self._identity:
            self._identity = identity
            self._end_inotify()
            self._fresh = True
        return ""

    def _listen(self) -> None:
        """Have events where they can be had; a dead observer is replaced."""
        if self._inotify is not None:
            if self._inotify.alive:
                return
            self._end_inotify()
            self._restarts += 1
            self._restarted_at = self._clock()
            self._say(False, "The observer of events ended; it is started again.")
            self._next_reconcile = 0.0
        elif not self._fresh and self._clock() < self._next_reconcile:
            return
        remote = is_remote(file_system(self._root))
        self._sightings.local = not remote
        if self._settings.method == "poll" or (self._settings.method == "auto" and remote):
            self._method = "poll"
            return
        try:
            self._inotify = Inotify(self._root, self._inbox)
        except OSError as error:
            self._method = "poll"
            self._trouble = f"There are no events, so it polls: {error.strerror or error}."
        else:
            self._method = "inotify"
            self._trouble = ""

    def _end_inotify(self) -> None:
        if self._inotify is not None:
            self._inotify.stop()
            self._inotify = None

    def _reconcile(self, batch: Batch) -> None:
        started = self._clock()
        hold = self._is_suspiciously_empty()
        self._look_at = self._sightings.reconcile(
            batch,
            started,
            initial=self._fresh,
            judge_gone=lambda: not hold and self._is_the_same_root(),
        )
        error = self._tree.errors.get(self._root)
        if error is not None:
            self._next_reconcile = self._clock() + _MISSING_SECONDS
            self._say(False, explain(self._root, error))
            return
        if not hold:
            self._filled = self._identity
        self._fresh = False
        self._blind = self._inotify.blind(self._tree.directories) if self._inotify else ()
        now = self._clock()
        self._seconds, self._last_at, self._ready = now - started, time.time(), True
        polls = self._inotify is None or bool(self._blind)
        every = self._settings.poll_interval if polls else _RECONCILE_SECONDS
        self._next_reconcile = now + (_AFTER_OVERFLOW_SECONDS if batch.lost else every)
        self._say(True, self._message(hold))
        self._emit(Reconciled(self._name, self._last_at, self._seconds, self._sightings.unknown))

    def _is_the_same_root(self) -> bool:
        """Whether what was just listed is the root that was found: it may have been unmounted."""
        try:
            seen = os.stat(self._root)
        except OSError:
            return False
        return (seen.st_dev, seen.st_ino) == self._identity

    def _is_suspiciously_empty(self) -> bool:
        """Whether an empty root is more likely an unmounted one than one whose files went."""
        if not self._sightings.knows_any or self._filled == self._identity:
            return False
        try:
            with os.scandir(self._root) as entries:
                return next(entries, None) is None
        except OSError:
            return True

    def _message(self, hold: bool) -> str:
        if hold:
            return "The root is empty although checkpoints are known there: is it mounted?"
        errors = self._tree.errors
        if errors:
            directory, error = next(iter(errors.items()))
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            return explain(directory, error) + more
        if self._blind:
            return (
                f"{len(self._blind)} directories give no events, so it polls too: "
                "raise fs.inotify.max_user_watches."
            )
        return self._trouble

    def _say(self, up: bool, message: str) -> None:
        if (up, message) != self._health:
            self._health = (up, message)
            self._emit(WatchHealth(self._name, up, message))
