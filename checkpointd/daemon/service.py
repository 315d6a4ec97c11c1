"""Puts the daemon together and owns its life cycle: start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd import __version__
from checkpointd.core.remove_tree import remove_tree
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon import engine, replicator, retention_runner, status_cache
from checkpointd.daemon.active_config import ActiveConfig
from checkpointd.daemon.api_source import ApiSource
from checkpointd.daemon.attestation_reader import AttestationReader
from checkpointd.daemon.attestation_runner import AttestationRunner
from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.config_file import FileDifference, compare
from checkpointd.daemon.controls import Controls
from checkpointd.daemon.duty_cycle import DutyCycle
from checkpointd.daemon.event_handler import EventHandler
from checkpointd.daemon.event_inbox import EventInbox
from checkpointd.daemon.health_monitor import HealthMonitor
from checkpointd.daemon.hooks import HookRunner
from checkpointd.daemon.ledger_upgrade import LedgerUpgrade
from checkpointd.daemon.problem_sources import add_problem_sources
from checkpointd.daemon.publish_runner import PublishRunner, directories
from checkpointd.daemon.publisher import sweep
from checkpointd.daemon.reloader import Reloader
from checkpointd.daemon.replicator import Replicator
from checkpointd.daemon.request_builder import RequestBuilder
from checkpointd.daemon.retention_runner import RetentionRunner
from checkpointd.daemon.retry_scheduler import RetryScheduler
from checkpointd.daemon.reverification import Reverifier
from checkpointd.daemon.runtimes import Runtimes
from checkpointd.daemon.scrubber import Scrubber
from checkpointd.daemon.servers import Servers
from checkpointd.daemon.staging import StagingDispatcher
from checkpointd.daemon.state_usage import StateUsage
from checkpointd.daemon.status_builder import StatusBuilder
from checkpointd.daemon.status_cache import StatusCache
from checkpointd.daemon.tasks import SideTasks
from checkpointd.daemon.threads import LedgerThread
from checkpointd.daemon.verdict_recorder import VerdictRecorder
from checkpointd.daemon.verifier import Verifier
from checkpointd.daemon.watch_manager import WatchError, WatchManager
from checkpointd.daemon.watch_supervisor import WatchSupervisor
from checkpointd.daemon.watches import Watches
from checkpointd.daemon.work_queue import WorkQueue
from checkpointd.ledger import ChangeKind, LedgerError, StateLock
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.notify import Notifier
from checkpointd.observe.web.activation import inherited_sockets
from checkpointd.observe.web.server import ListenError

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config

_PULSE_SECONDS = 1.0

log = structlog.get_logger()


class StartError(Exception):
    """The daemon cannot start; the sentence explains why and what to do."""


class Service:
    """One running daemon; nothing else holds it.

    Args:
        path: the config's path, read again on every reload.
        config: what it held at the start.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self.stopping = asyncio.Event()
        self._scratch = config.state_dir / "scratch"
        self._lock = StateLock(config.state_dir)
        self._is_locked = False
        self._tasks: list[asyncio.Task[None]] = []

        self._active = ActiveConfig(path, config)
        self._notifier = Notifier()
        self._side_tasks = SideTasks()
        self._feed = ChangeFeed()
        self._ledger = LedgerThread(self._feed.emit)
        self._upgrade = LedgerUpgrade(self._ledger, self._feed)
        self._runtimes = Runtimes()
        self._watches = Watches(self._runtimes)
        self._metrics = Metrics(lambda: self._status.snapshot())  # noqa: PLW0108 - made below
        self._dispatcher = engine.make_dispatcher(
            config,
            self._scratch,
            self._metrics,
            lambda: self._work.wake(),  # noqa: PLW0108 - made below
        )

        self._staging = StagingDispatcher(
            self._dispatcher, config.state_dir / "staging", config.daemon.staging_bytes
        )
        self._work = WorkQueue(
            self._metrics.coalesced,
            (lambda: self._dispatcher.capacity) if engine.is_fleet(config) else None,
        )
        self._retries = RetryScheduler(self._ledger, self._work.push)
        self._reverifier = Reverifier(self._watches, self._ledger, self._work, self._upgrade.done)
        self._recorder = VerdictRecorder(self._ledger, self._metrics)
        self._hooks = HookRunner(self._ledger, self._watches, self._metrics.hook_run)
        self._duty_cycle = DutyCycle(lambda: self._active.config.worker.duty_cycle)
        self._verifier = Verifier(
            self._work,
            self._watches,
            RequestBuilder(self._watches, self._ledger),
            self._staging,
            self._recorder,
            self._retries,
            self._duty_cycle,
        )
        self._inbox = EventInbox(self._watches)
        self._handler = EventHandler(
            self._inbox,
            self._watches,
            self._ledger,
            self._work,
            self._verifier,
            self._metrics,
            self._feed,
            lambda settings: self._side_tasks.spawn(self._dispatcher.warm(settings)),
        )
        self._retention = RetentionRunner(
            self._ledger,
            self._watches,
            self._work,
            self._metrics,
            self._verifier.digest,
            self._hooks.note_holds,
            self._upgrade.done,
        )
        self._publishing = PublishRunner(self._ledger)
        reader = engine.local_of(self._dispatcher, config, self._scratch)
        self._attesting = AttestationRunner(self._ledger, AttestationReader(reader, self._staging))
        self._replicating = Replicator(self._ledger, self._watches, self._metrics, self._retention)
        self._manager = WatchManager(
            self._watches,
            self._ledger,
            self._inbox,
            self._work,
            self._runtimes,
            self._reverifier,
            self._retention,
            self._publishing,
        )
        self._supervisor = WatchSupervisor(
            self._watches, self._metrics, self._work, self._verifier, self._feed
        )

        self._servers = Servers(config.web, config.state_dir / "control.sock", inherited_sockets())
        self._cache = StatusCache(self._ledger)
        self._state_usage = StateUsage(config.state_dir)
        self._health = HealthMonitor(self._watches, self._work, engine.longest(config))
        self._status = StatusBuilder(
            self._active,
            self._cache,
            self._watches,
            self._work,
            self._dispatcher,
            self._retention,
            self._health,
            self._servers,
            self._state_usage,
            self._hooks,
            self._duty_cycle,
            self._replicating,
        )
        self._reloader = Reloader(
            self._active,
            self._servers,
            self._dispatcher,
            self._manager,
            self._metrics,
            self._notifier,
            self._status,
            [self._attesting, self._replicating],
        )
        self._connect()

    def _connect(self) -> None:
        """Subscribe the followers of changes, and register the sources of problems."""
        self._feed.subscribe(self._cache.on_change, status_cache.CHANGES)
        self._feed.subscribe(self._retention.on_change, retention_runner.CHANGES)
        self._feed.subscribe(self._publishing.on_change)
        self._feed.subscribe(self._attesting.on_change, {ChangeKind.VERDICT})
        self._staging.on_valid_copy = self._attesting.on_valid_copy
        self._feed.subscribe(self._replicating.on_change, replicator.CHANGES)
        self._feed.subscribe(self._hooks.on_change, {ChangeKind.VERDICT, ChangeKind.TRASHED})
        add_problem_sources(
            self._health,
            active=self._active,
            handler=self._handler,
            retention=self._retention,
            publishing=self._publishing,
            attesting=self._attesting,
            replicating=self._replicating,
            hooks=self._hooks,
            staging=self._staging,
            servers=self._servers,
            status=self._status,
        )

    async def start(self) -> None:
        """Start everything.

        Raises:
            StartError: another daemon runs, the state directory or the address cannot be used.
        """
        config, state = self._active.config, self._active.config.state_dir
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
            self._is_locked = True
            with contextlib.suppress(OSError):
                remove_tree(self._scratch)
            self._staging.remove_all()
            self._scratch.mkdir(mode=0o700, exist_ok=True)
            await asyncio.to_thread(sweep, state, directories(config.watch))
            await self._ledger.open(state)
            await self._upgrade.begin()
            await self._cache.refresh()  # so the first scrape and page have all series
            await self._listen()
            await self._manager.start(config.watch)
            await self._attesting.configure(config)
            await self._replicating.configure(config)
        except OSError as error:
            raise StartError(f"{state} cannot be used: {error.strerror}") from None
        except (LedgerError, ListenError, WatchError) as error:
            raise StartError(str(error)) from None
        self._start_tasks(engine.most_at_a_time(config))
        self._metrics.watches(watch.name for watch in config.watch)
        self._metrics.reload(ok=True, at=self._active.loaded_at)
        # So the status of the sandbox is known before there is a checkpoint.
        self._side_tasks.spawn(self._dispatcher.warm(VerifySettings(skip=LOAD_CHECKS)))
        self._notifier.ready(self._status.line())
        log.info(
            "started",
            version=__version__,
            config=str(self._active.path),
            state=str(state),
            watches=len(config.watch),
            web=self._servers.url,
        )
        self._active.log_problems()

    async def _listen(self) -> None:
        controls = Controls(
            self._reloader.reload,
            self._retention,
            self._watches,
            self._ledger,
            self._work,
            self._active.config.worker.timeout,
            self._compare_config,
            self._hooks.retry,
        )
        await self._servers.start(ApiSource(self._status, self._ledger), self._metrics, controls)

    async def _compare_config(self) -> FileDifference:
        running = {name: watch.settings for name, watch in self._watches.items()}
        return await compare(self._active.path, running)

    def _start_tasks(self, concurrency: int) -> None:
        scrubber = Scrubber(self._watches, self._ledger, self._work)
        loops = [
            self._handler.run(),
            self._upgrade.run(),
            self._cache.keep_fresh(),
            self._state_usage.run(),
            self._pulse(),
            scrubber.run(),
            self._retention.former.run(),
            self._hooks.run(),
            self._reverifier.follow(self._runtimes, self._dispatcher.renew),
            self._servers.access.watch_files(),
            *(self._verifier.run() for _ in range(concurrency)),
        ]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def reload(self) -> dict[str, Any]:
        """Read the config again; see `Reloader.reload`."""
        return await self._reloader.reload()

    async def _pulse(self) -> None:
        """Supervise the parts; notify systemd's watchdog only while all make progress."""
        due, last_line = 0.0, ""
        while True:
            await asyncio.sleep(_PULSE_SECONDS)
            self._health.loop_runs()
            if any(task.done() for task in self._tasks):
                self.stopping.set()
                return
            self._health.supervisor_runs()
            self._supervisor.check()
            line = self._status.line()
            if line != last_line:
                self._notifier.status(line)
                last_line = line
            now, interval = time.monotonic(), self._notifier.watchdog_interval
            if interval is not None and now >= due and self._health.check().healthy:
                self._notifier.watchdog()
                due = now + interval

    def fault(self) -> BaseException | None:
        """The error that ended one of the daemon's permanent tasks; None if there is none."""
        ended = (t for t in self._tasks if t.done() and not t.cancelled())
        return next((e for e in (t.exception() for t in ended) if e is not None), None)

    async def stop(self) -> None:
        """Stop everything; interrupted verifications are repeated after the next start."""
        if not self._is_locked:
            return
        self._notifier.stopping()
        self._inbox.close()
        log.info("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._manager.close()
        self._runtimes.close()
        self._watches.evaluators.close()
        self._retries.close()
        await self._side_tasks.close()
        await self._hooks.close()
        await self._dispatcher.close()
        await self._retention.close()
        await self._publishing.close()
        await self._attesting.close()
        await self._replicating.close()
        await self._servers.close()
        await self._ledger.close()
        with contextlib.suppress(OSError):
            remove_tree(self._scratch)
        self._staging.remove_all()
        self._lock.release()
        log.info("stopped")
