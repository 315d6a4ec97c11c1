"""`.ci/changelog`: fragments become a section of CHANGELOG.md."""

from __future__ import annotations

import runpy

import pytest

from tests.helpers.cli import ROOT

SCRIPT = runpy.run_path(str(ROOT / ".ci" / "changelog"))
FRAGMENTS = sorted((ROOT / ".changes").glob("*.md"))


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.stem)
def test_each_fragment_can_be_released(path: object) -> None:
    """A heading that there is, and entries below it."""
    found = SCRIPT["entries"]([path.read_text(encoding="utf-8")])  # type: ignore[attr-defined]
    for entries in found.values():
        assert all(entry.startswith("- ") for entry in entries)


def test_fragments_are_collected_below_a_version_before_the_former_ones() -> None:
    """In the order of Keep a Changelog, whatever the order of the files."""
    found = SCRIPT["entries"](["### Fixed\n- b\n", "### Added\n- a\n", "### Fixed\n- c\n"])
    text = SCRIPT["released"](
        "# Changelog\n\nWords.\n\n## [0.1.0]\n\n- old\n", "0.2.0", "2027-01-01", found
    )
    assert text == (
        "# Changelog\n\nWords.\n\n## [0.2.0] - 2027-01-01\n\n### Added\n- a\n\n"
        "### Fixed\n- b\n- c\n\n## [0.1.0]\n\n- old\n"
    )


@pytest.mark.parametrize("text", ["- no heading", "### Improved\n- x", ""])
def test_a_fragment_without_a_known_heading_is_refused(text: str) -> None:
    """So that nothing is lost."""
    with pytest.raises(ValueError, match="heading"):
        SCRIPT["entries"]([text])
