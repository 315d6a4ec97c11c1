"""The listening socket: what it admits, and how long it counts it."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from checkpointd.observe.web.connections import Connections, Limits
from checkpointd.observe.web.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """A TCP socket that listens on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def with_listener(
    bound: socket.socket, allowed: Limits, use: Callable[[Listener, Connections], None]
) -> list[str]:
    """Use a listener of its own on a bound socket; return what was refused."""
    refused: list[str] = []

    async def run() -> None:
        connections = Connections(allowed, lambda _sock, _address: "peer", refused.append)
        with Listener(os.dup(bound.fileno()), connections) as listener:
            use(listener, connections)

    asyncio.run(run())
    return refused


def client(bound: socket.socket) -> socket.socket:
    """A client that sends nothing."""
    return socket.create_connection(bound.getsockname())


def test_a_connection_counts_until_its_socket_is_closed(bound: socket.socket) -> None:
    """Whichever side closes it, and however far it has come."""

    def use(listener: Listener, connections: Connections) -> None:
        with client(bound):
            accepted, _ = listener.accept()
            assert connections.find(accepted.fileno()) is not None
            assert len(connections) == 1
            accepted.close()
            assert len(connections) == 0

    assert with_listener(bound, Limits(2, 2), use) == []


def test_one_that_is_not_admitted_is_closed_at_once(bound: socket.socket) -> None:
    """Asyncio takes ConnectionAbortedError for "nothing to accept now"."""

    def use(listener: Listener, connections: Connections) -> None:
        with client(bound), client(bound) as second:
            accepted, _ = listener.accept()
            found = connections.find(accepted.fileno())
            assert found is not None
            found.begin(asyncio.get_running_loop().time())
            with pytest.raises(ConnectionAbortedError):
                listener.accept()
            assert second.recv(1) == b""
            assert len(connections) == 1
            accepted.close()

    assert with_listener(bound, Limits(1, 1), use) == ["connections"]


def test_a_lack_of_file_descriptors_is_reported_once_for_each_pause(bound: socket.socket) -> None:
    """Asyncio pauses after the first error, but calls on as often as its backlog is long."""

    def use(listener: Listener, _connections: Connections) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with client(bound):
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                for _pause in range(2):
                    with pytest.raises(OSError, match="Too many open files") as caught:
                        listener.accept()
                    assert caught.value.errno == errno.EMFILE
                    with pytest.raises(ConnectionAbortedError):
                        listener.accept()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            accepted, _ = listener.accept()
            accepted.close()

    assert with_listener(bound, Limits(2, 2), use) == []
