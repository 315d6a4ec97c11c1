"""The texts of the files, from what ships and what the config names; all functions are pure."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from typing import TYPE_CHECKING

from checkpointd.systemd.shipped import LISTEN, PROGRAM, STATE_DIR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.systemd.layout import Layout

PLAIN = re.compile(r"/[A-Za-z0-9/._+@=:,~-]+( -m checkpointd)?", re.ASCII)
"""A path that needs no quoting in a unit."""

_OWN_KEYS = frozenset(
    re.findall(
        r"\w+",
        """
        Type NotifyAccess WatchdogSec ExecStart ExecReload Restart RestartSec
        RestartPreventExitStatus KillMode TimeoutStopSec UMask Nice CPUSchedulingPolicy
        CPUWeight IOSchedulingClass IOWeight OOMScoreAdjust OOMPolicy MemoryHigh MemoryMax
        MemorySwapMax TasksMax LimitCORE NoNewPrivileges RestrictSUIDSGID
        RestrictNamespaces RestrictRealtime LockPersonality RestrictAddressFamilies
        SystemCallArchitectures SystemCallErrorNumber SystemCallFilter Description
        StartLimitIntervalSec StartLimitBurst Requires After ListenStream SocketMode
        DirectoryMode WantedBy
        """,
    )
)
"""What a user's own systemd can do without privileges."""


def unit(text: str, layout: Layout, program: str, state_dir: str, listen: str) -> str:
    """Return a unit of the service, with this program and these places.

    Args:
        text: the unit that ships.
        layout: of the service.
        program: what the unit starts.
        state_dir: where the control socket is.
        listen: the address of the status page.
    """
    text = text.replace(PROGRAM, program)
    if layout.is_own:
        text = _own(text, layout)
    if "%i" not in text:
        text = text.replace(f"ListenStream={STATE_DIR}/", f"ListenStream={state_dir}/")
        text = text.replace(f"ListenStream={LISTEN}", f"ListenStream={listen}")
    return text


def _own(text: str, layout: Layout) -> str:
    """Return what of a unit a user's own systemd can carry out."""
    kept = []
    for line in text.splitlines():
        key, found, value = line.partition("=")
        if line.startswith("#") or (found and key not in _OWN_KEYS):
            continue
        if key == "After" and ".target" in value:
            continue
        kept.append(line)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)) + "\n"
    text = text.replace("/etc/checkpointd/config.toml", layout.config)
    text = text.replace("multi-user.target", "default.target")
    return re.sub(r"^SocketMode=.*$", "SocketMode=0600", text, flags=re.MULTILINE)


def directories(
    roots: Iterable[str],
    writable: Sequence[str],
    groups: Sequence[str],
    *,
    has_hooks: bool = False,
    scheduler: str = "",
    has_buckets: bool = False,
) -> str:
    """Return the drop-in with what the config names.

    Args:
        roots: of the watches; the service waits for their mounts.
        writable: what the service writes in addition to its state.
        groups: whose members may read the roots, where not everybody may.
        has_hooks: whether there are hooks, which may connect to this host.
        scheduler: the host of the Dask scheduler, which the service connects to; or empty.
        has_buckets: whether there are buckets, which are on other hosts.
    """
    lines = [
        "# What the config names: after a change there, run `checkpointd systemd install` again.",
    ]
    named = " ".join(quoted(root) for root in roots)
    if named:
        lines += ["[Unit]", f"RequiresMountsFor={named}"]
    if writable or groups or has_hooks or has_buckets or scheduler:
        lines += ["", "[Service]"]
    lines += [f"ReadWritePaths={quoted('-' + path)}" for path in writable]
    if groups:
        lines.append(f"SupplementaryGroups={' '.join(groups)}")
    if has_hooks or has_buckets or scheduler:
        lines.append("RestrictAddressFamilies=AF_INET AF_INET6")
    if has_buckets:
        lines.append("IPAddressAllow=any")
    else:
        lines += ["IPAddressAllow=localhost"] if has_hooks else []
        lines += [f"IPAddressAllow={_address(scheduler)}"] if scheduler else []
    return "\n".join(lines) + "\n"


def _address(host: str) -> str:
    """Return what systemd may let through: addresses alone; a name may have any."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "localhost" if host == "localhost" else "any"


def listen_drop_in(listen: str, state_dir: str = "") -> str:
    """Return the drop-in of a socket: the address of the status page.

    Args:
        listen: the address.
        state_dir: where the control socket is, if the unit's own places are to be replaced.
    """
    places = ["", f"{state_dir}/control.sock", listen] if state_dir else [listen]
    return (
        "# The address is that of [web] listen in the config: after a change there, run\n"
        "# `checkpointd systemd install` again.\n[Socket]\n"
        + "".join(f"ListenStream={place}\n" for place in places)
    )


def quoted(path: str) -> str:
    """Return a path as units have it."""
    text = path.replace("%", "%%")
    if re.search(r"[\s\"'\\]", text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def tmpfiles(layout: Layout, group: str) -> str:
    """Return the directories of an instance, as `tmpfiles.d` has them."""
    return (
        f"# The directories of {layout.unit}, with the modes that the unit declares.\n"
        f"d {layout.config_dir} 0750 root {group}\n"
        f"z {layout.config} 0640 root {group}\n"
        f"d {layout.state_dir} 0700 {layout.user} {group}\n"
    )


def config(watches: Sequence[str], state_dir: str, listen: str) -> str:
    """Return a first config: it watches some directories and deletes nothing.

    Args:
        watches: the directories.
        state_dir: is named if it is not the one that the program finds by itself.
        listen: the same for the address of the status page.
    """
    parts = ["# `checkpointd docs configuration` explains every key. Nothing is deleted by this.\n"]
    if state_dir:
        parts.append(f"[daemon]\nstate_dir = {_toml(state_dir)}\n")
    if listen:
        parts.append(f"[web]\nlisten = {_toml(listen)}\n")
    names: list[str] = []
    for path in watches:
        names.append(_name(path, names))
        parts.append(f"[[watch]]\nname = {_toml(names[-1])}\npath = {_toml(path)}\n")
    if not watches:
        parts.append(
            "# One for each directory that training jobs save into:\n"
            '# [[watch]]\n# name = "resnet"\n# path = "/data/runs/resnet"\n'
        )
    return "\n".join(parts)


def _name(path: str, taken: Sequence[str]) -> str:
    """Return the name of a watch that no other has."""
    plain = (
        re.sub(r"[^A-Za-z0-9_.-]+", "-", os.path.basename(path.rstrip("/"))).strip("-.") or "all"
    )
    plain = plain[:60]
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    return name


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
