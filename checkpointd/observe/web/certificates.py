"""When a certificate becomes valid and when it expires, read from its PEM file.

Python's `ssl` decodes only a peer's certificate. The few steps through the DER (ITU-T X.690) of
RFC 5280's `Certificate` need no library: version, serial, algorithm and issuer are skipped.
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
    """When a chain of certificates is valid, in seconds since the epoch."""

    not_before: float
    not_after: float


def validity(pem: bytes) -> Validity | None:
    """Return when all certificates of a PEM file are valid; None if it contains none.

    Raises:
        ValueError: something in it is not a certificate.
    """
    periods = [_validity(block) for block in _PEM.findall(pem.decode("latin-1"))]
    if not periods:
        return None
    return Validity(max(f.not_before for f in periods), min(f.not_after for f in periods))


def _validity(block: str) -> Validity:
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
    except (binascii.Error, ValueError):
        raise ValueError("one of its certificates is cut off or garbled") from None
    _, certificate, _ = _element(der)
    _, signed, _ = _element(certificate)
    tag, _, rest = _element(signed)
    if tag == _VERSION:
        _, _, rest = _element(rest)
    for _ in ("algorithm", "issuer"):
        _, _, rest = _element(rest)
    tag, period, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("one of its certificates is garbled")
    begin_tag, begin, rest = _element(period)
    end_tag, end, _ = _element(rest)
    return Validity(_moment(begin_tag, begin), _moment(end_tag, end))


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag, the content, and what follows."""
    try:
        tag, length, at = der[0], der[1], 2
    except IndexError:
        raise ValueError("one of its certificates is cut off") from None
    if length & _LONG:
        size = length & ~_LONG
        if not 1 <= size <= _MAX_LENGTH_BYTES:
            raise ValueError("one of its certificates is garbled")
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    if len(der) < at + length:
        raise ValueError("one of its certificates is cut off")
    return tag, der[at : at + length], der[at + length :]


def _moment(tag: int, content: bytes) -> float:
    format_ = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag)
    if format_ is None:
        raise ValueError("one of its certificates is garbled")
    try:
        moment = dt.datetime.strptime(content.decode("latin-1"), format_).replace(tzinfo=dt.UTC)
    except ValueError:
        raise ValueError("one of its certificates is garbled") from None
    # RFC 5280, 4.1.2.5.1: two digits from 50 on are 19xx; for Python only from 69 on.
    if tag == _UTC_TIME and moment.year >= 2050:  # noqa: PLR2004
        moment = moment.replace(year=moment.year - 100)
    return moment.timestamp()
