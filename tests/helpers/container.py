"""Runs a command as a Pod would run it: runc, the default seccomp profile, no root, no capability.

The root file system is empty and read-only; the interpreter and this checkout are mounted into it.
The profile is that of podman and CRI-O, from Debian's package golang-github-containers-common.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.helpers.cli import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

RUNC = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_PROFILE = Path("/usr/share/containers/seccomp.json")
_USER = 9746
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc")
IS_USABLE = RUNC is not None and _PROFILE.exists() and os.geteuid() == 0


@dataclass(frozen=True)
class Container:
    """A container in the making: its name, where its files are, what is mounted and forbidden.

    `volumes` maps a mount point to a directory and whether it can be written. `forbidden` are
    system calls that its profile does not allow, beyond those of the default one.
    """

    name: str
    bundle: Path
    volumes: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    forbidden: Collection[str] = ()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run checkpointd in it to its end."""
        self._prepare(arguments)
        return self._runc("run", "--bundle", str(self.bundle), self.name)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run checkpointd in it, and go on."""
        self._prepare(arguments)
        assert RUNC is not None
        with (self.bundle / "log").open("wb") as log:
            command = [RUNC, "run", "--bundle", str(self.bundle), self.name]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another checkpointd in it while it runs, as a probe or a hook does."""
        return self._runc("exec", self.name, *_command(arguments))

    def kill(self, signal: str) -> None:
        """Send a signal to its first process."""
        self._runc("kill", self.name, signal)

    def _runc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        assert RUNC is not None
        return subprocess.run(
            [RUNC, *arguments], check=False, capture_output=True, text=True, timeout=120
        )

    def _prepare(self, arguments: tuple[str, ...]) -> None:
        root = self.bundle / "rootfs"
        mounts = {one: (Path(one).resolve(), False) for one in _SYSTEM if Path(one).exists()}
        mounts |= {one: (Path(one), False) for one in (sys.base_prefix, sys.prefix, str(ROOT))}
        mounts |= self.volumes
        for place in (*mounts, "/proc", "/dev"):
            (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        for source, is_writable in self.volumes.values():
            if is_writable:
                os.chown(source, _USER, _USER)
        spec = _spec(_command(arguments), mounts, _profile(self.forbidden))
        (self.bundle / "config.json").write_text(json.dumps(spec))


def _command(arguments: tuple[str, ...]) -> list[str]:
    program = ["-m", "checkpointd", "--config", "/etc/checkpointd/config.toml"]
    return [sys.executable, *program, *arguments]


def _spec(
    command: list[str], mounts: dict[str, tuple[Path, bool]], seccomp: dict[str, Any]
) -> dict[str, Any]:
    bound = [
        {
            "destination": place,
            "type": "bind",
            "source": str(source),
            "options": ["rbind", "rw" if is_writable else "ro", "nosuid", "nodev"],
        }
        for place, (source, is_writable) in sorted(mounts.items())
    ]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": _USER, "gid": _USER},
            "args": command,
            "cwd": str(ROOT),
            "env": [
                "PATH=/usr/bin:/bin",
                "STATE_DIRECTORY=/var/lib/checkpointd",
                "PYTHONDONTWRITEBYTECODE=1",
            ],
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            *bound,
        ],
        "linux": {
            "namespaces": [{"type": one} for one in ("pid", "ipc", "uts", "mount", "network")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
            "seccomp": seccomp,
        },
    }


def _profile(forbidden: Collection[str]) -> dict[str, Any]:
    """The default profile for a container without capabilities, as the runtime resolves it."""
    found = json.loads(_PROFILE.read_text(encoding="utf-8"))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    rules = []
    for rule in found["syscalls"]:
        only, never = rule.get("includes") or {}, rule.get("excludes") or {}
        if only.get("caps") or architecture in never.get("arches", []):
            continue
        if architecture in only.get("arches", [architecture]):
            kept = {key: rule[key] for key in ("action", "args", "errnoRet") if rule.get(key)}
            names = [name for name in rule["names"] if name not in forbidden]
            rules.append({**kept, "names": names})
    return {"defaultAction": found["defaultAction"], "defaultErrnoRet": 1, "syscalls": rules}
