"""How verdicts and reports look."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.cli.output import console
from checkpointd.cli.verdicts import cure, print_report, print_verdict
from checkpointd.cli.verify_commands import _exit_code
from checkpointd.cli.verifying import no_checkpoint, public_answer
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, End
from checkpointd.core.suite import REASONS

if TYPE_CHECKING:
    from pathlib import Path


def report(**more: Any) -> dict[str, Any]:
    """The public object of a report."""
    return {
        "path": "/runs/model.keras",
        "format": "keras",
        "series": "model.keras",
        "step": None,
        "size_bytes": 10,
        "verdict": "valid",
        "reason": "",
        "message": "",
        "shown": ["intact", "loads"],
        "checks": [],
        "duration_seconds": 0.4,
        "environment": {"tensorflow": "2.21.0"},
        **more,
    }


def printed(public: dict[str, Any]) -> list[str]:
    """The lines of a verdict where there is no terminal."""
    stream = io.StringIO()
    print_verdict(console(stream), public)
    return stream.getvalue().splitlines()


def test_a_valid_one_says_what_was_shown_and_how_long_it_took() -> None:
    """One line, without colours where there is no terminal."""
    assert printed(report()) == ["VALID         /runs/model.keras  intact, loads  0.4 s"]


def test_an_invalid_one_says_why_and_what_to_do() -> None:
    """The reason, the facts, and the cure of the closed list."""
    lines = printed(
        report(verdict="invalid", reason="finite.nan", message="kernel: 12 of 40960 are NaN")
    )
    assert lines == [
        "INVALID       /runs/model.keras  finite.nan  kernel: 12 of 40960 are NaN  0.4 s",
        f"              What to do: {REASONS['finite.nan'].cure}",
    ]


def test_a_warning_of_a_valid_one_is_printed() -> None:
    """It stays valid."""
    check = {
        "name": "integrity",
        "outcome": "warn",
        "reason": "integrity.golden_unbound",
        "message": "It is stale.",
    }
    lines = printed(report(checks=[check]))
    assert lines[1].strip().startswith("Note: integrity.golden_unbound: It is stale.")


def test_a_reason_of_another_version_needs_no_cure() -> None:
    """The closed list may be longer there."""
    assert cure("later.word") == ""
    assert len(printed(report(verdict="invalid", reason="later.word", message="x"))) == 1


def test_hostile_names_and_messages_are_escaped() -> None:
    """Newlines, terminal escapes and bytes that are no UTF-8 cannot forge a line."""
    path, message = "/runs/a\nVALID \x1b[31m\udcff.h5", "[bold]x[/] \x07"
    lines = printed(report(path=path, verdict="invalid", reason="finite.nan", message=message))
    assert len(lines) == 2
    assert r"/runs/a\nVALID \x1b[31m\xff.h5" in lines[0]
    assert r"[bold]x[/] \x07" in lines[0]


def test_a_report_lists_every_check_within_eighty_columns() -> None:
    """On a terminal the messages fold below each other."""
    checks = [
        {"name": "structure", "outcome": "pass", "duration_seconds": 0.01},
        {
            "name": "finite",
            "outcome": "fail",
            "reason": "finite.nan",
            "message": "dense/kernel: " + "many values " * 20,
            "duration_seconds": 0.2,
        },
        {"name": "load", "outcome": "skip", "message": "Not run."},
    ]
    stream = io.StringIO()
    out = console(stream)
    out.width = 80
    print_report(out, report(verdict="valid", checks=checks), [("saved", "yesterday")])
    lines = stream.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("saved") for line in lines)
    assert any(line.startswith("fail") and "finite.nan" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize(
    ("verdicts", "missing", "code"),
    [
        (["valid", "valid"], False, 0),
        (["valid", "invalid", "inconclusive"], True, 1),
        (["valid", None], False, 2),
        (["invalid", None], False, 1),
        (["valid", "inconclusive"], True, 2),
        (["valid", "inconclusive"], False, 3),
        ([], False, 4),
        ([], True, 2),
    ],
)
def test_the_worst_result_gives_the_exit_code(
    verdicts: list[str | None], missing: bool, code: int
) -> None:
    """Invalid before a path that is not there, before inconclusive, before nothing."""
    assert _exit_code(verdicts, missing=missing) == code


@pytest.mark.parametrize(
    ("verdicts", "refused", "code"),
    [
        (["valid"], [4], 4),
        (["valid"], [3], 3),
        (["inconclusive"], [4], 4),
        (["valid"], [4, 69, 3], 69),
        (["invalid"], [69], 1),
        ([], [1], 1),
        (["valid"], [78], 78),
    ],
)
def test_what_the_daemon_refused_counts_among_the_worst(
    verdicts: list[str | None], refused: list[int], code: int
) -> None:
    """A refusal never hides an invalid one, and is never hidden by a valid one."""
    assert _exit_code(verdicts, missing=False, refused=refused) == code


def test_a_save_that_was_never_finished_is_invalid_in_a_single_look() -> None:
    """A single run does not wait for the rest."""
    one = Checkpoint("/runs/a.keras", Format.KERAS)
    public = public_answer(one, Generation(()), Answer(End.INCOMPLETE, "No footer."))
    assert (public["verdict"], public["reason"]) == ("invalid", "structure.truncated")
    assert public["message"] == "No footer."
    assert [c["outcome"] for c in public["checks"]][:2] == ["fail", "skip"]


def test_what_is_written_all_the_time_is_inconclusive() -> None:
    """A verdict never covers a mixture of two saves."""
    one = Checkpoint("/runs/a.keras", Format.KERAS)
    public = public_answer(one, Generation(()), Answer(End.SUPERSEDED))
    assert public["verdict"] == "inconclusive"
    assert "verify it again" in public["message"]


def test_what_is_no_checkpoint_has_no_verdict() -> None:
    """Its object has the same keys as every other."""
    public = no_checkpoint("/runs/data.h5", "It has no layers.")
    assert public["verdict"] is None
    assert set(public) == set(report())
    assert public["message"] == "is no checkpoint: it has no layers."


@pytest.mark.parametrize(
    ("name", "begins", "message"),
    [
        ("m.tflite", b"\x1c\0\0\0TFL3", "is no checkpoint: it is a TensorFlow Lite model, which"),
        ("m.pb", b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`."),
        ("m.bin", b"\xff\xfe\xfd\xfc", "it is neither a SavedModel, .keras, HDF5 nor"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(
    name: str, begins: bytes, message: str, tmp_path: Path
) -> None:
    """A user who names a file wants to know why it has no verdict."""
    path = tmp_path / name
    path.write_bytes(begins)
    assert message in no_checkpoint(str(path))["message"]
