"""`explain`: one reason in full."""

from __future__ import annotations

import json

import pytest

from checkpointd.cli.main import run
from checkpointd.cli.manual.explain import UnknownReasonError, explain
from checkpointd.core.suite import REASONS


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_is_explained(reason: str) -> None:
    """Also those of the families in which every check may end."""
    found = explain(reason)
    assert found.meaning
    assert (found.severity, found.basis, found.cure) == (
        REASONS[reason].severity.value,
        REASONS[reason].basis.value,
        REASONS[reason].cure,
    )


def test_a_reason_of_a_user_check_is_explained_as_one() -> None:
    """Only its message knows more; a common word has the common cure."""
    meaning = " ".join(explain("calibrated.overconfident").meaning.split())
    assert "only its author knows the cure" in meaning
    assert meaning.endswith("See `checkpointd docs user-checks`.")
    assert explain("calibrated.check_error").meaning.startswith("The function of a user's check")
    assert explain("calibrated.timeout").cure == REASONS["load.timeout"].cure


def test_a_misspelt_reason_is_not_taken_for_one_of_a_user_check() -> None:
    """Unless the config has a check of that name."""
    for reason in ("finite.nam", "fnite.nan", "nan", "Finite.nan", ""):
        with pytest.raises(UnknownReasonError) as caught:
            explain(reason)
        assert not reason.lower().startswith("f") or "finite.nan" in caught.value.close
    assert explain("fnite.nan", ["fnite"]).meaning


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The meaning, the verdict, what it rests on, and what to do."""
    assert run(["explain", "structure.truncated"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "structure.truncated"
    assert lines[-3:] == [
        "Verdict     invalid",
        "Rests on    the file",
        f"What to do  {REASONS['structure.truncated'].cure}",
    ]
    assert run(["explain", "load.timeout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "inconclusive"


def test_an_unknown_reason_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the closest ones."""
    assert run(["explain", "finite.nam"]) == 2
    assert "did you mean finite.nan" in capsys.readouterr().err
