"""The README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from checkpointd.config import parse
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.reasons.reason import Severity
from checkpointd.core.suite import REASONS

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_VERDICTS = {
    Severity.FAIL: "invalid",
    Severity.ERROR: "inconclusive",
    Severity.WARN: "valid, with a warning",
    Severity.NOTE: "not shown, with a note",
}


def _told() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `(\w+\.\w+)` \| ([\w, ]+) \| (.+) \|$", _README, re.MULTILINE)
    return {name: (verdict, cure) for name, verdict, cure in rows}


def test_each_reason_that_can_come_is_told_with_its_verdict_and_its_cure() -> None:
    """The table of reasons is that of the program, word for word."""
    expected = {
        name: (_VERDICTS[reason.severity], reason.cure)
        for name, reason in REASONS.items()
        if name.split(".")[1] not in GENERAL
    }
    assert _told() == expected


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", _README))
def test_each_file_that_it_links_to_is_there(link: str) -> None:
    """No link of the README leads nowhere."""
    assert (_ROOT / link).exists()


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", _README))
def test_each_section_that_it_names_is_there(anchor: str) -> None:
    """The contents lead to the sections."""
    titles = re.findall(r"^## (.+)$", _README, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert anchor in slugs


def test_its_example_config_is_valid() -> None:
    """What can be copied from it works."""
    import tomllib

    blocks = re.findall(r"```toml\n(.*?)```", _README, re.DOTALL)
    assert blocks
    for block in blocks:
        parse(tomllib.loads(block), Path("/etc/checkpointd/config.toml"))
