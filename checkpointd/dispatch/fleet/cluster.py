"""Connections of distributed: with TLS and without, and its settings for our processes.

Only `client` and `worker` import this; the daemon never does.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import dask
from distributed import Client, Security
from distributed.comm import parse_host_port

from checkpointd.dispatch.fleet.handshake import CertificateError, shake_hands

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_SECONDS = 8.0


class SchedulerError(Exception):
    """The scheduler cannot be reached; the sentence says why."""


def configure() -> None:
    """Set what our processes need of distributed, before anything connects."""
    dask.config.set(
        {
            "distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS:g}s",
            "distributed.comm.timeouts.tcp": "20s",
            "distributed.comm.retry.count": 0,
            # A checkpoint's memory is that of its own process, which has a limit of its own.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "distributed.worker.profile.enabled": False,
            # Its web server has no password: nothing is served there.
            "distributed.worker.http.routes": [],
            "distributed.admin.system-monitor.disk": False,
            "distributed.admin.system-monitor.host-cpu": False,
        }
    )


def security_of(settings: Mapping[str, Any]) -> Security | None:
    """Return what both sides of a connection have to show; None for `tcp://`."""
    tls = settings.get("tls")
    if not tls:
        return None
    pair = {
        f"tls_{role}_{part}": tls[f"{part}_file"]
        for role in ("client", "worker")
        for part in ("cert", "key")
    }
    return Security(tls_ca_file=tls["ca_file"], require_encryption=True, **pair)


async def probe(settings: Mapping[str, Any]) -> None:
    """Try a connection to the scheduler: Dask itself would wait, or lose the cause of an error.

    Raises:
        SchedulerError: it cannot be reached, or one side does not accept the other's certificate.
    """
    address = parse_host_port(settings["scheduler"].partition("://")[2])
    try:
        await asyncio.to_thread(shake_hands, address, settings.get("tls"))
    except CertificateError as error:
        raise SchedulerError(f"the certificates do not fit: {error}") from None
    except (OSError, ValueError) as error:
        raise SchedulerError(why(error)) from None


async def connect(settings: Mapping[str, Any]) -> Client:
    """Connect to the scheduler.

    Raises:
        SchedulerError: it cannot be reached, or does not accept our certificate.
    """
    scheduler = settings["scheduler"]
    try:
        await probe(settings)
        client = Client(
            scheduler,
            asynchronous=True,
            security=security_of(settings),
            timeout=_CONNECT_SECONDS,
            set_as_default=False,
            name="checkpointd",
        )
        await client
    except SchedulerError as error:
        raise SchedulerError(f"{scheduler} cannot be reached: {error}.") from None
    except (OSError, TimeoutError, ValueError) as error:
        raise SchedulerError(f"{scheduler} cannot be reached: {why(error)}.") from None
    return client


def why(error: BaseException) -> str:
    """Explain an error of a connection, as a clause: its innermost cause."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{os.fsdecode(error.filename)} does not exist"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:300]
