"""Which files a service needs, and what has to be done with each; changes nothing."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.systemd import render
from checkpointd.systemd.shipped import LISTEN, STATE_DIR, shipped
from checkpointd.systemd.stamp import body, is_untouched, stamped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.systemd.layout import Layout

LINK = "/usr/local/bin/checkpointd"
"""Where shells look for the program."""


class Step(enum.Enum):
    """What has to be done with a file."""

    WRITE = "write"
    UPDATE = "update"
    NOTHING = "unchanged"
    KEEP = "keep"


@dataclass(frozen=True)
class File:
    """A file as it should be; the config belongs to the user from the moment it is there."""

    path: str
    text: str
    mode: int = 0o644
    is_config: bool = False

    @property
    def content(self) -> str:
        """What is written."""
        return self.text if self.is_config else stamped(self.text)


@dataclass(frozen=True)
class Named:
    """What the config names: where the service answers, and what it reads and writes.

    `scheduler` is the host of the Dask scheduler that it connects to; empty for none.
    """

    state_dir: str
    listen: str
    roots: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    has_hooks: bool = False
    scheduler: str = ""
    has_buckets: bool = False


def step(file: File, existing: str | None) -> Step:
    """Decide about a file.

    Args:
        file: as it should be.
        existing: what is on disk; None if nothing is.
    """
    if existing is None:
        return Step.WRITE
    if file.is_config or body(existing) == file.text:
        return Step.NOTHING
    return Step.UPDATE if is_untouched(existing) else Step.KEEP


def units(layout: Layout, program: str, named: Named) -> list[File]:
    """The units of a service, without its drop-ins."""
    names = [f"{layout.template}.service", f"{layout.template}.socket"]
    if not layout.is_own:
        names.append("checkpointd.slice")
    return [
        File(
            f"{layout.unit_dir}/{name}",
            render.unit(shipped(name), layout, program, named.state_dir, named.listen),
        )
        for name in names
    ]


def drop_ins(layout: Layout, named: Named, *, packaged: bool = False) -> list[File]:
    """What of the config the units have to know.

    Args:
        layout: of the service.
        named: by the config.
        packaged: whether the units belong to a distribution's package and stay as they are.
    """
    base = f"{layout.unit_dir}/{layout.unit}"
    names = []
    if not layout.is_own:
        text = render.directories(
            named.roots,
            named.writable,
            named.groups,
            has_hooks=named.has_hooks,
            scheduler=named.scheduler,
            has_buckets=named.has_buckets,
        )
        names.append(File(f"{base}.service.d/directories.conf", text))
    is_instance = layout.template != layout.unit
    if is_instance or (packaged and (named.state_dir, named.listen) != (STATE_DIR, LISTEN)):
        control = "" if is_instance else named.state_dir
        text = render.listen_drop_in(named.listen, control)
        names.append(File(f"{base}.socket.d/listen.conf", text))
    return names


def accounts(layout: Layout, group: str, *, packaged: bool = False) -> list[File]:
    """The user and the directories of a service, for systemd-sysusers and systemd-tmpfiles.

    Args:
        layout: of the service.
        group: the first group of its user.
        packaged: whether those of the host's own service are in a distribution's package.
    """
    if layout.template != layout.unit:
        name = f"/etc/tmpfiles.d/checkpointd-{layout.user}.conf"
        return [File(name, render.tmpfiles(layout, group))]
    if layout.is_own or packaged:
        return []
    return [
        File("/etc/sysusers.d/checkpointd.conf", shipped("checkpointd.sysusers")),
        File("/etc/tmpfiles.d/checkpointd.conf", shipped("checkpointd.tmpfiles")),
    ]


def first_config(layout: Layout, watches: Sequence[str], listen: str) -> File:
    """The config of a service that has none."""
    is_host = layout.template == layout.unit and not layout.is_own
    text = render.config(
        [os.path.abspath(path) for path in watches],
        "" if is_host else layout.state_dir,
        "" if is_host else listen,
    )
    return File(layout.config, text, mode=0o600 if layout.is_own else 0o640, is_config=True)
