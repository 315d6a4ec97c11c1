"""What a reason rests on."""

from __future__ import annotations

import pytest

from checkpointd.core.reasons.reason import EVIDENCE, Basis, Reason, Severity


@pytest.mark.parametrize("basis", sorted(Basis, key=str))
def test_only_evidence_makes_a_failure(basis: Basis) -> None:
    """The file, the record, the user's request, a real danger; nothing else does."""
    is_evidence = basis in EVIDENCE
    assert is_evidence == (basis.name in ("FILE", "RECORD", "REQUEST", "DANGER"))
    if is_evidence:
        assert Reason(Severity.FAIL, "x.", basis).basis is basis
    else:
        with pytest.raises(ValueError, match="evidence"):
            Reason(Severity.FAIL, "x.", basis)
