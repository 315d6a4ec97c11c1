"""When a certificate is valid."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.observe.web.certificates import Validity, validity
from tests.helpers.tls import needs_openssl, openssl, pair

if TYPE_CHECKING:
    from pathlib import Path

# Made by `openssl req -x509 -newkey ed25519 -days 3`; its key is gone.
PEM = b"""\
-----BEGIN CERTIFICATE-----
MIIBLDCB36ADAgECAhRmtfoQkmqxAMBILntkQzSIAocaUzAFBgMrZXAwDDEKMAgG
A1UEAwwBYTAeFw0yNjExMjQxMjQzMTFaFw0yNjExMjcxMjQzMTFaMAwxCjAIBgNV
BAMMAWEwKjAFBgMrZXADIQBOYqInhK+b5Hf0Xc0Ehds2+sSSg9gO1klUJkPmxGBv
N6NTMFEwHQYDVR0OBBYEFJqHwDYHmbMXLA0gwF8HPgiACiJFMB8GA1UdIwQYMBaA
FJqHwDYHmbMXLA0gwF8HPgiACiJFMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA
y3dGVUH+EIxw2uj7dmuzxJqsejxptLYnP2H+xykdmpFuDWjJ5N6kae4r9JGfH4Ep
uRIoYJPgwS3ZpubsisncDw==
-----END CERTIFICATE-----
"""


@needs_openssl
@pytest.mark.parametrize("days", [1, 40_000])
def test_it_is_what_openssl_prints(tmp_path: Path, days: int) -> None:
    """Also behind 2050, where a certificate writes its dates in another format."""
    made = pair(tmp_path, "a", days=days)
    found = validity(made.cert.read_bytes())
    assert found is not None
    for moment, asked in ((found.not_before, "-startdate"), (found.not_after, "-enddate")):
        printed = openssl("x509", "-in", str(made.cert), "-noout", asked).partition("=")[2].strip()
        wanted = dt.datetime.strptime(printed, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=dt.UTC)
        assert moment == wanted.timestamp()


@needs_openssl
def test_a_chain_holds_as_long_as_its_first_to_expire(tmp_path: Path) -> None:
    """The text between certificates is skipped."""
    long, short = (
        pair(tmp_path, name, days=d).cert.read_bytes() for name, d in (("l", 9), ("s", 2))
    )
    found, first = validity(b"a comment\n" + long + b"\n" + short), validity(short)
    assert found is not None
    assert first is not None
    assert found.not_after == first.not_after
    assert validity(b"no certificate") is None


@given(st.integers(0, len(PEM) - 1), st.binary(min_size=0, max_size=3))
def test_a_garbled_one_is_reported_as_such(at: int, put: bytes) -> None:
    """Cut off or overwritten anywhere: a sentence, or none found, and never another error."""
    for broken in (PEM[:at], PEM[:at] + put + PEM[at + len(put) :]):
        try:
            found = validity(broken)
        except ValueError as error:
            assert str(error).startswith("one of its certificates is")  # noqa: PT017 - or it is read
        else:
            assert found is None or isinstance(found, Validity)


def test_the_sample_is_read() -> None:
    """What is garbled above is good as it stands."""
    found = validity(PEM)
    assert found is not None
    assert found.not_after - found.not_before == 3 * 86400
