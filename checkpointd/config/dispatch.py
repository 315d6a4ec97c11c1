"""`[dispatch]`: which hosts verify, and how they are reached."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from checkpointd.config.locate import absolute
from checkpointd.config.section import Section
from checkpointd.config.types import Flag, Location, Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Loc = tuple[str | int, ...]

_SCHEDULER = re.compile(r"(tls|tcp)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", re.ASCII)
_MAX_PORT = 65535


def _scheduler(value: str) -> str:
    match = _SCHEDULER.fullmatch(value)
    if match is None or not 0 < int(match[3]) <= _MAX_PORT:
        raise ValueError('expected "tls://host:port", such as "tls://scheduler.example.org:8786"')
    return value


Scheduler = Annotated[Text, AfterValidator(_scheduler)]
Port = Annotated[int, Field(strict=True, ge=0, le=_MAX_PORT)]


class DispatchTlsSettings(Section):
    """`[dispatch.tls]`: the certificate by which this host is let into the cluster, and its CA."""

    cert_file: Location
    """PEM: the certificate of this host, then those between it and the CA."""

    key_file: Location
    """Its private key; only owner and group may be able to read it."""

    ca_file: Location
    """The CA of the scheduler, the workers and the daemons; no other certificate is accepted."""


class DispatchSettings(Section):
    """`[dispatch]`: who verifies; the daemon and `checkpointd worker` read the same section."""

    engine: Literal["local", "dask"] = "local"
    """`local`: this host. `dask`: the hosts on which `checkpointd worker` runs."""

    scheduler: Scheduler | None = None
    """The address of the Dask scheduler, `"tls://host:port"`."""

    allow_plaintext: Flag = False
    """Accept `tcp://` for a scheduler on another host: anybody in between can run code here."""

    worker_port: Port = 0
    """The port on which `checkpointd worker` listens for the cluster; 0: any that is free."""

    tls: DispatchTlsSettings | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the scheduler.

        Raises:
            ValueError: there is none.
        """
        match = _SCHEDULER.fullmatch(self.scheduler or "")
        if match is None:
            raise ValueError("there is no scheduler")
        return match[2].strip("[]"), int(match[3])

    def resolved(self, base: Path) -> DispatchSettings:
        """With absolute paths; what is relative is relative to `base`."""
        tls = self.tls
        if tls is None:
            return self
        paths = {key: absolute(path, base) for key, path in tls}
        return self.model_copy(update={"tls": DispatchTlsSettings(**paths)})


def dispatch_errors(dispatch: Any) -> Iterator[tuple[Loc, str]]:
    """Yield the key and the message of each contradiction in the raw section."""
    if not isinstance(dispatch, dict):
        return
    match = _SCHEDULER.fullmatch(str(dispatch.get("scheduler", "")))
    if dispatch.get("engine") == "dask" and "scheduler" not in dispatch:
        message = 'needs scheduler = "tls://host:port", the address of the Dask scheduler'
        yield ("dispatch", "engine"), message
    if match is None:
        return
    if dispatch.get("engine", "local") == "local":
        yield ("dispatch", "scheduler"), 'is not used: add engine = "dask"'
    if match[1] == "tls" and "tls" not in dispatch:
        message = "needs [dispatch.tls] with cert_file, key_file and ca_file"
        yield ("dispatch", "scheduler"), message
    if match[1] == "tcp" and "tls" in dispatch:
        yield ("dispatch", "tls"), "is not used with tcp://: write tls:// in scheduler"
    elif match[1] == "tcp" and not _is_loopback(match[2]) and not dispatch.get("allow_plaintext"):
        message = (
            "tcp:// is neither encrypted nor authenticated, and anyone who reaches the scheduler "
            "runs code on every worker: use tls://, or allow_plaintext = true in a network that "
            "nobody else can reach"
        )
        yield ("dispatch", "scheduler"), message


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
