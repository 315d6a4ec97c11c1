"""A real daemon in a process of its own, and the ways to query it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.helpers.scene import SCAN_ONLY

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE = 200.0
_POLL = 0.05

BARE = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"

[[watch]]
name = "runs"
path = "runs"
settle = "1s"
torn_after = "5s"
"""
CONFIG = BARE.replace("[[watch]]", "[worker]\nspares = 0\n\n[[watch]]")
"""Without spares, which have tests of their own: each takes 0.4 s of CPU."""
SCANNING = f"{CONFIG}verify = {{ {SCAN_ONLY} }}\n"
"""For what is not about loading: no interpreter imports TensorFlow, which takes 3 s of CPU."""


def eventually(what: str, condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait until a condition holds and return its value; fail with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(_POLL)
    raise AssertionError(f"waited {seconds:g} s in vain: {what}")


@dataclass
class Daemon:
    """A daemon on a directory that holds config.toml, state/ and runs/.

    `before` is put before its command line.
    """

    home: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    logs: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    headers: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        """The watched directory."""
        return self.home / "runs"

    @property
    def config(self) -> Path:
        """The config's path."""
        return self.home / "config.toml"

    @property
    def log(self) -> str:
        """Everything it has logged since it was last started."""
        return (self.home / "daemon.log").read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """The log, line by line."""
        events = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "checkpointd", "--config", str(self.config)]

    def start(self) -> Daemon:
        """Start it and wait until it is ready."""
        with (self.home / "daemon.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.before, *self._command, "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def started() -> str:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended at once:\n{self.log}")
            return next((e["web"] for e in self.events() if e.get("event") == "started"), "")

        self.url = eventually("the daemon to start", started)
        eventually("the first reconcile", lambda: self.status()["ready"])
        return self

    def kill(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(100)
        self.process = None
        return code

    def get(self, path: str) -> Any:
        """Ask its JSON API."""
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        """Ask for a page."""
        asked = urllib.request.Request(self.url + path, headers=self.headers)
        with urllib.request.urlopen(asked, timeout=60, context=self.tls) as answer:
            body: bytes = answer.read()
            return body.decode()

    def status(self) -> dict[str, Any]:
        """Its status."""
        status: dict[str, Any] = self.get("/api/v1/status")
        return status

    def entry(self, path: Path) -> dict[str, Any]:
        """What it knows of a checkpoint; empty if nothing."""
        rows: list[dict[str, Any]] = self.get("/api/v1/checkpoints?limit=1000")
        return next((row for row in rows if row["path"] == str(path)), {})

    def verdict(self, path: Path, seconds: float = DEADLINE) -> dict[str, Any]:
        """Wait for the verdict of a checkpoint's present content."""
        finished = {"valid", "invalid", "inconclusive", "unknown"}

        def verdict_of() -> dict[str, Any]:
            entry = self.entry(path)
            return entry if entry.get("state") in finished else {}

        found: dict[str, Any] = eventually(f"a verdict on {path}\n{self.log}", verdict_of, seconds)
        return found

    def cli(self, *arguments: str, timeout: float = 200) -> subprocess.CompletedProcess[str]:
        """Run the command line with its config, in its directory."""
        return subprocess.run(
            [*self._command, *arguments],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )


@contextlib.contextmanager
def daemon_in(home: Path, config: str = CONFIG) -> Iterator[Daemon]:
    """Give a directory a config and a daemon that is stopped afterwards."""
    (home / "runs").mkdir(exist_ok=True)
    (home / "config.toml").write_text(config)
    daemon = Daemon(home)
    try:
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
