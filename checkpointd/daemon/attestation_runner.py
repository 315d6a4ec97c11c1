"""Attestations in the running daemon: a task and a thread for each watch, and only with a key.

The bytes are read in a sandboxed child, one checkpoint at a time; the key is in the daemon alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from checkpointd.attestation import AttestationError
from checkpointd.core.request import End
from checkpointd.daemon.attestation_writer import AttestationWriter
from checkpointd.daemon.threads import DiskThread
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.config import Config, WatchSettings
    from checkpointd.core.request import Request
    from checkpointd.daemon.attestation_reader import AttestationReader
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Change, Entry

_PAUSE_SECONDS = 0.2
_ROUND_SECONDS = 60.0

log = structlog.get_logger()


class _WatchAttester:
    """The attestations of one watch, its disk thread and its task."""

    def __init__(self, name: str, key_file: Path, writer: AttestationWriter) -> None:
        self.name = name
        self.key_file = key_file
        self.writer = writer
        self.requested = asyncio.Event()
        self.disk = DiskThread(f"attest-{name}")
        self.task: asyncio.Task[None] | None = None


class AttestationRunner:
    """Attests every valid verdict of every watch; `problems` are what could not be attested.

    Args:
        ledger: holds the verdicts.
        reader: reads the files.
    """

    def __init__(self, ledger: LedgerThread, reader: AttestationReader) -> None:
        self._ledger = ledger
        self._reader = reader
        self._running: dict[str, _WatchAttester] = {}
        self._one = asyncio.Lock()
        self.problems: dict[str, str] = {}

    async def configure(self, config: Config) -> None:
        """Attest the watches of a config from now on, if it has a key."""
        await self._stop()
        self._begin(config, config.watch)

    def _begin(self, config: Config, watches: Iterable[WatchSettings]) -> None:
        roots = [watch.path for watch in config.watch if isinstance(watch.path, Path)]
        for settings in watches:
            directory = config.attestation_directory(settings)
            key_file = config.attest.key_file
            if directory is None or key_file is None:
                continue
            writer = AttestationWriter(directory, str(settings.path), roots)
            watch = _WatchAttester(settings.name, key_file, writer)
            self._running[settings.name] = watch
            watch.task = asyncio.create_task(self._run(watch))

    def on_change(self, change: Change) -> None:
        """Compare the watch of a change with the ledger soon."""
        if change.watch in self._running:
            self._running[change.watch].requested.set()

    async def on_valid_copy(self, request: Request, copy: Request) -> None:
        """Read the copy of what is in a bucket before it is removed, if it will be attested.

        Args:
            request: for what is in the bucket, and was found valid.
            copy: for what is on this host.
        """
        was_read = bool(request.digest)  # its verdict stays, and so does its attestation
        if request.checkpoint.watch in self._running and not was_read:
            await self._reader.read_copy(request, copy)

    async def close(self) -> None:
        """Stop attesting, and end the processes that read; existing attestations stay."""
        await self._stop()
        await self._reader.close()

    async def _stop(self) -> None:
        running, self._running = self._running, {}
        self.problems.clear()
        for watch in running.values():
            if watch.task is not None:
                watch.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch.task
            watch.disk.close()

    async def _run(self, watch: _WatchAttester) -> None:
        while True:
            watch.requested.clear()
            try:
                entries = await self._ledger(Ledger.entries, watch.name)
                for entry in await watch.disk(watch.writer.due, entries, watch.key_file):
                    await self._attest(watch, entry)
                self.problems.pop(watch.name, None)
            except AttestationError as error:
                self._note_problem(watch.name, f"nothing is attested: {error}")
            except OSError as error:
                why = f"{error.filename} cannot be written: {error.strerror}"
                self._note_problem(watch.name, why)
            except LedgerError as error:
                self._note_problem(watch.name, f"nothing is attested: {error}")
            except Exception:
                log.exception("attesting failed because of a bug in checkpointd", watch=watch.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ROUND_SECONDS):
                    await watch.requested.wait()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _attest(self, watch: _WatchAttester, entry: Entry) -> None:
        """Attest one verdict if its content still exists; else its next verdict is attested."""
        async with self._one:
            digests = await self._reader.digest(entry)
        path = entry.checkpoint.path
        if digests.get("error"):
            log.warning("not attested, tried again", path=path, error=digests["error"])
        elif digests.get("end") == str(End.DONE):
            try:
                report = await self._ledger(Ledger.report_of, entry)
            except LedgerError as error:
                log.warning("not attested, tried again", path=path, error=str(error))
                return
            if report is None or digests.get("digest") != report.facts.digest:
                log.warning("not attested: its bytes are not those that were verified", path=path)
                return
            await watch.disk(watch.writer.write, entry, report, digests, watch.key_file)
            log.info("attested", watch=watch.name, path=path)

    def _note_problem(self, name: str, why: str) -> None:
        """Keep the error among the problems, and log it each time that it changes."""
        problem = f"Watch {name}: {why.rstrip('.')}."
        if self.problems.get(name) != problem:
            log.error("cannot be attested", watch=name, error=problem)
        self.problems[name] = problem
