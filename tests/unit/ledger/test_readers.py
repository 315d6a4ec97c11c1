"""Who may read the ledger: whom the umask lets, also while the daemon writes it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.permissions import group_name
from checkpointd.ledger import Ledger, NoLedgerError, StateLock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
GROUP, STRANGER = 65_500, 65_533
_READ = """
import pathlib, sys
from checkpointd.ledger import Ledger, LedgerError
try:
    print(*[pin.path for pin in Ledger.open(pathlib.Path(sys.argv[1]), readonly=True).pins()])
except LedgerError as error:
    print(error)
"""


@pytest.fixture
def umask() -> Iterator[None]:
    """The umask of the unit that we ship: the group reads, nobody else does."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    """The ledger, its journal and the pins are the group's to read; the lock is nobody else's."""
    ledger = Ledger.open(tmp_path)
    ledger.pin("/w/ckpt-1")
    with StateLock(tmp_path):
        modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in tmp_path.iterdir()}
    ledger.close()
    assert modes.pop("lock") == "0o600"
    assert len(modes) == 4
    assert set(modes.values()) == {"0o640"}


@pytest.mark.usefixtures("umask")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not there")
def test_a_colleague_in_the_group_reads_what_only_the_daemon_writes() -> None:
    """While it runs and after it has stopped; who is in no such group gets a sentence."""
    state = Path(tempfile.mkdtemp())
    try:
        os.chown(state, 0, GROUP)
        state.chmod(0o2750)
        ledger = Ledger.open(state)
        ledger.pin("/w/ckpt-1")
        assert _read_as(GROUP, state) == "/w/ckpt-1"
        ledger.pin("/w/ckpt-2")
        assert _read_as(GROUP, state) == "/w/ckpt-1 /w/ckpt-2"
        assert f"Join the group {group_name(GROUP)} " in _read_as(STRANGER, state)
        ledger.close()
        assert _read_as(GROUP, state) == "/w/ckpt-1 /w/ckpt-2"
    finally:
        shutil.rmtree(state)


def _read_as(group: int, state: Path) -> str:
    become = ["setpriv", f"--reuid={STRANGER}", f"--regid={group}", "--clear-groups"]
    done = subprocess.run(
        [*become, sys.executable, "-B", "-c", _READ, str(state)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PYTHONPATH": str(ROOT)},
    )
    if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("nobody else can read this working copy")
    assert not done.stderr
    return done.stdout.strip()


def test_a_ledger_that_is_being_made_is_none_yet(tmp_path: Path) -> None:
    """Between the file's creation and its tables there is nothing wrong with it."""
    (tmp_path / "ledger.sqlite").touch()
    with pytest.raises(NoLedgerError, match="There is no ledger"):
        Ledger.open(tmp_path, readonly=True)
