"""A checkpoint that a process has open is not moved."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WatchSettings
from checkpointd.retention import Pruner, open_files
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.ledger import record_verdict, tree, write_file
from tests.helpers.retention import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.retention import RetentionPlan
    from tests.helpers.retention import Field

_HOLD = """
import sys
with open(sys.argv[1], sys.argv[2]) as file:
    print("open", flush=True)
    for line in sys.stdin:
        file.write(line.encode())
        file.flush()
        print("written", flush=True)
"""
_MAP = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("mapped", flush=True)
sys.stdin.read()
"""
_MEMBERS = {"file": "", "prefix": ".data-00001-of-00002", "directory": "/variables/variables.index"}


class _Writer:
    """Another process that has a file open."""

    def __init__(self, path: Path, mode: str = "r+b") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("open\n")

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        self._expect("written\n")

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == line


@contextlib.contextmanager
def _open(path: Path, mode: str = "r+b") -> Iterator[_Writer]:
    writer = _Writer(path, mode)
    try:
        yield writer
    finally:
        writer.close()


@pytest.fixture(params=["lease", "proc"], autouse=True)
def _how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's answer, and by /proc where a file system grants no leases."""
    if request.param == "proc":
        monkeypatch.setattr(open_files, "_is_refused", lambda *_: None)
        monkeypatch.setattr(open_files, "_SCAN_SECONDS", 0.0)
        monkeypatch.setattr(open_files, "_SCAN_SHARE", 0.0)


def _plan(field: Field) -> RetentionPlan:
    watch = WatchSettings(name="w", path=field.root, retention=POLICY)
    return plan_watch(field.ledger, watch, time.time())


@pytest.mark.parametrize("kind", _MEMBERS)
def test_the_plan_keeps_what_is_open_and_names_the_reason(field: Field, kind: str) -> None:
    """Any member counts; what is not open goes."""
    field.write(kind, 4)
    with _open(field.root / f"ckpt-0{_MEMBERS[kind]}"):
        planned = _plan(field)
        kept = {d.entry.path: d for d in planned.kept}
        assert kept[str(field.root / "ckpt-0")].reasons == ("a process has it open for writing",)
        assert [r.done for r in field.pruner.apply(planned)] == [True]
    assert [d.entry.path for d in _plan(field).removals] == [str(field.root / "ckpt-0")]


@pytest.mark.parametrize("kind", _MEMBERS)
def test_what_is_read_stays_until_it_is_closed(field: Field, kind: str) -> None:
    """A copy, a server that loads a model: the other files must not go while one is read."""
    field.write(kind, 4)
    with _open(field.root / f"ckpt-0{_MEMBERS[kind]}", "rb"):
        planned = _plan(field)
        kept = {d.entry.path: d for d in planned.kept}
        assert kept[str(field.root / "ckpt-0")].reasons == ("a process has it open",)
        assert [r.done for r in field.pruner.apply(planned)] == [True]
    assert [d.entry.path for d in _plan(field).removals] == [str(field.root / "ckpt-0")]


def test_what_is_mapped_stays(field: Field) -> None:
    """Also after its descriptor was closed."""
    field.write("file", 3)
    process = subprocess.Popen(
        [sys.executable, "-c", _MAP, str(field.root / "ckpt-0")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mapped\n"
    assert _plan(field).removals == ()
    process.communicate()
    assert len(_plan(field).removals) == 1


def test_what_is_opened_for_reading_after_the_plan_stays(field: Field) -> None:
    """Until the end of the move."""
    field.write("prefix", 3)
    planned = _plan(field)
    before = tree(field.root)
    opened: list[_Writer] = []

    def open_late(step: str) -> None:
        if step == "guard" and not opened:
            opened.append(_Writer(field.root / "ckpt-0.index", "rb"))

    (result,) = Pruner(str(field.root), field.ledger, on_step=open_late).apply(planned)
    assert (result.done, result.reason) == (False, "a process has it open")
    assert tree(field.root) == before
    opened[0].close()


@pytest.mark.parametrize("kind", _MEMBERS)
@pytest.mark.parametrize("late", ["make", "guard", "move", "compare"])
def test_what_is_opened_after_the_plan_stays_or_comes_back(
    field: Field, kind: str, late: str
) -> None:
    """Until the end of the move; what is written then is written to where it was."""
    field.write(kind, 3)
    planned = _plan(field)
    before = tree(field.root)
    member = f"ckpt-0{_MEMBERS[kind]}"
    opened: list[_Writer] = []

    def open_late(step: str) -> None:
        if step == late and not opened:
            at = field.root / member
            moved = field.root.glob(f".checkpointd-trash/*/content/{member}")
            opened.append(_Writer(at if at.exists() else next(moved)))

    (result,) = Pruner(str(field.root), field.ledger, on_step=open_late).apply(planned)
    assert not result.done
    assert result.reason == "a process has it open for writing"
    assert tree(field.root) == before
    assert field.pruner.trash.items() == []
    opened[0].write("the next save\n")
    opened[0].close()
    assert (field.root / member).read_bytes().startswith(b"the next save")


def test_no_save_through_a_handle_that_stays_open_ends_in_the_trash(field: Field) -> None:
    """A job that opens its file once and writes each save through it: it stays at its path."""
    handle = field.root / "ckpt-0"
    with contextlib.ExitStack() as stack:
        writer: _Writer | None = None
        for number in range(20):
            for other in range(3):
                path = field.root / f"ckpt-{number}{other}9"
                record_verdict(field.ledger, write_file(path, 2000.0 + 10 * number + other))
            if writer is None:
                record_verdict(field.ledger, write_file(handle, 1000.0))
                writer = stack.enter_context(_open(handle))
            field.pruner.apply(_plan(field))
            writer.write(f"save {number:02}\n")
            assert handle.read_text().endswith(f"save {number:02}\n")
    assert [i.path for i in field.pruner.trash.items() if i.path == str(handle)] == []
