"""The daemon's end of a zygote's control socket: notices in, and who waits for each of them."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.worker import protocol

if TYPE_CHECKING:
    from checkpointd.worker.protocol import ForkRequest, Notice


class ZygoteError(Exception):
    """A zygote was lost; the text is a clause that says how."""


class ZygoteConnection:
    """Sends fork requests and hands each notice to the future that waits for it.

    Must be used from one event loop.

    Attributes:
        ready: the first notice; set to a `ZygoteError` if the zygote ends before it.
    """

    def __init__(self, control: socket.socket) -> None:
        self._socket: socket.socket | None = control
        self._forked: dict[int, asyncio.Future[list[int]]] = {}
        self._exited: dict[int, asyncio.Future[int]] = {}
        control.setblocking(False)
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Notice] = loop.create_future()
        loop.add_reader(control, self._on_readable)

    @property
    def is_open(self) -> bool:
        """Whether the zygote still holds its end, as far as has been seen."""
        return self._socket is not None

    def send(self, request: ForkRequest, descriptors: list[int]) -> None:
        """Send a fork request together with descriptors for the child.

        Raises:
            ZygoteError: the zygote has ended.
            OSError: it does not take the request.
        """
        if self._socket is None:
            raise ZygoteError("it ended unexpectedly")
        socket.send_fds(self._socket, [protocol.encode(request)], descriptors)

    def expect_child(self, number: int) -> tuple[asyncio.Future[list[int]], asyncio.Future[int]]:
        """Return futures for a child's descriptors and for its wait status."""
        loop = asyncio.get_running_loop()
        forked: asyncio.Future[list[int]] = loop.create_future()
        exited: asyncio.Future[int] = loop.create_future()
        self._forked[number], self._exited[number] = forked, exited
        return forked, exited

    def forget_child(self, number: int) -> None:
        """Drop the futures of a child."""
        self._forked.pop(number, None)
        self._exited.pop(number, None)

    def close(self, reason: str = "it ended unexpectedly") -> None:
        """Close the socket and fail every future with this reason; again does nothing."""
        error = ZygoteError(reason)
        waiting: list[asyncio.Future[Any]] = [
            self.ready,
            *self._forked.values(),
            *self._exited.values(),
        ]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved, so that asyncio does not warn if nobody waits
        self._forked.clear()
        self._exited.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _on_readable(self) -> None:
        if self._socket is None:
            return
        descriptors: list[int] = []
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, protocol.MAX_DATAGRAM, 2)
            notice = protocol.decode_notice(data) if data else None
        except BlockingIOError:
            return
        except (OSError, decode.DecodeError):
            notice = None
        if notice is None:
            self.close()
        else:
            self._deliver(notice, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _deliver(self, notice: Notice, descriptors: list[int]) -> None:
        """Resolve the future that waits for a notice; descriptors that it takes are removed."""
        if notice.kind == "ready":
            if not self.ready.done():
                self.ready.set_result(notice)
        elif notice.kind == "exited":
            exited = self._exited.pop(notice.number, None)
            if exited is not None and not exited.done():
                exited.set_result(notice.status)
        else:
            forked = self._forked.pop(notice.number, None)
            if forked is not None and not forked.done() and descriptors:
                forked.set_result(descriptors[:])
                descriptors.clear()
