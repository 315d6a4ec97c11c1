"""When a certificate begins and ceases to hold, read from its PEM file.

Python's `ssl` tells this only of a peer's certificate. The few steps through the DER (ITU-T X.690)
of RFC 5280's `Certificate` need no library: version, serial, algorithm and issuer are stepped over.
"""

from __future__ import annotations

import binascii
import datetime as dt
import re
import ssl
from dataclasses import dataclass

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_LONG = 0x80
_MAX_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Validity:
    """From when to when a chain of certificates holds, in seconds since the epoch."""

    not_before: float
    not_after: float


def validity(pem: bytes) -> Validity | None:
    """How long a PEM file's certificates hold all together; None if there is none in it.

    Raises:
        ValueError: something in it is no certificate.
    """
    found = [_validity(block) for block in _PEM.findall(pem.decode("latin-1"))]
    if not found:
        return None
    return Validity(max(f.not_before for f in found), min(f.not_after for f in found))


def _validity(block: str) -> Validity:
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
    except (binascii.Error, ValueError):
        raise ValueError("a certificate in it is cut off or garbled") from None
    _, certificate, _ = _element(der)
    _, signed, _ = _element(certificate)
    tag, _, rest = _element(signed)
    if tag == _VERSION:
        _, _, rest = _element(rest)
    for _ in ("algorithm", "issuer"):
        _, _, rest = _element(rest)
    tag, period, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("a certificate in it is garbled")
    begin_tag, begin, rest = _element(period)
    end_tag, end, _ = _element(rest)
    return Validity(_moment(begin_tag, begin), _moment(end_tag, end))


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content, and what follows."""
    try:
        tag, length, at = der[0], der[1], 2
    except IndexError:
        raise ValueError("a certificate in it is cut off") from None
    if length & _LONG:
        size = length & ~_LONG
        if not 1 <= size <= _MAX_LENGTH_BYTES:
            raise ValueError("a certificate in it is garbled")
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    if len(der) < at + length:
        raise ValueError("a certificate in it is cut off")
    return tag, der[at : at + length], der[at + length :]


def _moment(tag: int, content: bytes) -> float:
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag)
    if form is None:
        raise ValueError("a certificate in it is garbled")
    try:
        moment = dt.datetime.strptime(content.decode("latin-1"), form).replace(tzinfo=dt.UTC)
    except ValueError:
        raise ValueError("a certificate in it is garbled") from None
    # RFC 5280, 4.1.2.5.1: two digits from 50 on are the last century's; Python says from 69 on.
    if tag == _UTC_TIME and moment.year >= 2050:  # noqa: PLR2004
        moment = moment.replace(year=moment.year - 100)
    return moment.timestamp()
