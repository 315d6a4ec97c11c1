"""Signatures of OpenSSF Model Signing that were made with a key: a Sigstore bundle, `model.sig`.

Source: model_signing/_signing (model-signing 1.1): a DSSE envelope in a bundle, whose statement
lists the SHA-256 of every file of the model by its name; a model that is one file is named `.`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from checkpointd.attestation import AttestationError, envelope
from checkpointd.attestation.digests import FileDigest, of_model
from checkpointd.attestation.statement import STATEMENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.attestation.keys import PublicKey

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
SUFFIX = ".sig"
NAME = "model.sig"


class UnsupportedError(Exception):
    """A signature of a kind that is not read here; the sentence says which."""


def place_of(path: str) -> str:
    """Where the signature of a checkpoint is: in a directory, or beside a file or prefix."""
    return os.path.join(path, NAME) if os.path.isdir(path) else path + SUFFIX


def signed_files(data: bytes, key: PublicKey) -> tuple[FileDigest, ...]:
    """Return the files that a key has signed; their sizes are not in it.

    Raises:
        AttestationError: the signature is not by that key, or is malformed.
        UnsupportedError: the files were not hashed one by one with SHA-256.
    """
    bundle = envelope.parse(data)
    signed = bundle.get("dsseEnvelope") if isinstance(bundle, dict) else None
    if signed is None:
        raise UnsupportedError("It is no bundle with a DSSE envelope.")
    content = envelope.parse(envelope.payload_of(signed, key))
    try:
        kind = content["predicateType"]
        if content["_type"] != STATEMENT_TYPE or kind != PREDICATE_TYPE:
            raise UnsupportedError(f"Its statement is of the kind {kind!r:.80}.")
        (subject,) = content["subject"]
        predicate = content["predicate"]
        how = predicate["serialization"]
        if (how["method"], how["hash_type"]) != ("files", "sha256"):
            raise UnsupportedError(
                f"Its files were hashed by {how['method']!r:.40} with {how['hash_type']!r:.40}; "
                "sign them as files, with SHA-256."
            )
        files = tuple(_file(row) for row in predicate["resources"])
        digest = subject["digest"]["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AttestationError("Its statement is malformed.") from None
    if not files or of_model(files) != digest:
        raise AttestationError("Its statement contradicts itself.")
    return files


def _file(row: Any) -> FileDigest:
    name, digest = row["name"], row["digest"]
    if row["algorithm"] != "sha256" or not isinstance(name, str):
        raise TypeError
    bytes.fromhex(digest)
    return FileDigest(name, 0, digest)


def differing(path: str, signed: Sequence[FileDigest], current: Sequence[FileDigest]) -> list[str]:
    """Say what of a checkpoint is not as it was signed; what else is signed need only be there."""
    stated = {file.name: file.sha256 for file in signed}
    ours = {file.name for file in current}
    sentences = [f"{file.name} is not signed" for file in current if file.name not in stated]
    sentences += [
        f"{os.path.basename(path) if file.name == '.' else file.name} has other content"
        for file in current
        if stated.get(file.name, file.sha256) != file.sha256
    ]
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    sentences += [
        f"{name} is missing"
        for name in stated
        if name not in ours and not os.path.lexists(os.path.join(directory, name))
    ]
    return sentences
