"""What can be a tag."""

from __future__ import annotations

import pytest

from checkpointd.core.tags import why_no_tag


@pytest.mark.parametrize("text", ["prod", "v1.2+exp/3", "größe", "-", "x" * 100])
def test_a_word_is_a_tag(text: str) -> None:
    """Whatever can be printed and stands between commas."""
    assert why_no_tag(text) == ""


@pytest.mark.parametrize(
    "text", ["", "a,b", "a b", "a\n", "\x1b[2J", "\udcff", "\u00a0", "x" * 101]
)
def test_what_is_no_word_is_none(text: str) -> None:
    """Commas separate tags; nothing may disturb a terminal."""
    assert why_no_tag(text)
