"""Who may read over TCP: the credentials in use, reloaded when their files change.

A certificate that is broken or half written never replaces a good one: the old one stays in use,
the status and the log explain why, and the new one is used as soon as it is complete.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.config.web import WebSettings
from checkpointd.core.text import iso
from checkpointd.observe.status import WebAccess
from checkpointd.observe.web.credentials import (
    Credentials,
    CredentialsError,
    Problem,
    digest,
    identities,
    load,
)

if TYPE_CHECKING:
    import ssl

    from checkpointd.observe.web.credentials import Identity

POLL_SECONDS = 1.0
"""How often the files are checked for changes."""

log = structlog.get_logger()


class Access:
    """What protects the web server; it protects nothing until `apply` has read the files.

    Args:
        web: the section of the config.
    """

    def __init__(self, web: WebSettings | None = None) -> None:
        self.web = web or WebSettings()
        self.last_scrape_at: float | None = None
        self._credentials = Credentials()
        self._seen: tuple[Identity, ...] = ()
        self._problem = ""

    def apply(self, web: WebSettings) -> None:
        """Use other settings from now on; blocks on the disk.

        Raises:
            CredentialsError: their files cannot be used; the previous settings stay in use.
        """
        seen = identities(web)
        loaded = load(web)
        self.web, self._credentials, self._seen, self._problem = web, loaded, seen, ""

    def reload(self) -> bool:
        """Read the files if they have changed, or were wrong; blocks on the disk.

        Returns:
            Whether something new is in use.
        """
        web, seen = self.web, identities(self.web)
        if seen == self._seen and not self._problem:
            return False
        try:
            loaded = load(web)
        except CredentialsError as error:
            if str(error) != self._problem:
                log.error("the new web credentials cannot be used", why=str(error))
            self._problem = str(error)
            return False
        if web is not self.web:
            return False
        self._credentials, self._seen, self._problem = loaded, seen, ""
        log.info("the web credentials have been reloaded", expires=self._expiry())
        return True

    async def watch_files(self) -> None:
        """Reload whenever the files change, until cancelled; a hung disk blocks nothing else."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self.web.tls is not None or self.web.basic_auth is not None:
                await asyncio.to_thread(self.reload)

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS settings for the next connection; None without TLS."""
        return self._credentials.context

    @property
    def files_good(self) -> bool | None:
        """Whether the contents of the files are in use; None if no files are configured."""
        configured = self.web.tls is not None or self.web.basic_auth is not None
        return not self._problem if configured else None

    @property
    def not_after(self) -> float | None:
        """When the first certificate of the chain expires; None without TLS."""
        return self._credentials.validity.not_after if self._credentials.validity else None

    @property
    def needs_password(self) -> bool:
        """Whether a request needs the right name and password."""
        return self._credentials.password is not None

    def admits(self, header: str) -> bool:
        """Whether an `Authorization` header holds the right name and password.

        Takes the same time whichever of them is wrong, and however wrong it is.
        """
        kind, _, encoded = header.partition(" ")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        name, _, password = decoded.partition(b":")
        auth = self.web.basic_auth
        username = auth.username.encode() if auth else b""
        name_good = hmac.compare_digest(digest(name), digest(username))
        password_good = hmac.compare_digest(digest(password), self._credentials.password or b"")
        return kind.lower() == "basic" and name_good & password_good

    def problems(self, now: float | None = None) -> list[str]:
        """Return sentences about what needs attention."""
        sentences = [one.message for one in warnings(self.web, self._credentials, now)]
        if self._problem:
            sentences.append(
                f"The new web credentials cannot be used, the old ones stay: {self._problem}"
            )
        return sentences

    def status(self) -> WebAccess:
        """Describe what is in use, for the daemon's status."""
        tls = self.web.tls
        return WebAccess(
            tls=tls is not None,
            client_certificates=tls is not None and tls.client_ca_file is not None,
            basic_auth=self.needs_password,
            certificate_not_after=self.not_after,
        )

    def _expiry(self) -> str:
        return iso(self.not_after) if self.not_after is not None else ""


def warnings(web: WebSettings, credentials: Credentials, now: float | None = None) -> list[Problem]:
    """Return what needs attention although it works.

    Args:
        web: the section of the config.
        credentials: read from its files.
        now: seconds since the epoch; the current time by default.
    """
    now = time.time() if now is None else now
    problems = []
    if not web.on_loopback and web.tls is None:
        problems.append(Problem(("web", "listen"), _unprotected(web)))
    period = credentials.validity
    if period is not None and web.tls is not None:
        certificate = f"The certificate {web.tls.cert_file}"
        loc = ("web", "tls", "cert_file")
        if now >= period.not_after:
            expired = f"{certificate} has expired ({iso(period.not_after)}): replace it."
            problems.append(Problem(loc, expired))
        elif now < period.not_before:
            early = f"{certificate} is not valid before {iso(period.not_before)}."
            problems.append(Problem(loc, early))
    return problems


def _unprotected(web: WebSettings) -> str:
    if web.basic_auth is None:
        return (
            f"Anybody who can connect to {web.listen} can read paths, verdicts and metrics: "
            "add [web.tls] and basic_auth, or set [web] listen to 127.0.0.1."
        )
    return (
        f"The password of [web] basic_auth is sent unencrypted to {web.listen}: "
        "add [web.tls], or set [web] listen to 127.0.0.1."
    )
