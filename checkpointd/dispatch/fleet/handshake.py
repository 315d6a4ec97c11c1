"""Tries a connection to the scheduler up to the point where both sides have seen the certificates.

With the standard library alone: distributed loses the alert by which a certificate is refused.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = 5.0


class CertificateError(Exception):
    """One side does not accept the other's certificate; the text is a clause."""


def shake_hands(address: tuple[str, int], tls: Mapping[str, str] | None) -> None:
    """Connect, and disconnect.

    Args:
        address: host and port of the scheduler.
        tls: `ca_file`, `cert_file` and `key_file`; None for a connection without TLS.

    Raises:
        CertificateError: one side does not accept the other's certificate.
        OSError: it does not answer, or a file cannot be read.
    """
    with socket.create_connection(address, timeout=_SECONDS) as connection:
        if not tls:
            return
        try:
            context = ssl.create_default_context(cafile=tls["ca_file"])
            context.check_hostname = False  # as Dask: any certificate of this CA is trusted
            context.load_cert_chain(tls["cert_file"], tls["key_file"])
            with context.wrap_socket(connection) as secured:
                # What the server thinks of our certificate comes after the handshake.
                if not secured.recv(1):
                    raise CertificateError("the scheduler closed the connection")
        except ssl.SSLError as error:
            raise CertificateError(error.reason or str(error)) from None
        except ConnectionResetError:
            raise CertificateError("the scheduler closed the connection") from None
