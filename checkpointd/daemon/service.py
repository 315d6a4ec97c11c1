"""The daemon's life: start, reload, stop, and the signals between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd import __version__
from checkpointd import config as configuration
from checkpointd.config import Config, ConfigError, WatchSettings, WorkerSettings
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon import runtimes
from checkpointd.daemon.controls import Controls
from checkpointd.daemon.event_handler import Engine
from checkpointd.daemon.publish_runner import Publishing, directories
from checkpointd.daemon.publisher import sweep
from checkpointd.daemon.retention_runner import Retaining
from checkpointd.daemon.scrubber import Scrubbing
from checkpointd.daemon.servers import Listening
from checkpointd.daemon.status_cache import Board
from checkpointd.daemon.threads import LedgerThread
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.ledger import Ledger, LedgerError, StateLock
from checkpointd.observe import logs
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.notify import Notifier
from checkpointd.observe.web.credentials import CredentialsError
from checkpointd.observe.web.server import ListenError
from checkpointd.removal import remove_tree
from checkpointd.watch.watcher import Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.watch.events import WatchEvent

_STOP_SECONDS = 5.0
_UNAVAILABLE = 69
_PULSE_SECONDS = 1.0

log = structlog.get_logger()


class StartError(Exception):
    """The daemon cannot start; the sentence says why and what to do."""


class Service:
    """One running daemon.

    Args:
        path: the config's path, read again on every reload.
        config: what it held at the start.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config
        self.config_error = ""
        self.config_loaded_at = time.time()
        self.started_at = time.time()
        self.ledger = LedgerThread()
        self.notifier = Notifier()
        self.board = Board(self)
        self.metrics = Metrics(self.board.snapshot)
        self.dispatcher = self._make_dispatcher(config)
        self.retaining = Retaining(self)
        self.engine = Engine(self.ledger, self.dispatcher, self.metrics, self.retaining.wanted)
        self.publishing = Publishing(self.ledger)
        self.engine.touched = self.publishing.wanted
        self.listening = Listening(
            self.board, self.metrics, Controls(self), config.web, self.socket_path
        )
        self.pulse_at = time.monotonic()
        self.stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._counted: dict[Watcher, tuple[int, int]] = {}
        self._lock = StateLock(config.state_dir)
        self._locked = False

    @property
    def scratch(self) -> Path:
        """Where the workers may write."""
        return self.config.state_dir / "scratch"

    @property
    def socket_path(self) -> Path:
        """The control socket of the command line."""
        return self.config.state_dir / "control.sock"

    def _make_dispatcher(self, config: Config) -> LocalDispatcher:
        return LocalDispatcher(
            config.worker, config.state_dir / "scratch", self.metrics.worker_exit
        )

    async def start(self) -> None:
        """Bring everything up.

        Raises:
            StartError: another daemon runs, the state or the address cannot be had.
        """
        state = self.config.state_dir
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
            self._locked = True
            with contextlib.suppress(OSError):
                remove_tree(self.scratch)
            self.scratch.mkdir(mode=0o700, exist_ok=True)
            await asyncio.to_thread(sweep, state, directories(self.config.watch))
            await self.ledger.open(state)
            await self.listening.start()
            for settings in self.config.watch:
                await self._start_watch(settings)
        except OSError as error:
            raise StartError(f"{state} cannot be used: {error.strerror}") from None
        except (LedgerError, ListenError) as error:
            raise StartError(str(error)) from None
        self._tasks = [
            asyncio.create_task(self.engine.handle_events()),
            asyncio.create_task(self.board.keep_fresh()),
            asyncio.create_task(self._pulse()),
            asyncio.create_task(Scrubbing(self.engine, self.ledger).run()),
            asyncio.create_task(runtimes.keep_current(self.engine)),
            asyncio.create_task(self.listening.access.watch_files()),
            *(
                asyncio.create_task(self.engine.verifications.run())
                for _ in range(self.config.worker.concurrency)
            ),
        ]
        self._watches_changed()
        # What the sandbox comes to here is known before there is a checkpoint.
        self.engine.spawn(self.dispatcher.warm(VerifySettings(skip=LOAD_CHECKS)))
        self.notifier.ready(self.board.sentence())
        log.info(
            "started",
            version=__version__,
            config=str(self.path),
            state=str(state),
            watches=len(self.config.watch),
            web=self.listening.url,
        )

    async def _start_watch(self, settings: WatchSettings) -> None:
        known = await self.ledger(Ledger.recorded_paths, settings.name)
        loop = asyncio.get_running_loop()

        def emit(event: WatchEvent) -> None:
            self.engine.tell(event, loop)

        try:
            watcher = Watcher(
                settings,
                {path: told.identity for path, told in known.items()},
                emit,
                series={path: told.series for path, told in known.items()},
            )
        except ValueError as error:
            raise StartError(f"watch {settings.name!r}: {error}") from None
        self.engine.watches[settings.name] = (settings, watcher)
        await self.engine.runtimes.look([self.engine.settings(settings.name).python])
        await self.engine.verify_again(await self.engine.outdated(settings.name))
        watcher.start()
        self.retaining.begin(settings)
        self.publishing.begin(settings, [w.path for w in self.config.watch])

    async def _stop_watch(self, name: str) -> None:
        _, watcher = self.engine.watches.pop(name)
        await self.publishing.forget(name, directories(self.config.watch))
        self.engine.queue.drop_watch(name)
        await self.retaining.forget(name)
        await asyncio.to_thread(watcher.stop, _STOP_SECONDS)

    async def reload(self) -> dict[str, Any]:
        """Read the config again and take it over, whole or not at all.

        Returns:
            `{"ok": bool, "message": sentence}`.
        """
        async with self._reloading:
            self.notifier.reloading()
            try:
                result = await self._reload()
            finally:
                self.notifier.ready(self.board.sentence())
            self.engine.dirty.set()
            return result

    async def _reload(self) -> dict[str, Any]:
        try:
            new = await asyncio.to_thread(configuration.load, self.path)
            await self.listening.change(new.web)
        except (ConfigError, CredentialsError) as error:
            self.config_error = str(error)
            self.metrics.reload(ok=False, at=time.time())
            log.error("reload failed, the old config stays", problems=str(error))
            return {"ok": False, "message": str(error)}
        old, self.config_error, self.config_loaded_at = self.config, "", time.time()
        kept = {"sandbox": old.worker.sandbox}
        restart = [
            name
            for name, before, after in (
                ("daemon.state_dir", old.daemon.state_dir, new.daemon.state_dir),
                ("web.listen", old.web.listen, new.web.listen),
                ("worker", old.worker, new.worker.model_copy(update=kept)),
            )
            if before != after
        ]
        self.config = new.model_copy(
            update={
                "daemon": old.daemon,
                "web": self.listening.access.web,
                "worker": _worker(old, new),
            }
        )
        self.dispatcher.configure(self.config.worker)
        logs.configure(new.daemon.log_format, new.daemon.log_level)
        troubles = await self._change_watches({w.name: w for w in new.watch})
        self.dispatcher.forget({w.verify.to_settings().python for w in new.watch})
        if new.worker.sandbox != old.worker.sandbox:
            for name in self.engine.watches:
                await self.engine.verify_again(await self.engine.outdated(name))
        if troubles:
            self.config_error = " ".join(troubles)
            self.metrics.reload(ok=False, at=time.time())
            log.error("reload failed in part", problems=self.config_error)
            return {"ok": False, "message": self.config_error}
        self._watches_changed()
        message = f"reloaded; {len(new.watch)} watches"
        if restart:
            message += f"; needs a restart: {', '.join(restart)}"
        log.info("reloaded", watches=len(new.watch), needs_restart=",".join(restart))
        return {"ok": True, "message": message}

    def _watches_changed(self) -> None:
        self.metrics.watches(w.name for w in self.config.watch)
        self.metrics.reload(ok=True, at=self.config_loaded_at)
        running = {watcher for _, watcher in self.engine.watches.values()}
        self._counted = {w: counted for w, counted in self._counted.items() if w in running}

    def _look_after_watches(self) -> None:
        """Count what the watches count, and know those whose disk does not answer."""
        hung = set()
        for name, (_, watcher) in self.engine.watches.items():
            status = watcher.status()
            overflows, restarts = self._counted.get(watcher, (0, 0))
            self.metrics.overflow(name, max(0, status.overflows - overflows))
            self.metrics.restarted(name, max(0, status.restarts - restarts))
            self._counted[watcher] = (status.overflows, status.restarts)
            if status.hung:
                hung.add(name)
        self.engine.set_hung(hung)

    async def _change_watches(self, wanted: dict[str, WatchSettings]) -> list[str]:
        """Make the watches that run those that are wanted; sentences about what did not work."""
        troubles = []
        running = {name: settings for name, (settings, _) in self.engine.watches.items()}
        for name in [n for n in running if wanted.get(n) != running[n]]:
            await self._stop_watch(name)
        for name, settings in wanted.items():
            if name in self.engine.watches:
                continue
            try:
                await self._start_watch(settings)
            except (LedgerError, StartError) as error:
                self.engine.watches.pop(name, None)
                troubles.append(f"Watch {name!r} could not be started: {error}")
        return troubles

    async def _pulse(self) -> None:
        """Look after the parts; speak to systemd's watchdog only while all make progress."""
        due = 0.0
        told = ""
        while True:
            await asyncio.sleep(_PULSE_SECONDS)
            self.board.loop_at = now = time.monotonic()
            if any(task.done() for task in self._tasks):
                self.stopping.set()
                return
            self.pulse_at = now
            self._look_after_watches()
            sentence = self.board.sentence()
            if sentence != told:
                self.notifier.status(sentence)
                told = sentence
            interval = self.notifier.watchdog_interval
            if interval is not None and now >= due and self.board.health().healthy:
                self.notifier.watchdog()
                due = now + interval

    def fault(self) -> BaseException | None:
        """What ended a part of the daemon that should never end; None if nothing did."""
        ended = (t for t in self._tasks if t.done() and not t.cancelled())
        return next((e for e in (t.exception() for t in ended) if e is not None), None)

    async def stop(self) -> None:
        """Bring everything down; what was being verified is verified again next time."""
        if not self._locked:
            return
        self.notifier.stopping()
        self.engine.closing = True
        log.info("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(
            *(asyncio.to_thread(w.stop, _STOP_SECONDS) for _, w in self.engine.watches.values())
        )
        await self.engine.close()
        await self.dispatcher.close()
        await self.retaining.close()
        await self.publishing.close()
        await self.listening.close()
        await self.ledger.close()
        with contextlib.suppress(OSError):
            remove_tree(self.scratch)
        self._lock.release()
        log.info("stopped")


def _worker(old: Config, new: Config) -> WorkerSettings:
    """The settings of the workers after a reload: only what holds for the next one can change."""
    return old.worker.model_copy(update={"sandbox": new.worker.sandbox})


async def serve(path: Path, config: Config) -> int:
    """Run a daemon until it is told to stop; returns the exit code."""
    service = Service(path, config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
    reloads: set[asyncio.Task[dict[str, Any]]] = set()

    def hang_up() -> None:
        task = asyncio.create_task(service.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        await service.start()
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    except StartError as error:
        log.error("cannot start", error=str(error))
        await service.stop()
        return _UNAVAILABLE
    await service.stopping.wait()
    fault = service.fault()
    if fault is not None:
        log.critical("a part of the daemon has ended; this is our own fault", exc_info=fault)
    await service.stop()
    return 70 if fault is not None else 0


def run(path: Path) -> int:
    """`checkpointd run`: blocks until the daemon is told to stop.

    Args:
        path: the config.

    Returns:
        The exit code.

    Raises:
        ConfigError: the config is wrong.
    """
    path = path.absolute()
    config = configuration.load(path)
    logs.configure(config.daemon.log_format, config.daemon.log_level)
    return asyncio.run(serve(path, config))
