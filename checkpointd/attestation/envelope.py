"""DSSE envelopes: a payload, what it is, and signatures over both.

Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md. Everything that is
read here may come from an attacker; nothing of the payload is looked at before a signature holds.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from checkpointd.attestation import AttestationError

if TYPE_CHECKING:
    from checkpointd.attestation.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 16 << 20
_MAX_SIGNATURES = 16


def encoding(payload: bytes) -> bytes:
    """Return what is signed: the type of the payload as well as the payload."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode("ascii"),
        len(payload),
        payload,
    )


def sign(payload: bytes, key: PrivateKey) -> bytes:
    """Put a payload into an envelope, as one line of JSON."""
    content = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [
            {
                "keyid": key.identity,
                "sig": base64.b64encode(key.sign(encoding(payload))).decode("ascii"),
            }
        ],
    }
    return (json.dumps(content) + "\n").encode("ascii")


def open_verified(data: bytes, key: PublicKey) -> bytes:
    """Return the payload of an envelope that a key has signed.

    Raises:
        AttestationError: the envelope is malformed, or no signature in it is by that key.
    """
    return payload_of(parse(data), key)


def payload_of(content: Any, key: PublicKey) -> bytes:
    """Return the payload of an envelope that a key has signed, from its parsed JSON.

    Raises:
        AttestationError: the envelope is malformed, or no signature in it is by that key.
    """
    if not isinstance(content, dict):
        raise AttestationError("It is no DSSE envelope.")
    kind, signatures = content.get("payloadType"), content.get("signatures")
    if kind != PAYLOAD_TYPE:
        raise AttestationError(f"Its payload is of the type {kind!r:.80}, not {PAYLOAD_TYPE!r}.")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= _MAX_SIGNATURES:
        raise AttestationError(f"It has no signature, or more than {_MAX_SIGNATURES}.")
    payload = _decoded(content.get("payload"), "payload")
    for signature in signatures:
        if not isinstance(signature, dict):
            raise AttestationError("One of its signatures is malformed.")
        if key.verifies(_decoded(signature.get("sig"), "signature"), encoding(payload)):
            return payload
    raise AttestationError(
        "It is not signed with this key, or was changed after it was signed "
        f"(the key given is {key.identity[:16]})."
    )


def parse(data: bytes) -> Any:
    """Read JSON, refusing what two readers could understand differently.

    Raises:
        AttestationError: it is none, is cut short, or names a key twice.
    """
    if len(data) > MAX_BYTES:
        raise AttestationError(f"It is longer than {MAX_BYTES:,} bytes.")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise AttestationError(
            f"It is damaged or cut short: it is no JSON ({error!s:.80})."
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key is there twice")
    return unique


def _decoded(text: Any, part: str) -> bytes:
    if not isinstance(text, str):
        raise AttestationError(f"Its {part} is missing.")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise AttestationError(f"Its {part} is no base64.") from None
