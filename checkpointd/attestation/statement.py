"""The in-toto statement in an attestation: a Simple Verification Result over a checkpoint's digest.

Sources: https://in-toto.io/Statement/v1 and
https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md. What the verifier was, when
it looked and which properties it saw stand where every reader of that type finds them; the rest is
under `checkpointd`, which others ignore.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.attestation import AttestationError
from checkpointd.attestation.digests import FileDigest, of_model
from checkpointd.attestation.envelope import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/svr/v0.1"
PROPERTY = "checkpointd."
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Statement:
    """What a verified attestation says: the digest, its files, what was shown, and the rest."""

    name: str
    digest: str
    files: tuple[FileDigest, ...]
    shown: frozenset[str]
    created: str
    details: Mapping[str, Any]


def write(
    name: str,
    files: Sequence[FileDigest],
    shown: Sequence[str],
    *,
    verifier: str,
    created: str,
    details: Mapping[str, Any],
) -> bytes:
    """Write a statement about a valid checkpoint.

    Args:
        name: of the checkpoint.
        files: all of its files.
        shown: what its verification showed, such as `intact` and `loads`.
        verifier: a URI that names the program and its version.
        created: when the verification ended, as in RFC 3339.
        details: how it was verified.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": of_model(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "verifier": {"id": verifier},
            "timeCreated": created,
            "properties": [PROPERTY + word for word in ("valid", *shown)],
            "checkpointd": {
                **details,
                "files": [
                    {"name": file.name, "size": file.size, "sha256": file.sha256} for file in files
                ],
            },
        },
    }
    return json.dumps(statement, separators=(",", ":"), allow_nan=False).encode("ascii")


def read(payload: bytes) -> Statement:
    """Read the payload of an envelope whose signature holds.

    Raises:
        AttestationError: it is a statement of another kind, or contradicts itself.
    """
    content = parse(payload)
    try:
        kinds = content["_type"], content["predicateType"]
        if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise AttestationError(
                f"It is no Simple Verification Result, but {kinds[1]!r:.80} in {kinds[0]!r:.80}."
            )
        (subject,) = content["subject"]
        predicate = content["predicate"]
        details = predicate["checkpointd"]
        files = tuple(_file(row) for row in details["files"])
        properties = predicate["properties"]
        digest = subject["digest"]["sha256"]
        created, name = predicate["timeCreated"], subject["name"]
        _check_texts((created, name, digest, *properties))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise AttestationError("Its statement is not one that checkpointd writes.") from None
    if PROPERTY + "valid" not in properties:
        raise AttestationError("Its statement does not say that the checkpoint is valid.")
    if not files or len({file.name for file in files}) != len(files) or of_model(files) != digest:
        raise AttestationError("Its statement contradicts itself: the digest is not of its files.")
    words = {text[len(PROPERTY) :] for text in properties if text.startswith(PROPERTY)}
    return Statement(name, digest, files, frozenset(words - {"valid"}), created, details)


def _check_texts(values: Sequence[Any]) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError


def _file(row: Mapping[str, Any]) -> FileDigest:
    name, size, digest = row["name"], row["size"], row["sha256"]
    if not isinstance(name, str) or type(size) is not int or not _HEX.fullmatch(digest):
        raise TypeError
    return FileDigest(name, size, digest)
