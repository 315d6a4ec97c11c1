"""TLS for the server: each connection gets the certificate that is in use when it comes.

Reloading the files into the context of the server would leave it without a usable certificate
while only one of certificate and key is new, and a CA that was added cannot be taken out again.
So a whole new context, which has been tried, takes the place of the old one.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.observe.web.connections import Refused


class CurrentContext(ssl.SSLContext):
    """Stands for another context, requested by each connection.

    Args:
        current: returns the context; None while TLS is being switched off.
        refused: is called with `tls` for each handshake that fails.
    """

    def __new__(cls, *_args: object) -> Self:
        """Make it as a server's."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, current: Callable[[], ssl.SSLContext | None], refused: Refused) -> None:
        class Counted(ssl.SSLObject):
            def do_handshake(self) -> None:
                try:
                    super().do_handshake()
                except ssl.SSLWantReadError:
                    raise
                except ssl.SSLError:
                    refused("tls")
                    raise

        self._object_class = Counted
        self._current = current
        self._last: ssl.SSLContext | None = None

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Start TLS on a connection; asyncio calls it for each one."""
        self._last = self._current() or self._last
        if self._last is None:
            raise ssl.SSLError("no certificate is in use")
        self._last.sslobject_class = self._object_class
        return self._last.wrap_bio(*args, **options)
