"""A real Dask scheduler and real workers of checkpointd on this machine, with TLS or without."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psutil

from checkpointd.core.request import Answer, End
from checkpointd.dispatch.fleet.messages import Member, encode_answer
from checkpointd.dispatch.fleet.outcomes import judge
from tests.helpers.daemon import eventually
from tests.helpers.tls import pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.core.report import Report
    from checkpointd.core.request import Request
    from checkpointd.core.verdict import Verdict
    from tests.helpers.tls import Pair

MEMBER = Member("0" * 32, "gpu1", 1, 1 << 30, 60.0)
_ENVIRONMENT = {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]"}


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class FleetWorker:
    """One `checkpointd worker`, with a config and a state directory of its own."""

    home: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "checkpointd", "--config", str(self.home / "config.toml")]
        with (self.home / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "worker"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def events(self) -> list[dict[str, Any]]:
        """Its log, line by line."""
        found = []
        for line in (self.home / "worker.log").read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    @property
    def id(self) -> str:
        """The id under which it is connected, or was last."""
        connected = [one["worker"] for one in self.events() if one.get("event") == "connected"]
        return connected[-1] if connected else ""

    def children(self) -> list[psutil.Process]:
        """The interpreters that it has started, and their children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; wait for its end after one that ends it."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(30)

    def close(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()


@dataclass
class Fleet:
    """A scheduler, and workers.

    `files` are CA and certificate by name; empty for `tcp://`.
    """

    home: Path
    port: int
    ca: Pair | None = None
    own: Pair | None = None
    workers: list[FleetWorker] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return f"{'tls' if self.ca else 'tcp'}://127.0.0.1:{self.port}"

    @property
    def config(self) -> str:
        """What a daemon or a worker needs to be part of it."""
        text = f'[dispatch]\nengine = "dask"\nscheduler = "{self.address}"\n'
        if self.ca is not None and self.own is not None:
            text += (
                f'[dispatch.tls]\nca_file = "{self.ca.cert}"\ncert_file = "{self.own.cert}"\n'
                f'key_file = "{self.own.key}"\n'
            )
        return text

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it listens."""
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
        command += ["--host", self.address, "--dashboard-address", "127.0.0.1:0"]
        if self.ca is not None and self.own is not None:
            command += ["--tls-ca-file", str(self.ca.cert), "--tls-cert", str(self.own.cert)]
            command += ["--tls-key", str(self.own.key)]
        with (self.home / "scheduler.log").open("ab") as log:
            self.scheduler = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env={**os.environ, **_ENVIRONMENT},
            )
        eventually("the scheduler to listen", self._listens, 60.0)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill_scheduler(self) -> None:
        """Kill it."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait(30)

    def add_worker(self, more: str = "") -> FleetWorker:
        """Make a worker, and start it; `more` is added to its config."""
        home = self.home / f"worker{len(self.workers)}"
        home.mkdir()
        base = '[daemon]\nstate_dir = "state"\nlog_format = "json"\n'
        (home / "config.toml").write_text(f"{base}{self.config}{more}")
        worker = FleetWorker(home)
        self.workers.append(worker)
        worker.start()
        return worker

    def connected(self) -> None:
        """Wait until every worker that runs is connected."""
        for worker in self.workers:
            eventually("a worker to connect", lambda worker=worker: worker.id, 60.0)

    def worker_of(self, member_id: str) -> FleetWorker | None:
        """Return the worker that has an id."""
        return next((one for one in self.workers if one.id == member_id), None)

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.close()
        if self.scheduler is not None and self.scheduler.poll() is None:
            self.kill_scheduler()


@contextlib.contextmanager
def fleet_in(home: Path, workers: int = 0, *, tls: bool = True) -> Iterator[Fleet]:
    """A scheduler with some workers, all connected; ended afterwards."""
    ca = own = None
    if tls:
        ca = pair(home, "ca")
        own = pair(home, "fleet", ca)
    fleet = Fleet(home, free_port(), ca, own)
    try:
        fleet.start_scheduler()
        for _ in range(workers):
            fleet.add_worker()
        fleet.connected()
        yield fleet
    finally:
        fleet.close()


def verdict_of(answer: Answer) -> tuple[Verdict, str]:
    """The verdict of an answer that must have one, and its reason."""
    assert answer.end is End.DONE, answer
    assert answer.report is not None
    return answer.report.verdict, answer.report.reason


def as_answered(request: Request, report: Report) -> Report:
    """The report that a daemon makes of what a worker sends about this one."""
    sent = encode_answer(MEMBER.host, Answer(End.DONE, "", report)).decode()
    found = judge(request, MEMBER, sent, report.duration_seconds)
    assert isinstance(found, Answer), found
    assert found.report is not None
    return replace(found.report, finished_at=report.finished_at)
