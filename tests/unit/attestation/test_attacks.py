"""What somebody may do to an attestation or a key, and that each ends in a plain sentence."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.attestation import AttestationError, envelope, keys, statement
from checkpointd.attestation.digests import FileDigest
from tests.unit.attestation.conftest import make_key

if TYPE_CHECKING:
    from collections.abc import Callable

CURVES = {
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "ed25519": ("-algorithm", "ed25519"),
}


def attested(private: str, **changed: Any) -> bytes:
    """A good attestation of one small file."""
    return envelope.sign(
        statement.write(
            "a.keras",
            [FileDigest(".", 3, "ab" * 32)],
            ["intact"],
            verifier="pkg:pypi/checkpointd@0",
            created="2026-01-01T00:00:00Z",
            details={"path": "/runs/a.keras", **changed},
        ),
        keys.read_private(private),
    )


@pytest.mark.parametrize("kind", CURVES)
def test_each_kind_of_key_signs_and_verifies(kind: str, tmp_path: Path) -> None:
    """Another key of the same kind does not verify it."""
    private, public = make_key(tmp_path, "one", *CURVES[kind])
    _, other = make_key(tmp_path, "other", *CURVES[kind])
    data = attested(private)
    stated = statement.read(envelope.open_verified(data, keys.read_public(public)))
    assert (stated.name, stated.shown) == ("a.keras", {"intact"})
    with pytest.raises(AttestationError, match="not signed with this key"):
        envelope.open_verified(data, keys.read_public(other))


def test_openssl_verifies_it_too(pair: tuple[str, str], tmp_path: Path) -> None:
    """The signature is over DSSE's encoding, by an implementation that is not ours."""
    import subprocess

    content = json.loads(attested(pair[0]))
    payload = base64.b64decode(content["payload"])
    kind = content["payloadType"].encode()
    (tmp_path / "signed").write_bytes(
        b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    )
    (tmp_path / "sig").write_bytes(base64.b64decode(content["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]
    done = subprocess.run(
        [*command, pair[1], "-in", tmp_path / "signed", "-sigfile", tmp_path / "sig"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Verified Successfully" in done.stdout, done.stderr


def changed_payload(content: dict[str, Any]) -> None:
    """Claim more than was signed."""
    payload = base64.b64decode(content["payload"]).replace(b".intact", b".resume")
    content["payload"] = base64.b64encode(payload).decode()


ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another payload": (changed_payload, "not signed with this key"),
    "another type": (
        lambda c: c.update(payloadType="application/vnd.in-toto+json;x"),
        "payload is of the type",
    ),
    "no signature": (lambda c: c.update(signatures=[]), "no signature"),
    "a thousand signatures": (lambda c: c.update(signatures=c["signatures"] * 1000), "more than"),
    "a signature that is no text": (lambda c: c["signatures"][0].update(sig=7), "missing"),
    "a signature with blanks": (
        lambda c: c["signatures"][0].update(sig=" " + c["signatures"][0]["sig"]),
        "no base64",
    ),
    "an empty signature": (lambda c: c["signatures"][0].update(sig=""), "not signed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_changed_envelope_does_not_hold(name: str, pair: tuple[str, str]) -> None:
    """Whatever was changed."""
    change, message = ATTACKS[name]
    content = json.loads(attested(pair[0]))
    change(content)
    with pytest.raises(AttestationError, match=message):
        envelope.open_verified(json.dumps(content).encode(), keys.read_public(pair[1]))


def test_a_second_signature_neither_helps_nor_harms(pair: tuple[str, str], tmp_path: Path) -> None:
    """Twice the same is one signature; one of a stranger is not looked at."""
    private, public = make_key(tmp_path, "stranger", *CURVES["p256"])
    content = json.loads(attested(pair[0]))
    stranger = json.loads(attested(private))
    content["signatures"] = [*stranger["signatures"], *content["signatures"] * 2]
    data = json.dumps(content).encode()
    assert envelope.open_verified(data, keys.read_public(pair[1]))
    assert envelope.open_verified(data, keys.read_public(public))


def test_every_truncation_and_each_flipped_bit_is_refused(pair: tuple[str, str]) -> None:
    """By a sentence, not by a traceback; a flip that leaves the payload as it was may pass."""
    data, key = attested(pair[0]).rstrip(), keys.read_public(pair[1])
    payload = envelope.open_verified(data, key)
    for length in range(0, len(data), 7):
        with pytest.raises(AttestationError):
            envelope.open_verified(data[:length], key)
    for at in range(0, len(data), 5):
        flipped = bytearray(data)
        flipped[at] ^= 1
        try:
            assert envelope.open_verified(bytes(flipped), key) == payload
        except AttestationError:
            continue
        assert b"keyid" in data[at - 80 : at + 80], at


def test_a_key_that_is_there_twice_is_refused(pair: tuple[str, str]) -> None:
    """Two readers could take either of them."""
    data = attested(pair[0]).replace(b'{"payloadType"', b'{"payload": "AAAA", "payloadType"')
    with pytest.raises(AttestationError, match="twice"):
        envelope.open_verified(data, keys.read_public(pair[1]))


def test_a_statement_of_another_kind_or_without_valid_is_refused(pair: tuple[str, str]) -> None:
    """Signed by the right key, for another purpose."""
    payload = envelope.open_verified(attested(pair[0]), keys.read_public(pair[1]))
    for old, new, message in (
        (b"attestation/svr/v0.1", b"attestation/vsa/v1", "no Simple Verification Result"),
        (b"checkpointd.valid", b"checkpointd.other", "does not say that"),
        (b"ab" * 32, b"cd" * 32, "contradicts itself"),
        (b'"files"', b'"other"', "not one that checkpointd writes"),
    ):
        with pytest.raises(AttestationError, match=message):
            statement.read(payload.replace(old, new, 1 if b"ab" not in old else -1))


def test_keys_that_cannot_be_used_are_explained(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Confused, of another kind, readable by all, not there, no file, or without the package."""
    rsa = make_key(tmp_path, "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    locked = tmp_path / "open.key"
    locked.write_bytes(Path(pair[0]).read_bytes())
    locked.chmod(0o644)
    for read, path, message in (
        (keys.read_private, pair[1], "it is a public key: name the private one"),
        (keys.read_public, pair[0], "it is a private key: `openssl pkey"),
        (keys.read_private, rsa[0], "not a key of the kind ECDSA"),
        (keys.read_public, rsa[1], "not a key of the kind ECDSA"),
        (keys.read_private, str(locked), "can be read by everybody on this host: chmod 600"),
        (keys.read_private, str(tmp_path / "none"), "cannot be read: No such file"),
        (keys.read_public, str(tmp_path), "is no regular file"),
        (keys.read_public, __file__, "no public key in PEM format"),
    ):
        with pytest.raises(AttestationError, match=message):
            read(path)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(AttestationError, match=r"pip install 'checkpointd\[attest\]'"):
        keys.read_public(pair[1])
