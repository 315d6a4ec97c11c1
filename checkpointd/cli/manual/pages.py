"""The pages of the manual: Markdown that ships with the package.

A page may hold blocks between `<!-- generated: NAME -->` and `<!-- end -->`. Their content is made
from the code, here whenever a page is shown and in the files by `make docs`; a test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from checkpointd.cli.manual.tables import TABLES, commands

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TOPICS = (
    "getting-started",
    "commands",
    "configuration",
    "verdicts",
    "formats",
    "retention",
    "operations",
    "buckets",
    "replication",
    "kubernetes",
    "hooks",
    "attestations",
    "training-api",
    "user-checks",
    "fleet",
    "security",
    "performance",
    "architecture",
    "contributing",
    "glossary",
)
"""The names of the pages, in the order in which a newcomer reads them."""

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LINK = re.compile(r"\[([^]]+)\]\((?:([\w-]+)\.md)?(?:#[\w-]*)?\)")
_COMMENT = re.compile(r"^<!--.*-->\n", re.MULTILINE)


@dataclass(frozen=True)
class Topic:
    """A page: its name, its title, and its first sentence."""

    name: str
    title: str
    summary: str


def directory() -> Traversable:
    """Where the pages are."""
    return files("checkpointd").joinpath("docs")


def topics() -> list[Topic]:
    """Every page with its title and what it is about."""
    return [_topic(name) for name in TOPICS]


def page(name: str, program: Any) -> str:
    """Return a page as Markdown, with tables that are made now.

    Args:
        name: of `TOPICS`.
        program: the program's command, as typer has made it.

    Raises:
        KeyError: there is no such page.
    """
    if name not in TOPICS:
        raise KeyError(name)
    return _COMMENT.sub("", refreshed(_source(name), program))


def without_links(text: str) -> str:
    """Return Markdown in which a link to a page is the command that shows the page.

    A terminal cannot follow a link to a file of the package, or to a heading.
    """

    def command(link: re.Match[str]) -> str:
        label, name = link[1], link[2]
        if name is None:
            return f'"{label}"'
        shown = f"`checkpointd docs {name}`"
        is_title = label.lower().replace(" ", "-") == name
        return shown if is_title else f"{label} ({shown})"

    return _LINK.sub(command, text)


def refreshed(text: str, program: Any) -> str:
    """Return the text of a page with the present content of its generated blocks."""

    def fill(match: re.Match[str]) -> str:
        content = commands(program) if match[2] == "commands" else TABLES[match[2]]()
        return f"{match[1]}\n{content}\n\n{match[3]}"

    return _BLOCK.sub(fill, text)


def section(name: str, title: str) -> str:
    """Return the text below a heading of a page, up to the next one; empty if there is none."""
    pattern = rf"^#+ `?{re.escape(title)}`?\n(.*?)(?=^#|\Z)"
    match = re.search(pattern, _source(name), re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ""


def _source(name: str) -> str:
    return directory().joinpath(f"{name}.md").read_text(encoding="utf-8")


def _topic(name: str) -> Topic:
    title, _, rest = _source(name).removeprefix("# ").partition("\n")
    first = " ".join(rest.strip().split("\n\n")[0].split())
    return Topic(name, title, re.split(r"(?<=\.) ", first)[0])
