"""Signatures that `model_signing sign key` of model-signing 1.1.1 made, as part of `integrity`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from tests.helpers.bundles import write_bundle
from tests.helpers.scan import scanned
from tests.unit.attestation.conftest import make_key

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.check_result import CheckResult

PUBLIC = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6OikASODbjA9+YeUXVkWjnL8YdYd
j56muqPIx66pAJYSAfqgRFQ4pSnZ7wikcWJ/iFgVaP2fDPC1BsFItmmzGQ==
-----END PUBLIC KEY-----
"""
SIGNATURE = (
    "MEYCIQCpHH4xZKCKxykH6Ex2tANYiQsE+mghxuK5HXTJzTa3cAIhAKCD/C/1"
    "owXL7rNRVJdAn1OA3oDCTXADBhhk8QECH0nb"
)
PAYLOAD = (
    "ewogICJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVtZW50L3YxIiwKICAic3ViamVjdCI6IFsKICAg"
    "IHsKICAgICAgIm5hbWUiOiAibW9kZWwiLAogICAgICAiZGlnZXN0IjogewogICAgICAgICJzaGEyNTYiOiAiZjUz"
    "MjU0MjgwYjJmZjI5NzAxNmM4MjNhNTIwZjAxOTI0ZDk0NWE1MDA2MTlmNTYxNGQyOGUzOGNlNDdkYzNlOCIKICAg"
    "ICAgfQogICAgfQogIF0sCiAgInByZWRpY2F0ZVR5cGUiOiAiaHR0cHM6Ly9tb2RlbF9zaWduaW5nL3NpZ25hdHVy"
    "ZS92MS4wIiwKICAicHJlZGljYXRlIjogewogICAgInJlc291cmNlcyI6IFsKICAgICAgewogICAgICAgICJkaWdl"
    "c3QiOiAiNGM5YzRmMzU0ZTc0MTUzZGIwMTIzMjlkNzFjODU2MmVjMjNlNDk4MTQ4MTc0YjJjNDlkZTU4ZjQ1ZDQ3"
    "Y2RiZSIsCiAgICAgICAgIm5hbWUiOiAiY2twdC0xLmRhdGEtMDAwMDAtb2YtMDAwMDEiLAogICAgICAgICJhbGdv"
    "cml0aG0iOiAic2hhMjU2IgogICAgICB9LAogICAgICB7CiAgICAgICAgImRpZ2VzdCI6ICIzOGUxYzEyY2I2N2Mz"
    "ZmVkN2YxMDdjZWY2YmY3M2FlN2I3NDA2MTI2NzEwMDRjYmQ3OTY0OWJmNDNiZDc1MGUzIiwKICAgICAgICAibmFt"
    "ZSI6ICJja3B0LTEuaW5kZXgiLAogICAgICAgICJhbGdvcml0aG0iOiAic2hhMjU2IgogICAgICB9CiAgICBdLAog"
    "ICAgInNlcmlhbGl6YXRpb24iOiB7CiAgICAgICJhbGxvd19zeW1saW5rcyI6IGZhbHNlLAogICAgICAibWV0aG9k"
    "IjogImZpbGVzIiwKICAgICAgImhhc2hfdHlwZSI6ICJzaGEyNTYiLAogICAgICAiaWdub3JlX3BhdGhzIjogWwog"
    "ICAgICAgICIuZ2l0aHViIiwKICAgICAgICAiLmdpdCIsCiAgICAgICAgIi5naXRhdHRyaWJ1dGVzIiwKICAgICAg"
    "ICAiLmdpdGlnbm9yZSIKICAgICAgXQogICAgfQogIH0KfQ=="
)
"""What it signed for a directory with the two files that `signed` writes, and nothing else."""


def bundle(**changed: Any) -> str:
    """The file that it wrote."""
    envelope = {
        "payload": PAYLOAD,
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": SIGNATURE, "keyid": ""}],
        **changed,
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        }
    )


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A checkpoint with its signature and the key."""
    write_bundle(
        tmp_path / "ckpt-1", {"w/.ATTRIBUTES/VARIABLE_VALUE": np.arange(4, dtype=np.float32)}
    )
    (tmp_path / "ckpt-1.sig").write_text(bundle())
    (tmp_path / "model.pub").write_text(PUBLIC)
    return tmp_path / "ckpt-1"


def integrity(path: Path, key: str = "model.pub") -> CheckResult:
    """The result of the check with a key."""
    named = {"signature_key": str(path.parent / key)} if key else {}
    return scanned(path, **named).checks["integrity"]


def test_a_signature_that_holds_is_mentioned(signed: Path) -> None:
    """And without a key, or a signature, nothing is verified."""
    assert integrity(signed).message.endswith("Its signature holds.")
    assert "signature" not in integrity(signed, key="").message
    (signed.parent / "ckpt-1.sig").unlink()
    unsigned = integrity(signed)
    assert unsigned.outcome is Outcome.PASS
    assert unsigned.message.endswith("It has no signature.")


def test_another_content_than_the_signed_one_is_invalid(signed: Path) -> None:
    """Also where every checksum of the format holds: it is another save."""
    write_bundle(signed, {"w/.ATTRIBUTES/VARIABLE_VALUE": np.zeros(4, np.float32)})
    found = integrity(signed)
    assert found.reason == "integrity.signature_mismatch"
    assert "ckpt-1.index has other content" in found.message


def test_another_key_or_a_changed_statement_is_invalid(signed: Path) -> None:
    """Whoever can write beside the checkpoint could otherwise sign it."""
    make_key(signed.parent, "other", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    assert integrity(signed, "other.pub").reason == "integrity.signature_mismatch"
    (signed.parent / "ckpt-1.sig").write_text(bundle(payload=PAYLOAD[:-8] + "AAAAAAA="))
    assert integrity(signed).reason == "integrity.signature_mismatch"
    (signed.parent / "ckpt-1.sig").write_text(bundle()[:700])
    assert integrity(signed).reason == "integrity.signature_mismatch"


def test_what_cannot_be_verified_is_no_proof_of_anything(signed: Path) -> None:
    """No key, or a signature by a certificate: inconclusive, with what to do."""
    missing = integrity(signed, "none.pub")
    assert missing.reason == "integrity.environment"
    assert "No such file" in missing.message
    (signed.parent / "ckpt-1.sig").write_text(json.dumps({"messageSignature": {}}))
    assert integrity(signed).reason == "integrity.environment"
