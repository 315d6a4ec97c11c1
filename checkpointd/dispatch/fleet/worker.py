"""`checkpointd worker`: a Dask worker and the owner of a local dispatcher, in one process.

Both live in the main thread's event loop: the kernel ends the interpreters when the thread that
started them ends, and with them their children. The connection to the scheduler is made again
whenever it is lost; the warm interpreters stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import socket
import uuid
from typing import TYPE_CHECKING, Any

import structlog
from distributed import Worker

from checkpointd.core.remove_tree import remove_tree
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import host_memory
from checkpointd.dispatch.fleet import task
from checkpointd.dispatch.fleet.cluster import SchedulerError, configure, probe, security_of, why
from checkpointd.dispatch.fleet.messages import ANNOUNCED, MEMORY, Member, turn
from checkpointd.dispatch.fleet.verifying import TaskHandler
from checkpointd.dispatch.local import LocalDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.config import Config

_RETRY_SECONDS = 3.0
_DELIVERY_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_MIN_MEMORY = 1 << 30

log = structlog.get_logger()


async def serve(config: Config, scratch: Path, on_ready: Callable[[str], None]) -> None:
    """Verify for the cluster until SIGTERM or SIGINT.

    Args:
        config: its [dispatch] and [worker].
        scratch: a directory for this process alone; it is emptied.
        on_ready: called with a line for systemd, whenever that changes.
    """
    configure()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    _clear(scratch)
    local = LocalDispatcher(config.worker, scratch / "children")
    host = host_name()
    handler = TaskHandler(local, host)
    task.serve_with(handler)
    # TensorFlow follows with the first checkpoint that needs it.
    warming = asyncio.create_task(local.warm(VerifySettings(skip=LOAD_CHECKS)))
    try:
        on_ready("connecting to the scheduler")
        await _until_stopped(config, scratch, host, handler, stopping, on_ready)
    finally:
        task.serve_with(None)
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await handler.stop()
        await local.close()
        _clear(scratch)


async def _until_stopped(
    config: Config,
    scratch: Path,
    host: str,
    handler: TaskHandler,
    stopping: asyncio.Event,
    on_ready: Callable[[str], None],
) -> None:
    last, settings = "", settings_of(config)
    while not stopping.is_set():
        member = _member(config, host)
        worker = _dask_worker(config, scratch, member)
        problem = await _connected(settings, worker, stopping)
        if not problem:
            last = ""
            log.info(
                "connected",
                scheduler=config.dispatch.scheduler,
                worker=member.id,
                slots=member.slots,
            )
            on_ready(f"connected to {config.dispatch.scheduler}")
            await _first(worker.finished(), stopping.wait())
            if not stopping.is_set():
                problem = "the connection was lost"
        if stopping.is_set():
            await handler.stop()
            await asyncio.sleep(_DELIVERY_SECONDS)  # what was given back is on its way
        elif problem != last:
            last = problem
            log.warning("no scheduler", scheduler=config.dispatch.scheduler, problem=problem)
            on_ready(f"waiting for {config.dispatch.scheduler}: {problem}")
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await worker.close(timeout=1, executor_wait=False)
        if not stopping.is_set():
            await _first(asyncio.sleep(_RETRY_SECONDS), stopping.wait())


async def _connected(settings: dict[str, Any], worker: Worker, stopping: asyncio.Event) -> str:
    """Connect to the scheduler; return what hinders, as a clause."""

    async def connect() -> None:
        await probe(settings)
        await worker.start()

    connecting = asyncio.ensure_future(connect())
    await _first(asyncio.shield(connecting), stopping.wait())
    if not connecting.done():
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        return "stopped"
    error = connecting.exception()
    if isinstance(error, SchedulerError):
        return str(error)
    return "" if error is None else why(error)


async def _first(*works: Any) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _member(config: Config, host: str) -> Member:
    worker = config.worker
    if isinstance(worker.memory, int):
        memory = worker.memory * worker.concurrency
    else:
        memory = max(host_memory.available_bytes(), _MIN_MEMORY)
    return Member(uuid.uuid4().hex, host, worker.concurrency, memory, worker.timeout)


def _dask_worker(config: Config, scratch: Path, member: Member) -> Worker:
    dispatch = config.dispatch
    return Worker(
        dispatch.scheduler,
        nthreads=member.slots,
        name=f"{member.host}-{member.id[:8]}",
        resources={turn(member.id): member.slots, MEMORY: member.memory},
        memory_limit=0,
        local_directory=str(scratch / "dask"),
        security=security_of(settings_of(config)),
        port=dispatch.worker_port,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        startup_information={ANNOUNCED: lambda _worker: member.announce()},
        death_timeout=30,
    )


def settings_of(config: Config) -> dict[str, Any]:
    """Return where the scheduler is, and the files for TLS."""
    tls = config.dispatch.tls
    files = None if tls is None else {key: str(path) for key, path in tls}
    return {"scheduler": config.dispatch.scheduler, "tls": files}


def _clear(scratch: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        remove_tree(scratch)
    scratch.mkdir(parents=True, mode=0o700)


def host_name() -> str:
    """Return the name of this host, in letters that every place for it takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:253] or "host"
