"""Signed statements about checkpoints: what was shown, for which bytes, under whose key.

An attestation is a DSSE envelope around an in-toto statement, whose subject is the digest that
OpenSSF Model Signing computes. Only `keys` needs the package cryptography, and imports it when a
key is used; everything else is the standard library.
"""

from __future__ import annotations

SUFFIX = ".intoto.jsonl"
"""What is appended to a name for its attestation: one envelope on one line."""


class AttestationError(Exception):
    """An attestation, a signature or a key that cannot be used; the sentence explains why."""
