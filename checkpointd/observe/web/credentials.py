"""The files that the web side is protected by: certificate, key, CA and password.

Everything that is wrong with them is told at once, each with its key in the config. Nothing here
keeps anything; `access` does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import ssl
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.observe.web.certificates import Validity, validity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.config.web import TlsSettings, WebSettings

    Identity = tuple[int, ...] | None

_MAX_BYTES = 1024 * 1024
_MAX_PASSWORD = 1024
_OF_OTHERS = 0o007


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a file: its key in the config, and what to do."""

    loc: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"[web] {'.'.join(self.loc[1:])} {self.message}"


@dataclass(frozen=True)
class Keys:
    """What was in the files, as it is used: `password` is a digest, `validity` the chain's."""

    context: ssl.SSLContext | None = None
    validity: Validity | None = None
    password: bytes | None = None


class KeysError(Exception):
    """The files cannot be used; `troubles` says why, one each."""

    def __init__(self, troubles: list[Trouble]) -> None:
        super().__init__(" ".join(f"{trouble}." for trouble in troubles))
        self.troubles = troubles


def digest(secret: bytes) -> bytes:
    """What passwords and user names are compared by, so that no length shows in the time."""
    return hashlib.sha256(secret).digest()


def identities(web: WebSettings) -> tuple[Identity, ...]:
    """What tells whether any of the files has changed; None stands for one that is not there."""
    return tuple(_identity(path) for _, path in _files(web))


def load(web: WebSettings) -> Keys:
    """Read and try everything.

    Raises:
        KeysError: with all that is wrong.
    """
    before = identities(web)
    troubles: list[Trouble] = []
    held: dict[tuple[str, ...], bytes] = {}
    for loc, path in _files(web):
        try:
            held[loc] = _read(path, secret=loc[-1] in ("key_file", "password_file"))
        except ValueError as error:
            troubles.append(Trouble(loc, f"{path} {error}"))
    password = held.get(("web", "basic_auth", "password_file"))
    if password is not None:
        password = password.rstrip(b"\r\n")
        if not password or len(password) > _MAX_PASSWORD:
            told = "is empty" if not password else f"is longer than {_MAX_PASSWORD} bytes"
            place = web.basic_auth.password_file if web.basic_auth else ""
            troubles.append(
                Trouble(("web", "basic_auth", "password_file"), f"{place} {told}; put a password")
            )
    context, period = None, None
    if web.tls is not None:
        period = _period(web.tls, held, troubles)
        if not troubles:
            context = _context(web.tls, troubles)
    if not troubles and identities(web) != before:
        troubles.append(Trouble(("web",), "files are just being written; they are read again"))
    if troubles:
        raise KeysError(troubles)
    return Keys(context, period, digest(password) if password is not None else None)


def _files(web: WebSettings) -> Iterator[tuple[tuple[str, ...], Path]]:
    if web.tls is not None:
        yield ("web", "tls", "cert_file"), web.tls.cert_file
        yield ("web", "tls", "key_file"), web.tls.key_file
        if web.tls.client_ca_file is not None:
            yield ("web", "tls", "client_ca_file"), web.tls.client_ca_file
    if web.basic_auth is not None:
        yield ("web", "basic_auth", "password_file"), web.basic_auth.password_file


def _identity(path: Path) -> Identity:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_mode


def _read(path: Path, *, secret: bool) -> bytes:
    """Read a small file; what is wrong is a ValueError that goes on where the path ends."""
    try:
        # Not blocking, so that a pipe in its place does not hold the daemon up.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ValueError("is not there") from None
        cure = f"; give user {os.geteuid()} the right to" if error.errno == errno.EACCES else ""
        raise ValueError(f"cannot be read: {error.strerror}{cure}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("is no file")
        if secret and mode & _OF_OTHERS:
            raise ValueError(f"is open to every user (mode {stat.S_IMODE(mode):o}); chmod o= it")
        raw = os.read(fd, _MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(raw) > _MAX_BYTES:
        raise ValueError("is larger than a megabyte; it is something else")
    return raw


def _period(
    tls: TlsSettings, held: dict[tuple[str, ...], bytes], troubles: list[Trouble]
) -> Validity | None:
    """How long the certificate holds; also what is seen to be wrong before OpenSSL is asked."""
    found = None
    for key, path in (("cert_file", tls.cert_file), ("client_ca_file", tls.client_ca_file)):
        raw = held.get(("web", "tls", key))
        if raw is None:
            continue
        try:
            period = validity(raw)
        except ValueError as error:
            troubles.append(Trouble(("web", "tls", key), f"{path} cannot be used: {error}"))
            continue
        if period is None:
            told = f"{path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
            troubles.append(Trouble(("web", "tls", key), told))
        found = period if key == "cert_file" else found
    secret = held.get(("web", "tls", "key_file"))
    if secret is not None and b"PRIVATE KEY-----" not in secret:
        told = f"{tls.key_file} holds no key in PEM form (-----BEGIN PRIVATE KEY-----)"
        troubles.append(Trouble(("web", "tls", "key_file"), told))
    elif secret is not None and b"ENCRYPTED" in secret:
        told = f"{tls.key_file} is encrypted; store it without a passphrase"
        troubles.append(Trouble(("web", "tls", "key_file"), told))
    return found


def _context(tls: TlsSettings, troubles: list[Trouble]) -> ssl.SSLContext | None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    with contextlib.suppress(NotImplementedError):
        context.set_alpn_protocols(["http/1.1"])
    try:
        # Never asks at a terminal for a passphrase.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: b"")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            told = f"{tls.key_file} is not the key of the certificate in {tls.cert_file}"
        else:
            told = f"{tls.key_file}, or the certificate, is refused by OpenSSL: {reason}"
        troubles.append(Trouble(("web", "tls", "key_file"), told))
        return None
    if tls.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca_file)
        except OSError as error:
            reason = getattr(error, "reason", None) or str(error)
            told = f"{tls.client_ca_file} is refused by OpenSSL: {reason}"
            troubles.append(Trouble(("web", "tls", "client_ca_file"), told))
            return None
    return context
