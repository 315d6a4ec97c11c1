"""Certificates for tests, made by the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl to make certificates with: NOT checked"
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    cert: Path
    key: Path

    def copy_to(self, other: Pair) -> None:
        """Put this pair where another one is, the key not readable by others."""
        for mine, target in ((self.cert, other.cert), (self.key, other.key)):
            shutil.copyfile(mine, target)
            target.chmod(0o600)


def pair(directory: Path, name: str, ca: Pair | None = None, days: int = 2) -> Pair:
    """Make a certificate for 127.0.0.1 and localhost; without a CA it signs itself and is one."""
    made = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    purpose = "basicConstraints=critical,CA:" + ("TRUE" if ca is None else "FALSE")
    usage = ",keyCertSign" if ca is None else ""
    signed = ["-CA", str(ca.cert), "-CAkey", str(ca.key)] if ca is not None else []
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(made.key), "-out", str(made.cert), "-days", str(days)),
        *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        # From Python 3.13 on, ssl refuses a CA that does not name its key's usage.
        *("-addext", purpose, "-addext", f"keyUsage=digitalSignature{usage}", *signed),
    )
    made.key.chmod(0o600)
    return made


def openssl(*arguments: str) -> str:
    """Run it, and return what it prints."""
    done = subprocess.run(
        ["openssl", *arguments], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout
