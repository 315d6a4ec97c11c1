"""The README and the manual describe what the program does."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from checkpointd.cli.app import make_app
from checkpointd.cli.manual.pages import TOPICS, page, refreshed, section, topics
from checkpointd.cli.manual.tables import VERDICTS
from checkpointd.config import parse
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.suite import CHECKS, REASONS
from tests.helpers import manual
from tests.helpers.cli import ROOT

README = manual.TEXTS[ROOT / "README.md"]
OPERATIONS = manual.TEXTS[manual.DIRECTORY / "operations.md"]
VERDICTS_PAGE = manual.TEXTS[manual.DIRECTORY / "verdicts.md"]
PROGRAM = typer.main.get_command(make_app())
WRITTEN = sorted(manual.PAGES)


def test_the_layers_of_the_architecture_page_are_those_of_the_contract() -> None:
    """A package that moves to another layer moves on the page as well."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    [layers] = [c["layers"] for c in contracts if c["name"] == "Packages are layers"]
    described = manual.block("text", "retention_rules | series\ncore")
    assert described.splitlines() == [line.replace("checkpointd.", "") for line in layers]


def test_the_readme_is_short() -> None:
    """A stranger reads it to the end; everything else is in the manual."""
    assert len(README.splitlines()) <= 200


def test_every_page_is_a_topic() -> None:
    """In the order of `TOPICS`, each with a title and a sentence of what it is about."""
    assert {path.stem for path in WRITTEN} == set(TOPICS)
    for topic in topics():
        assert topic.title
        assert topic.summary.endswith("."), topic.name
        assert f"({os.path.relpath(manual.DIRECTORY, ROOT)}/{topic.name}.md)" in README


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_the_generated_tables_are_those_of_the_code(path: Path) -> None:
    """Word for word: keys, reasons, metrics, commands, exit codes."""
    text = manual.PAGES[path]
    assert refreshed(text, PROGRAM) == text, f"{path.name} is out of date: run python .ci/docs"


def test_each_reason_is_in_the_table_with_its_verdict_and_its_cure() -> None:
    """The table of reasons is that of the program, word for word."""
    rows = re.findall(r"^\| `(\w+\.\w+)` \| ([\w, ]+) \| (.+) \|$", VERDICTS_PAGE, re.MULTILINE)
    assert {name: (verdict, cure) for name, verdict, cure in rows} == {
        name: (VERDICTS[reason.severity], reason.cure)
        for name, reason in REASONS.items()
        if name.partition(".")[2] not in GENERAL
    }


@pytest.mark.parametrize("name", sorted({n for n in REASONS if n.partition(".")[2] not in GENERAL}))
def test_each_reason_has_a_section_that_explains_it(name: str) -> None:
    """An unexplained reason fails here: write a section in verdicts.md."""
    assert section("verdicts", name).endswith((".", "?"))


@pytest.mark.parametrize("word", sorted([*GENERAL, "check_error"]))
def test_each_word_in_which_every_check_may_end_has_a_section(word: str) -> None:
    """So that `explain load.timeout` has something to print."""
    assert section("verdicts", word)


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_is_described(check: str) -> None:
    """In the table of verdicts.md."""
    assert re.search(rf"^\| `{check}` \|", VERDICTS_PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "link"),
    [
        (path, link)
        for path, text in manual.TEXTS.items()
        for link in re.findall(r"\]\(([^):]+)\)", text)
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_each_link_leads_to_a_file_and_a_section(path: Path, link: str) -> None:
    """Of the README, and between the pages."""
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    assert target.exists()
    if anchor:
        titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert anchor in slugs


def test_the_pages_link_to_nothing_that_is_not_shipped() -> None:
    """What a page links to is in the wheel too: another page, or a module."""
    for path, text in manual.PAGES.items():
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / link).resolve().is_relative_to(ROOT / "checkpointd"), link


@pytest.mark.parametrize("text", manual.blocks("toml"))
def test_each_example_config_is_valid(text: str) -> None:
    """What can be copied works."""
    parse(tomllib.loads(text), Path("/etc/checkpointd/config.toml"))


@pytest.mark.parametrize("words", manual.commands(), ids=" ".join)
def test_each_command_that_is_shown_exists_with_its_options(words: tuple[str, ...]) -> None:
    """Parsed by the real command line, without running it."""
    parsed(PROGRAM, "checkpointd", list(words))


def parsed(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Parse a command line down to its last command."""
    try:
        context = command.make_context(name, words, parent=parent)
    except Exception as error:
        # In prose a command may stand without its argument; --help ends it.
        if type(error).__name__ in ("MissingParameter", "Exit", "NoArgsIsHelpError"):
            return
        raise
    below = getattr(command, "commands", None)
    if below is None:
        return
    rest = [*context._protected_args, *context.args]
    assert rest[:1], f"{name}: no command"
    assert rest[0] in below, f"there is no command {rest[0]!r}"
    parsed(below[rest[0]], rest[0], rest[1:], context)


def test_each_metric_that_is_named_exists() -> None:
    """In alerts, runbooks and other pages; labels with the values that they can have."""
    known = set(re.findall(r"^\| `(checkpointd_\w+)` \|", OPERATIONS, re.MULTILINE))
    for path, text in manual.TEXTS.items():
        for name in re.findall(r"\bcheckpointd_\w+", text):
            stem = re.sub(r"_(bucket|count|sum)$", "", name)
            assert {name, stem} & known or name == "checkpointd_docs", f"{path.name}: {name}"


def test_a_page_is_shown_without_the_marks_of_its_blocks() -> None:
    """They are for the tools."""
    assert "<!--" not in page("verdicts", PROGRAM)
    with pytest.raises(KeyError):
        page("../README", PROGRAM)


def test_each_package_is_in_the_architecture() -> None:
    """Also a new one; what a pull leaves of a package that is gone is a cache, and no package."""
    text = manual.TEXTS[manual.DIRECTORY / "architecture.md"]
    for path in (ROOT / "checkpointd").iterdir():
        if any(path.glob("*.py")) or any(path.glob("*.md")):
            assert f"`{path.name}/" in text, path.name


def test_each_file_that_contributing_names_is_there() -> None:
    """Where to start must exist."""
    text = manual.TEXTS[manual.DIRECTORY / "contributing.md"]
    named = re.findall(r"`((?:checkpointd|tests)/[\w/.]+)`", text)
    assert named
    for name in named:
        assert "NAME" in name or "/a/b/" in name or (ROOT / name).exists(), name
