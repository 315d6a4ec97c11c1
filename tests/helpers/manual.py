"""The README and the pages of the manual, and what stands in their blocks of code."""

from __future__ import annotations

import re
import shlex

from tests.helpers.cli import ROOT

DIRECTORY = ROOT / "checkpointd" / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DIRECTORY.glob("*.md"))}
TEXTS = {ROOT / "README.md": (ROOT / "README.md").read_text(encoding="utf-8"), **PAGES}
"""The text of each, by its path."""

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_BLOCK_OR_HEADING = re.compile(r"^ *```.*?^ *```|^#[^\n]*$", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"(?:^|[ (/])checkpointd ((?:-|[a-z])[^|)>&#\\]*)")
_OTHER_PROGRAMS = re.compile(
    r"(sudo )?(useradd|install|chgrp|pip|ln|usermod|systemctl|curl|apt|podman)\b"
)


def blocks(language: str) -> list[str]:
    """Every block of code in a language, of all pages, each once."""
    found: dict[str, None] = {}
    for text in TEXTS.values():
        for indent, name, body in _BLOCK.findall(text):
            if name == language:
                found[re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)] = None
    return list(found)


def block(language: str, mark: str) -> str:
    """The one block in a language that holds a mark."""
    found = [one for one in blocks(language) if mark in one]
    assert len(found) == 1, f"{len(found)} blocks in {language} hold {mark!r}"
    return found[0]


def commands() -> list[tuple[str, ...]]:
    """Every command line of checkpointd that is shown, in blocks and in prose."""
    lines = []
    for language in ("sh", "console"):
        for text in blocks(language):
            lines += re.sub(r"\\\n", " ", text).splitlines()
    for text in TEXTS.values():
        prose = _BLOCK_OR_HEADING.sub("", text)
        lines += re.findall(r"`(checkpointd [^`\n]+)`", prose)
    calls = [
        _CALL.search(line.split("  #")[0]) for line in lines if not _OTHER_PROGRAMS.match(line)
    ]
    return sorted({tuple(shlex.split(call[1].rstrip(". "))) for call in calls if call})
