"""A real daemon that copies to a bucket of a real S3 server, and prunes after that alone."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("obstore")

from checkpointd.buckets import BucketClient
from checkpointd.core.urls import parse_url
from tests.helpers.bundles import write_bundle
from tests.helpers.daemon import SCANNING, Daemon, daemon_in, eventually
from tests.helpers.formats import savedmodel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.s3 import S3Server

POLICY = """
replicate = { to = "URL" }
[watch.retention]
mode = "enforce"
confirm = "never"
min_age = "1ms"
keep_last = 1
keep_min_valid = 1
max_removals_percent = 100
"""
ENDS = (".index", ".data-00000-of-00001")
GAUGES = ("replication_waiting", "replication_oldest_timestamp_seconds", "replicated_total")


class Copied:
    """The daemon, and what the bucket has of its watch."""

    def __init__(self, daemon: Daemon, server: S3Server, name: str) -> None:
        self.daemon = daemon
        self.server = server
        self.began = time.time() - 3600
        self.prefix = f"{name}/"
        self.to = server.url(name)
        self.client = BucketClient(parse_url(self.to))

    def save(self, name: str) -> Path:
        """Save `ckpt-N`: values of its own, N minutes after some time; the index comes last."""
        path, number = self.daemon.runs / name, int(name.rpartition("-")[2])
        path.parent.mkdir(exist_ok=True)
        made = write_bundle(self.daemon.home / path.name, {b"kernel": np.float32([number, 1])})
        for file in made:
            os.utime(file, (self.began + number * 60,) * 2)
            file.rename(path.parent / file.name)
        return path

    def content(self, name: str) -> bytes:
        """The bytes of an object."""
        head = self.client.head(self.prefix + name)
        return b"".join(map(bytes, self.client.stream(head)))

    def status(self) -> dict[str, Any]:
        """What the status says about the copies."""
        found: dict[str, Any] = self.daemon.status()["watches"][0]["replication"]
        return found

    def until_copied(self, *paths: Path) -> None:
        """Wait until these were copied since the start."""

        def is_copied(path: Path) -> bool:
            return any(
                e["event"] == "copied" and e["path"] == str(path) for e in self.daemon.events()
            )

        for path in paths:
            try:
                eventually(f"{path} to be copied", lambda p=path: is_copied(p))
            except AssertionError as error:
                error.add_note(self.daemon.log)
                raise

    def metrics(self) -> dict[str, float]:
        """The metrics about copies, as far as there are any."""
        lines = self.daemon.text("/metrics").splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        rows = {name: found.get(f'checkpointd_{name}{{watch="runs"}}') for name in GAUGES}
        return {name: float(value) for name, value in rows.items() if value is not None}


@pytest.fixture(scope="module")
def copied(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copied]:
    """One daemon for all tests; each saves below a directory of its own."""
    home = tmp_path_factory.mktemp("daemon")
    config = SCANNING + POLICY.replace("URL", server.url("copies"))
    with daemon_in(home, config) as running:
        yield Copied(running.start(), server, "copies")
        running.stop()


def _is_pruned(copied: Copied, path: Path) -> bool:
    return copied.daemon.entry(path).get("state", "trashed") == "trashed"


def _lines(daemon: Daemon, *command: str) -> list[str]:
    return daemon.cli(*command).stdout.splitlines()


def _logged_until(daemon: Daemon, event: str, path: Path) -> list[tuple[str, str]]:
    """What was logged before an event about a path; empty if that has not come yet."""
    found = [(e["event"], e.get("path", "")) for e in daemon.events()]
    return found[: found.index((event, str(path)))] if (event, str(path)) in found else []


def _bytes(path: Path, name: str) -> bytes:
    return path.with_name(f"{path.name}{name}").read_bytes()


def _is_whole(copied: Copied, path: Path) -> bool:
    """Whether the copy has the bytes that are on disk."""
    relative = path.relative_to(copied.daemon.runs)
    return all(copied.content(f"{relative}{end}") == _bytes(path, end) for end in ENDS)


def test_each_is_copied_and_pruned_after_that_alone(copied: Copied) -> None:
    """Byte by byte, with its golden record; the status, `show` and the metrics say so."""
    daemon = copied.daemon
    before = copied.metrics()["replicated_total"]
    paths = [copied.save(f"each/ckpt-{number}") for number in (1, 2, 3)]
    savedmodel(daemon.runs / "each/export")
    copied.until_copied(*paths, daemon.runs / "each/export")
    assert _is_whole(copied, paths[2])
    model = "each/export/saved_model.pb"
    assert copied.content(model) == (daemon.runs / model).read_bytes()
    eventually("both older ones to go", lambda: all(_is_pruned(copied, p) for p in paths[:2]))
    order = eventually("the log of it", lambda: _logged_until(daemon, "pruned", paths[0]))
    assert ("copied", str(paths[0])) in order
    shown = json.loads(daemon.cli("show", str(paths[2]), "--json").stdout)["replica"]
    assert shown["url"] == f"{copied.to}/each/ckpt-3"
    assert len(shown["objects"]) == 2
    assert f"{copied.to}/each/ckpt-3, last seen" in daemon.cli("show", str(paths[2])).stdout
    assert copied.metrics()["replicated_total"] == before + 4
    listed = {r["path"]: r["copy"] for r in map(json.loads, _lines(daemon, "list", "--json"))}
    assert listed[str(paths[2])] == f"{copied.to}/each/ckpt-3"
    assert daemon.cli("trash", "empty", "--apply").returncode == 0
    lost = daemon.cli("restore", str(paths[0]))
    assert f"A copy is in {copied.to}/each/ckpt-1" in lost.stderr


def test_nothing_goes_while_the_store_is_down(copied: Copied) -> None:
    """What waits, since when and why is said; all is copied, and pruned, when it is back."""
    daemon, server = copied.daemon, copied.server
    server.stop()
    paths = [copied.save(f"down/ckpt-{number}") for number in (4, 5)]
    for path in paths:
        daemon.verdict(path)
    status = eventually("the failure", lambda: (s := copied.status())["waiting"] == 2 and s)
    eventually("the failure", lambda: "does not answer" in copied.status()["failure"])
    assert status["oldest_at"] > 0
    assert any(f"nothing is copied to {copied.to}" in text for text in daemon.status()["problems"])
    assert copied.metrics()["replication_waiting"] == 2.0
    pruned = daemon.cli("prune", "--watch", "runs", "--json").stdout
    plans = [json.loads(line) for line in pruned.splitlines()]
    assert f"it is not copied to {copied.to} yet" in json.dumps(plans)
    assert "2 wait for" in daemon.cli("status").stdout
    assert daemon.entry(paths[0])["state"] == "valid"
    server.start()
    assert daemon.cli("reload").returncode == 0  # tries it at once
    copied.until_copied(*paths)
    eventually("the older one to go", lambda: _is_pruned(copied, paths[0]))
    assert f"all valid ones are in {copied.to}" in daemon.cli("status").stdout
    assert not daemon.status()["problems"]


def test_a_daemon_that_is_killed_during_a_copy_finishes_it_after_the_start(copied: Copied) -> None:
    """What has arrived is not sent again; what somebody deleted in the bucket meanwhile is."""
    daemon, server = copied.daemon, copied.server
    lost = copied.save("lost/ckpt-1")
    copied.until_copied(lost)
    done: list[str] = []

    def kill(request: str) -> None:
        method, _, path = request.partition(" ")
        if method == "PUT" and path.endswith("killed/ckpt-6.index") and not done:
            assert daemon.process is not None
            daemon.process.kill()
            daemon.process.wait()
            done.append(request)

    server.before = kill
    try:
        path = copied.save("killed/ckpt-6")
        eventually("the daemon to be killed", lambda: done)
    finally:
        server.before = lambda _request: None
    server.delete("copies/lost/ckpt-1.index")
    before = len(server.requests)
    daemon.start()
    copied.until_copied(path, lost)
    assert _is_whole(copied, path)
    assert _is_whole(copied, lost)
    sent = [r for r in server.requests[before:] if r.startswith(("PUT", "POST"))]
    assert {request.rpartition("/")[2] for request in sent} <= {"ckpt-6.index", "ckpt-1.index"}


def test_what_is_in_the_way_keeps_the_local_one(copied: Copied) -> None:
    """It is named with its cure, others are copied meanwhile, and it goes on once it is away."""
    daemon, server = copied.daemon, copied.server
    server.put("copies/way/ckpt-7.index", b"somebody else's")
    first, second = (copied.save(f"way/ckpt-{number}") for number in (7, 8))
    copied.until_copied(second)
    what = f"{copied.to}/way/ckpt-7.index has another content and is not ours"
    eventually("the problem", lambda: what in " ".join(daemon.status()["problems"]))
    assert daemon.verdict(first)["state"] == "valid"
    assert copied.content("way/ckpt-7.index") == b"somebody else's"
    server.delete("copies/way/ckpt-7.index")
    assert daemon.cli("reload").returncode == 0
    copied.until_copied(first)
    eventually("it to go", lambda: _is_pruned(copied, first))


def test_another_destination_is_filled_from_the_start_and_the_old_one_is_known(
    copied: Copied,
) -> None:
    """By a reload; back at the old one, nothing is sent again."""
    daemon, server = copied.daemon, copied.server
    path = copied.save("moved/ckpt-1")
    copied.until_copied(path)
    config = daemon.config.read_text()
    daemon.config.write_text(config.replace(copied.to, server.url("elsewhere")))
    assert daemon.cli("reload").returncode == 0
    eventually(
        "the other copy",
        lambda: (
            json.loads(daemon.cli("show", str(path), "--json").stdout)["replica"]["url"]
            == f"{server.url('elsewhere')}/moved/ckpt-1"
        ),
    )
    before = len(server.requests)
    daemon.config.write_text(config)
    assert daemon.cli("reload").returncode == 0
    eventually("nothing to wait", lambda: daemon.entry(path) and not copied.status()["waiting"])
    assert _is_whole(copied, path)
    assert not [r for r in server.requests[before:] if r.startswith("PUT") and "/moved/" in r]
