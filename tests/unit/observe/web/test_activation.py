"""Sockets that systemd opens for the daemon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from checkpointd.observe.web.activation import (
    address,
    inherited_sockets,
    internet,
    is_at,
    local,
    numeric,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHILD = """
import os, socket, sys
os.environ["LISTEN_PID"] = sys.argv[1] or str(os.getpid())
from checkpointd.observe.web.activation import inherited_sockets
found = inherited_sockets()
print([s.family.name for s in found], [s.get_inheritable() for s in found])
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """What systemd would pass on: two addresses, a path, and what listens nowhere."""
    made = [
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("0.0.0.0", 0)),  # noqa: S104 - for a moment, and nobody is told
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    ]
    made[2].bind(str(tmp_path / "control.sock"))
    made[2].listen()
    yield made
    for sock in made:
        sock.close()


def as_service(sockets: list[socket.socket], pid: str) -> list[str]:
    """What a process finds that is started with these sockets as systemd does it."""
    numbers = [sock.fileno() for sock in sockets]
    shell = " ".join(f"{3 + i}<&{n}" for i, n in enumerate(os.dup(n) for n in numbers))
    high = [int(part.partition("&")[2]) for part in shell.split()]
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" "$2" {shell}', sys.executable, _CHILD, pid],
        env={**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": "a:b"},
        pass_fds=high,
        capture_output=True,
        text=True,
        check=True,
    )
    for number in high:
        os.close(number)
    return done.stdout.splitlines()


def test_a_service_takes_what_listens_and_keeps_it_from_its_children(
    sockets: list[socket.socket],
) -> None:
    """The variables go as well; what is not a listening socket is closed."""
    assert as_service(sockets, "") == [
        "['AF_INET', 'AF_INET', 'AF_UNIX'] [False, False, False]",
        "[]",
    ]


def test_what_was_meant_for_another_process_is_left_alone(sockets: list[socket.socket]) -> None:
    """A child of a service inherits its environment."""
    assert as_service(sockets, "1") == ["[] []", "[]"]


def test_without_systemd_there_is_nothing() -> None:
    """Nor with what is not a number."""
    assert inherited_sockets({}) == []
    assert inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"}) == []


def test_tcp_and_unix_sockets_are_distinguished(
    sockets: list[socket.socket], tmp_path: Path
) -> None:
    """What others can reach comes first, because it decides what has to be protected."""
    loopback, everywhere, unix, _ = sockets
    assert internet(sockets) == [everywhere, loopback]
    assert address(loopback) == f"127.0.0.1:{loopback.getsockname()[1]}"
    assert local(sockets)[0] is unix
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_at(unix, str(tmp_path / "link" / "control.sock"))
    assert not is_at(unix, str(tmp_path / "other.sock"))


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("localhost:9746", "127.0.0.1:9746"), ("[::1]:80", "[::1]:80"), ("::1:80", "[::1]:80")],
)
def test_an_address_of_the_config_is_compared_as_systemd_has_it(listen: str, expected: str) -> None:
    """Without a name, and IPv6 in brackets."""
    assert numeric(listen) == expected
