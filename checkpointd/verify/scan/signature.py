"""The signature that the training job left with OpenSSF Model Signing, as part of `integrity`.

Looked at only where the settings name a key. A second pass over the bytes, for their SHA-256.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.attestation import AttestationError, digests, envelope, keys, model_signing
from checkpointd.core.check_result import CheckResult, Outcome, failed

if TYPE_CHECKING:
    from checkpointd.core.request import Request

_SHOWN = 3
_UNKNOWN, _MISMATCH = "environment", "signature_mismatch"


def with_signature(result: CheckResult, request: Request) -> CheckResult:
    """Verify the signature of a checkpoint too, if its settings name a key and it has one.

    Args:
        result: of everything else that the check looks at.
        request: the checkpoint, its members and the key.

    Returns:
        The result, with a sentence about the signature; or that the signature does not hold, or
        cannot be verified.

    Raises:
        OSError: the checkpoint could not be read.
    """
    if not request.settings.signature_key or result.outcome in (Outcome.FAIL, Outcome.ERROR):
        return result
    try:
        with open(model_signing.place_of(request.checkpoint.path), "rb") as file:
            data = file.read(envelope.MAX_BYTES + 1)
    except FileNotFoundError:
        return replace(result, message=f"{result.message} It has no signature.")
    word, message = _problem(request, data)
    if word:
        return failed(result.name, word, message)
    return replace(result, message=f"{result.message} Its signature holds.")


def _problem(request: Request, data: bytes) -> tuple[str, str]:
    """Say what is wrong with a signature: a word and a sentence, both empty where it holds."""
    try:
        key = keys.read_public(request.settings.signature_key)
    except AttestationError as error:
        return _UNKNOWN, f"Its signature cannot be verified: {error}"
    try:
        signed = model_signing.signed_files(data, key)
    except model_signing.UnsupportedError as error:
        return _UNKNOWN, f"Its signature cannot be verified. {error}"
    except AttestationError as error:
        return _MISMATCH, f"Its signature does not hold. {error}"
    path = request.checkpoint.path
    wrong = model_signing.differing(path, signed, digests.of_files(path, request.generation))
    if not wrong:
        return "", ""
    more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return _MISMATCH, f"It is not what was signed: {'; '.join(wrong[:_SHOWN])}{more}."
