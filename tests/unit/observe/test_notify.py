"""The word to systemd, heard on a real datagram socket."""

from __future__ import annotations

import os
import secrets
import socket
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.observe.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket and its name in NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        name = f"@checkpointd-{secrets.token_hex(8)}"
        if request.param == "path":
            name = str(tmp_path / "notify")
            sock.bind(name)
        else:
            sock.bind("\0" + name[1:])
        yield sock, name


def received(sock: socket.socket) -> list[str]:
    """The assignments of one datagram."""
    return sock.recv(4096).decode().split("\n")


def test_each_word_arrives_as_one_datagram(manager: tuple[socket.socket, str]) -> None:
    """READY, STATUS, WATCHDOG, RELOADING with its time, STOPPING, and more time."""
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.enabled
    assert notifier.ready("watching 2 directories")
    assert received(sock) == ["READY=1", "STATUS=watching 2 directories"]
    notifier.status("line one\nWATCHDOG=1 \udcff")
    assert received(sock) == ["STATUS=line one WATCHDOG=1 \\xff"]
    notifier.watchdog()
    assert received(sock) == ["WATCHDOG=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    word, stamp = received(sock)
    assert word == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 10_000_000
    notifier.extend(1.5)
    assert received(sock) == ["EXTEND_TIMEOUT_USEC=1500000"]
    notifier.stopping()
    assert received(sock) == ["STOPPING=1"]
    notifier.close()
    assert not notifier.watchdog()


def test_children_do_not_inherit_the_right_to_speak(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables leave the process's environment and the socket closes on exec."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager[1])
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    notifier = Notifier()
    assert "NOTIFY_SOCKET" not in os.environ
    assert "WATCHDOG_USEC" not in os.environ
    assert notifier._socket is not None
    assert not os.get_inheritable(notifier._socket.fileno())
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_per_interval_if_it_is_ours(
    environ: dict[str, str], interval: float | None
) -> None:
    """Half of what systemd allows; nothing if it watches another process."""
    assert Notifier(dict(environ)).watchdog_interval == interval


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "vsock:2:1234", "relative"])
def test_without_a_manager_nothing_happens(name: str) -> None:
    """A terminal, a container, or a manager that is gone: every word is a no-op."""
    notifier = Notifier({"NOTIFY_SOCKET": name} if name else {})
    assert not notifier.enabled
    assert not notifier.ready("x")


def test_a_manager_that_goes_away_does_no_harm(tmp_path: Path) -> None:
    """The daemon outlives the process that listened."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert notifier.enabled
    assert not notifier.watchdog()
    notifier.close()
