"""Runs the demo: starts the daemon and the training job, and prints each verdict as it comes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from checkpointd.demo import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """\
[daemon]
state_dir = "state"

[web]
listen = "127.0.0.1:{port}"

[[watch]]
name = "demo"
path = "runs"
settle = "1s"
torn_after = "6s"

[watch.retention]
mode = "enforce"
keep_last = 3
keep_min_valid = 2
min_age = "1s"
"""

_START_SECONDS = 60.0
_SETTLE_SECONDS = 60.0
_POLL_SECONDS = 0.2
_COLOURS = {"valid": "green", "invalid": "red", "inconclusive": "yellow"}


class DemoError(Exception):
    """The demo cannot go on; the message explains why and where to look."""


@dataclass
class DemoRun:
    """The processes of a demo and what they reported."""

    directory: Path
    console: Console
    daemon: subprocess.Popen[bytes] | None = None
    url: str = ""
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    reported: set[tuple[str, float]] = field(default_factory=set)
    pruned: set[str] = field(default_factory=set)

    def get(self, path: str) -> Any:
        """Ask the daemon's JSON API."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def follow(self) -> None:
        """Print what has happened since the last call."""
        present = self.get("/api/v1/checkpoints?limit=1000")
        pruned = self.get("/api/v1/checkpoints?limit=1000&state=trashed")
        for entry in sorted(present + pruned, key=lambda e: e["verified_at"] or 0.0):
            relative = os.path.relpath(entry["path"], self.directory / "runs")
            when = entry["verified_at"]
            if entry["verdict"] is None or when is None or (relative, when) in self.reported:
                continue
            self.reported.add((relative, when))
            self.verdicts[relative] = entry
            self._print_verdict(relative, entry)
        for relative in (os.path.relpath(e["path"], self.directory / "runs") for e in pruned):
            if relative not in self.pruned:
                self.pruned.add(relative)
                self.console.print(
                    f"[dim]pruned       {relative}: in the trash, can be restored[/]"
                )

    def _print_verdict(self, relative: str, entry: dict[str, Any]) -> None:
        verdict = entry["verdict"]
        mistake = expect.mistake_in(relative, verdict, entry["reason"], entry["shown"])
        if mistake:
            self.mistakes.append(f"{relative}: {mistake}")
        colour = _COLOURS[verdict]
        shown = ", ".join(entry["shown"])
        text = f"{entry['reason']}: {entry['message']}" if verdict != "valid" else shown
        self.console.print(
            f"[{colour}]{verdict:<12}[/] {relative}  [dim]{entry['duration_seconds']:.2f} s[/]"
        )
        self.console.print(f"             [dim]{text}[/]", markup=True)
        if mistake:
            self.console.print(f"             [bold red]wrong: {mistake}[/]")


def main(exit_at_end: bool) -> int:
    """Run the demo.

    Args:
        exit_at_end: end when the job has ended and all is verified, else go on until Ctrl-C.

    Returns:
        0 if every verdict was the right one.
    """
    console = Console(highlight=False, soft_wrap=True)
    directory = Path(tempfile.mkdtemp(prefix="checkpointd-demo-"))
    run = DemoRun(directory, console)
    try:
        return _play(run, exit_at_end=exit_at_end)
    except DemoError as error:
        console.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(run.daemon)
        shutil.rmtree(directory, ignore_errors=True)


def _play(run: DemoRun, *, exit_at_end: bool) -> int:
    console = run.console
    runs = run.directory / "runs"
    runs.mkdir()
    console.print(f"A training job and its daemon in [bold]{run.directory}[/]")
    _start_daemon(run)
    console.print(f"Daemon up: status page {run.url}/  metrics {run.url}/metrics")
    console.print(
        "Training takes about 30 s, once the job has imported TensorFlow; every checkpoint that it "
        "saves is verified beside it:\n"
    )
    for module, arguments in (
        ("checkpointd.demo.train", [str(runs)]),
        ("checkpointd.demo.spoil", [str(runs), str(runs / "spoiled")]),
    ):
        for _ in _running(run, module, arguments):
            run.follow()
    _settle(run)
    _summary(run)
    if not exit_at_end:
        console.print("\nThe daemon keeps running; press Ctrl-C to stop it and remove everything.")
        with contextlib.suppress(KeyboardInterrupt):
            while run.daemon is not None and run.daemon.poll() is None:
                time.sleep(1)
                run.follow()
    return 1 if run.mistakes else 0


def _start_daemon(run: DemoRun) -> None:
    config = run.directory / "config.toml"
    config.write_text(_CONFIG.format(port=_free_port()), encoding="utf-8")
    log = run.directory / "daemon.log"
    with log.open("wb") as output:
        run.daemon = subprocess.Popen(
            [sys.executable, "-m", "checkpointd", "--config", str(config), "run"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    port = config.read_text(encoding="utf-8").split("127.0.0.1:")[1].split('"')[0]
    run.url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if run.daemon.poll() is not None:
            raise DemoError(f"The daemon ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(urllib.error.URLError, OSError):
            run.get("/api/v1/status")
            return
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"The daemon did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _running(run: DemoRun, module: str, arguments: list[str]) -> Iterator[None]:
    """Yield while a process of the training job runs."""
    log = run.directory / f"{module.rpartition('.')[2]}.log"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    try:
        while process.poll() is None:
            yield
            time.sleep(_POLL_SECONDS)
    finally:
        _stop(process)
    if process.returncode:
        raise DemoError(f"The training job failed:\n{log.read_text(errors='replace')[-2000:]}")


def _settle(run: DemoRun) -> None:
    """Wait until every expected checkpoint has its verdict and nothing is left in the queue."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        run.follow()
        status = run.get("/api/v1/status")
        idle = status["queue"]["length"] == 0 and not any(w["busy"] for w in status["workers"])
        if idle and not expect.missing(set(run.verdicts)) and run.pruned:
            break
        time.sleep(_POLL_SECONDS)
    run.follow()
    run.mistakes += [f"no verdict: {what}" for what in expect.missing(set(run.verdicts))]
    if not run.pruned:
        run.mistakes.append("nothing was pruned")


def _summary(run: DemoRun) -> None:
    table = Table(title="Results", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("checkpoint", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("shown, or the reason", no_wrap=True)
    for relative in sorted(run.verdicts):
        entry = run.verdicts[relative]
        verdict = entry["verdict"]
        pruned = relative in run.pruned
        table.add_row(
            f"[strike]{relative}[/]" if pruned else relative,
            f"[{_COLOURS[verdict]}]{verdict}[/]" + (", pruned" if pruned else ""),
            ", ".join(entry["shown"]) if verdict == "valid" else entry["reason"],
        )
    console = run.console
    console.print()
    console.print(table)
    console.print(f"metrics      {run.url}/metrics")
    console.print(f"status page  {run.url}/")
    if run.mistakes:
        console.print("\n[bold red]Not every verdict was the right one:[/]")
        for mistake in run.mistakes:
            console.print(f"  {mistake}")
    else:
        console.print(
            f"[green]All {len(run.verdicts)} verdicts were correct, "
            f"{len(run.pruned)} old checkpoints were pruned.[/]"
        )


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
