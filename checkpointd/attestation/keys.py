"""Keys in PEM files: ECDSA (P-256, P-384, P-521) and Ed25519. The only module with cryptography."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Any

from checkpointd.attestation import AttestationError

_MAX_PEM = 64 * 1024
_KINDS = "ECDSA (P-256, P-384, P-521) or Ed25519"
_HOW = "make one with `openssl genpkey -algorithm ed25519 -out attest.key`"


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies; `identity` is the SHA-256 of its DER encoding, in hex."""

    identity: str
    _key: Any

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message, *_algorithm(self._key))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs; `identity` is that of its public half."""

    identity: str
    _key: Any

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        signature: bytes = self._key.sign(message, *_algorithm(self._key))
        return signature


def read_private(path: str) -> PrivateKey:
    """Read a private key.

    Raises:
        AttestationError: it cannot be used; the sentence names the file and what to do.
    """
    serialization = _serialization()
    data, mode = _read(path)
    if b"PUBLIC KEY" in data:
        raise AttestationError(
            f"{path} cannot be used to sign: it is a public key: name the private one."
        )
    if mode & 0o007:
        raise AttestationError(
            f"The private key {path} can be read by everybody on this host: chmod 600 {path}"
        )
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise AttestationError(
            f"The private key {path} has a pass phrase, which a daemon cannot be asked for: "
            "store it without one, readable by its user alone."
        ) from None
    except Exception as error:
        why = f"it is no private key in PEM format: {_HOW}"
        raise AttestationError(f"{path} cannot be used to sign: {why}.") from error
    if _algorithm(key) is None:
        raise AttestationError(f"{path} is not a key of the kind {_KINDS}: {_HOW}.")
    return PrivateKey(_identity(key.public_key()), key)


def read_public(path: str) -> PublicKey:
    """Read a public key.

    Raises:
        AttestationError: it cannot be used; the sentence names the file and what to do.
    """
    serialization = _serialization()
    data, _ = _read(path)
    try:
        key = serialization.load_pem_public_key(data)
    except Exception as error:
        if b"PRIVATE KEY" in data:
            why = f"it is a private key: `openssl pkey -in {path} -pubout` makes the public one"
        else:
            why = "it is no public key in PEM format"
        raise AttestationError(f"{path} cannot be used to verify: {why}.") from error
    if _algorithm(key) is None:
        raise AttestationError(f"{path} is not a key of the kind {_KINDS}.")
    return PublicKey(_identity(key), key)


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise AttestationError(
            "The package cryptography is not installed: pip install 'checkpointd[attest]'"
        ) from None
    return serialization


def _read(path: str) -> tuple[bytes, int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            data = os.read(descriptor, _MAX_PEM) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AttestationError(f"The key {path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(mode):
        raise AttestationError(f"The key {path} is no regular file.")
    return data, mode


def _identity(public: Any) -> str:
    from cryptography.hazmat.primitives import serialization as s

    der = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _algorithm(key: Any) -> Any:
    """What a key signs with, beside the message; None where its kind is not supported."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return ()
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        by_curve = {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384}
        by_curve["secp521r1"] = hashes.SHA512
        algorithm = by_curve.get(key.curve.name)
        return None if algorithm is None else (ec.ECDSA(algorithm()),)
    return None
