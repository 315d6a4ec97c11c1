"""Who may read over TCP: the keys in force, taken anew when their files change.

A certificate that is broken or half written never replaces a good one: the old one goes on, the
status and the log say why, and the new one is taken as soon as it is right.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.config.web import WebSettings
from checkpointd.core.text import iso
from checkpointd.observe.web.credentials import Keys, KeysError, Trouble, digest, identities, load

if TYPE_CHECKING:
    import ssl

    from checkpointd.observe.web.credentials import Identity

LOOK_SECONDS = 1.0
"""How often the files are looked at."""

log = structlog.get_logger()


class Access:
    """What protects the web side; it protects nothing until `take` has read the files.

    Args:
        web: the section of the config.
    """

    def __init__(self, web: WebSettings | None = None) -> None:
        self.web = web or WebSettings()
        self._keys = Keys()
        self._seen: tuple[Identity, ...] = ()
        self._trouble = ""

    def take(self, web: WebSettings) -> None:
        """Go by other settings from now on; blocks on the disk.

        Raises:
            KeysError: their files cannot be used; what was in force stays so.
        """
        seen = identities(web)
        keys = load(web)
        self.web, self._keys, self._seen, self._trouble = web, keys, seen, ""

    def look(self) -> bool:
        """Read the files if they have changed, or were wrong; blocks on the disk.

        Returns:
            Whether something new is in force.
        """
        web, seen = self.web, identities(self.web)
        if seen == self._seen and not self._trouble:
            return False
        try:
            keys = load(web)
        except KeysError as error:
            if str(error) != self._trouble:
                log.error("the web side's files are not taken, the old go on", why=str(error))
            self._trouble = str(error)
            return False
        if web is not self.web:
            return False
        self._keys, self._seen, self._trouble = keys, seen, ""
        log.info("the web side's files have changed and are taken", expires=self._expiry())
        return True

    async def keep_current(self) -> None:
        """Look again and again, until cancelled; a hung disk holds up nothing else."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.web.tls is not None or self.web.basic_auth is not None:
                await asyncio.to_thread(self.look)

    @property
    def context(self) -> ssl.SSLContext | None:
        """For the next connection; None without TLS."""
        return self._keys.context

    @property
    def files_good(self) -> bool | None:
        """Whether what the files hold is in force; None if there are none."""
        configured = self.web.tls is not None or self.web.basic_auth is not None
        return not self._trouble if configured else None

    @property
    def not_after(self) -> float | None:
        """When the certificate, or one between it and its CA, expires; None without TLS."""
        return self._keys.validity.not_after if self._keys.validity else None

    @property
    def needs_password(self) -> bool:
        """Whether a request needs the right name and password."""
        return self._keys.password is not None

    def admits(self, header: str) -> bool:
        """Whether an `Authorization` header holds the right name and password.

        Takes the same time whichever of them is wrong, and however wrong it is.
        """
        kind, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        name, _, password = given.partition(b":")
        auth = self.web.basic_auth
        wanted = auth.username.encode() if auth else b""
        name_good = hmac.compare_digest(digest(name), digest(wanted))
        password_good = hmac.compare_digest(digest(password), self._keys.password or b"")
        return kind.lower() == "basic" and name_good & password_good

    def problems(self, now: float | None = None) -> list[str]:
        """Sentences about what a person should look at."""
        told = [one.message for one in concerns(self.web, self._keys, now)]
        if self._trouble:
            told.append(f"The new web files are not taken, the old go on: {self._trouble}")
        return told

    def status(self) -> dict[str, Any]:
        """What is in force, for `/api/v1/status`."""
        tls = self.web.tls
        return {
            "tls": tls is not None,
            "client_certificates": tls is not None and tls.client_ca_file is not None,
            "basic_auth": self.needs_password,
            "certificate_not_after": self.not_after,
        }

    def _expiry(self) -> str:
        return iso(self.not_after) if self.not_after is not None else ""


def concerns(web: WebSettings, keys: Keys, now: float | None = None) -> list[Trouble]:
    """What a person should look at, though it works: warnings, not errors.

    Args:
        web: the section of the config.
        keys: what was in its files.
        now: seconds since the epoch, by default those of this moment.
    """
    now = time.time() if now is None else now
    told = []
    if not web.on_loopback and web.tls is None:
        told.append(Trouble(("web", "listen"), _open(web)))
    period = keys.validity
    if period is not None and web.tls is not None:
        place = f"The certificate {web.tls.cert_file}"
        loc = ("web", "tls", "cert_file")
        if now >= period.not_after:
            expired = f"{place} has expired ({iso(period.not_after)}): put a new one there."
            told.append(Trouble(loc, expired))
        elif now < period.not_before:
            told.append(Trouble(loc, f"{place} holds only from {iso(period.not_before)} on."))
    return told


def _open(web: WebSettings) -> str:
    if web.basic_auth is None:
        open_to_all = f"Whoever reaches {web.listen} can read paths, verdicts and metrics: "
        return f"{open_to_all}add [web.tls] and basic_auth, or let [web] listen on 127.0.0.1."
    in_the_clear = f"The password of [web] basic_auth crosses the network to {web.listen} "
    return f"{in_the_clear}in the clear: add [web.tls], or let [web] listen on 127.0.0.1."
