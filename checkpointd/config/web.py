"""`[web]`: where the daemon answers over TCP, and to whom."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from checkpointd.config.locate import absolute
from checkpointd.config.section import Section
from checkpointd.config.types import Location, Text

if TYPE_CHECKING:
    from pathlib import Path

_MAX_PORT = 65535
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or int(port[:9]) > _MAX_PORT or not host:
        raise ValueError('expected "host:port", such as "127.0.0.1:9746"')
    if ":" in host:
        try:
            ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ValueError('expected "host:port", IPv6 as "[::1]:9746"') from None
    return value


def _host(value: str) -> str:
    name = value.lower().rstrip(".")
    if _HOST.fullmatch(name) is None:
        raise ValueError('expected the name of a host, without a port, such as "gpu1.example.org"')
    return name


def _username(value: str) -> str:
    if ":" in value or not value.isprintable():
        raise ValueError("may contain no colon and no control character")
    return value


Address = Annotated[Text, AfterValidator(_address)]
Host = Annotated[Text, AfterValidator(_host)]
Username = Annotated[Text, AfterValidator(_username)]


class TlsSettings(Section):
    """`[web.tls]`: the certificate, and the CA of the clients that are let in."""

    cert_file: Location
    """PEM: the certificate, then those between it and the CA. Read again when it changes."""

    key_file: Location
    """Its private key; only owner and group may be able to read it."""

    client_ca_file: Location | None = None
    """Only clients with a certificate of this CA are let in."""


class BasicAuthSettings(Section):
    """`basic_auth`: the one user, named as in Prometheus' own scrape config."""

    username: Username
    """The name of the one user."""

    password_file: Location
    """A file that holds the password; only owner and group may be able to read it."""


class WebSettings(Section):
    """`[web]`: the address of `/metrics` and the status page, and who may read them."""

    listen: Address = "127.0.0.1:9746"
    """Address of `/metrics`, `/healthz`, `/readyz`, the status page and the JSON API; read-only."""

    hosts: tuple[Host, ...] = ()
    """Host names that clients may use; without it `localhost` on loopback, any name elsewhere."""

    basic_auth: BasicAuthSettings | None = None
    """One user and a password file, as in Prometheus' own scrape config."""

    tls: TlsSettings | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach `listen`."""
        host, _ = self.address
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def resolved(self, base: Path) -> WebSettings:
        """With absolute paths; what is relative is relative to `base`."""
        tls, auth = self.tls, self.basic_auth
        if tls is not None:
            ca = tls.client_ca_file
            tls = TlsSettings(
                cert_file=absolute(tls.cert_file, base),
                key_file=absolute(tls.key_file, base),
                client_ca_file=absolute(ca, base) if ca else None,
            )
        if auth is not None:
            path = absolute(auth.password_file, base)
            auth = auth.model_copy(update={"password_file": path})
        return self.model_copy(update={"tls": tls, "basic_auth": auth})
