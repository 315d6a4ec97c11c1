"""`docs`: pages of the manual on the command line, and the man page."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import typer

from checkpointd.cli import errors
from checkpointd.cli.app import make_app
from checkpointd.cli.errors import EXIT_CODES
from checkpointd.cli.main import run
from checkpointd.cli.manual.command_tree import command_tree
from checkpointd.cli.manual.man_page import man_page
from checkpointd.cli.manual.pages import TOPICS, page, topics, without_links

PROGRAM = typer.main.get_command(make_app())


def test_without_a_topic_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each: the name and a sentence."""
    assert run(["docs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(TOPICS)
    assert all(line.endswith(topic.summary) for line, topic in zip(lines, topics(), strict=True))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_that_is_piped_is_plain_markdown(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is in the package, without the marks of generated tables."""
    assert run(["docs", topic]) == 0
    assert capsys.readouterr().out == page(topic, PROGRAM)


def test_an_unknown_topic_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the list."""
    assert run(["docs", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert all(topic in error for topic in TOPICS)


def test_the_man_page_holds_every_command_option_exit_code_and_page() -> None:
    """It is made from the same sources as the manual."""
    text = man_page(PROGRAM).replace(r"\-", "-")
    for command in command_tree(PROGRAM):
        assert command.name == "checkpointd" or command.name.partition(" ")[2] in text
        for parameter in command.parameters:
            assert parameter.usage in text
    for code, meaning in EXIT_CODES.items():
        assert f"\\fB{code}\\fR\n{meaning.replace('`', '')}" in text
    assert all(topic in text for topic in TOPICS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_the_man_page_is_good_roff(capsys: pytest.CaptureFixture[str]) -> None:
    """Groff warns of nothing."""
    assert run(["docs", "--man"]) == 0
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=capsys.readouterr().out,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_every_exit_code_has_a_meaning() -> None:
    """An undocumented one fails here: add it to `EXIT_CODES`."""
    codes = {value for value in vars(errors).values() if isinstance(value, int)}
    assert codes == set(EXIT_CODES)


def test_a_terminal_shows_the_command_in_place_of_a_link() -> None:
    """Nobody can open `operations.md#alerts` from there."""
    text = "See [operations](operations.md#alerts), [pinned](commands.md) and [A watch](#a-watch)."
    assert without_links(text) == (
        'See `checkpointd docs operations`, pinned (`checkpointd docs commands`) and "A watch".'
    )
