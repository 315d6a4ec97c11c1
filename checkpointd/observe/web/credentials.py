"""Reads the files that protect the web server: certificate, key, CA and password.

Every problem with them is reported at once, each with its key in the config. Nothing here keeps
anything; `access` does.
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

from checkpointd.core.permissions import user_name
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
class Problem:
    """A problem with a file: its key in the config, and what to do."""

    loc: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"[web] {'.'.join(self.loc[1:])} {self.message}"


@dataclass(frozen=True)
class Credentials:
    """The contents of the files as they are used: `password` is a digest."""

    context: ssl.SSLContext | None = None
    validity: Validity | None = None
    password: bytes | None = None


class CredentialsError(Exception):
    """The files cannot be used; `problems` has one entry for each reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(" ".join(f"{problem}." for problem in problems))
        self.problems = problems


def digest(secret: bytes) -> bytes:
    """Hash a password or user name, so that the time of a comparison does not reveal its length."""
    return hashlib.sha256(secret).digest()


def identities(web: WebSettings) -> tuple[Identity, ...]:
    """Identify the files' current contents, to notice changes; None stands for a missing file."""
    return tuple(_identity(path) for _, path in _files(web))


def load(web: WebSettings) -> Credentials:
    """Read all files and try them.

    Raises:
        CredentialsError: with every problem.
    """
    before = identities(web)
    problems: list[Problem] = []
    contents: dict[tuple[str, ...], bytes] = {}
    for loc, path in _files(web):
        try:
            contents[loc] = _read(path, secret=loc[-1] in ("key_file", "password_file"))
        except ValueError as error:
            problems.append(Problem(loc, f"{path} {error}"))
    password = contents.get(("web", "basic_auth", "password_file"))
    if password is not None:
        password = password.rstrip(b"\r\n")
        if not password or len(password) > _MAX_PASSWORD:
            why = "is empty" if not password else f"is longer than {_MAX_PASSWORD} bytes"
            file = web.basic_auth.password_file if web.basic_auth else ""
            problems.append(
                Problem(
                    ("web", "basic_auth", "password_file"),
                    f"{file} {why}; write a password into it",
                )
            )
    context, period = None, None
    if web.tls is not None:
        period = _period(web.tls, contents, problems)
        if not problems:
            context = _context(web.tls, problems)
    if not problems and identities(web) != before:
        problems.append(Problem(("web",), "files are being written; they will be read again"))
    if problems:
        raise CredentialsError(problems)
    return Credentials(context, period, digest(password) if password is not None else None)


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
    """Read a small file; the message of a ValueError continues a sentence that names the path."""
    try:
        # Not blocking, so that a pipe in its place does not hold the daemon up.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ValueError("does not exist") from None
        cure = (
            f"; allow the user {user_name(os.geteuid())} to" if error.errno == errno.EACCES else ""
        )
        raise ValueError(f"cannot be read: {error.strerror}{cure}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("is not a regular file")
        if secret and mode & _OF_OTHERS:
            raise ValueError(
                f"can be accessed by every user (mode {stat.S_IMODE(mode):o}); chmod o= it"
            )
        raw = os.read(fd, _MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(raw) > _MAX_BYTES:
        raise ValueError("is larger than a megabyte, so it is something else")
    return raw


def _period(
    tls: TlsSettings, contents: dict[tuple[str, ...], bytes], problems: list[Problem]
) -> Validity | None:
    """Return when the certificate is valid; find what can be checked without OpenSSL."""
    found = None
    for key, path in (("cert_file", tls.cert_file), ("client_ca_file", tls.client_ca_file)):
        raw = contents.get(("web", "tls", key))
        if raw is None:
            continue
        try:
            period = validity(raw)
        except ValueError as error:
            problems.append(Problem(("web", "tls", key), f"{path} cannot be used: {error}"))
            continue
        if period is None:
            message = f"{path} contains no PEM certificate (-----BEGIN CERTIFICATE-----)"
            problems.append(Problem(("web", "tls", key), message))
        found = period if key == "cert_file" else found
    secret = contents.get(("web", "tls", "key_file"))
    if secret is not None and b"PRIVATE KEY-----" not in secret:
        message = f"{tls.key_file} contains no PEM key (-----BEGIN PRIVATE KEY-----)"
        problems.append(Problem(("web", "tls", "key_file"), message))
    elif secret is not None and b"ENCRYPTED" in secret:
        message = f"{tls.key_file} is encrypted; store it without a passphrase"
        problems.append(Problem(("web", "tls", "key_file"), message))
    return found


def _context(tls: TlsSettings, problems: list[Problem]) -> ssl.SSLContext | None:
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
            message = f"{tls.key_file} is not the key of the certificate in {tls.cert_file}"
        else:
            message = f"OpenSSL does not accept {tls.key_file}, or the certificate: {reason}"
        problems.append(Problem(("web", "tls", "key_file"), message))
        return None
    if tls.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca_file)
        except OSError as error:
            reason = getattr(error, "reason", None) or str(error)
            message = f"OpenSSL does not accept {tls.client_ca_file}: {reason}"
            problems.append(Problem(("web", "tls", "client_ca_file"), message))
            return None
    return context
