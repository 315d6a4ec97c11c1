"""Writers that take longer than `torn_after`: what they still work on is not called torn."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.helpers.formats import savedmodel
from tests.helpers.watch import hdf5_bytes, ready, watching

if TYPE_CHECKING:
    from pathlib import Path

_TORN_AFTER = 1.5
_SECONDS = 4.0


def test_what_is_open_or_arrives_under_a_temporary_name_is_waited_for(tmp_path: Path) -> None:
    """A file that its writer keeps open, and a copy whose large member comes last."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    savedmodel(elsewhere)
    whole = hdf5_bytes()
    target, opened = root / "export", root / "m.h5"
    shard = "variables/variables.data-00000-of-00001"
    part = target / "variables" / ".variables.data-00000-of-00001.a1B2c3"

    def keep_open() -> None:
        with opened.open("wb") as file:
            file.write(whole[:100])
            file.flush()
            time.sleep(_SECONDS)
            file.write(whole[100:])

    def copy() -> None:
        for path in sorted(elsewhere.rglob("*")):
            name = path.relative_to(elsewhere)
            if path.is_file() and str(name) != shard:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(path.read_bytes())
        until = time.monotonic() + _SECONDS
        with part.open("wb") as file:
            while time.monotonic() < until:
                file.write(b"x")
                file.flush()
                time.sleep(0.1)
        part.write_bytes((elsewhere / shard).read_bytes())
        part.rename(target / shard)

    with watching(root, settle=0.3, torn_after=_TORN_AFTER) as (_, recorder):
        ready(recorder)
        writers = [threading.Thread(target=work) for work in (keep_open, copy)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for path in (opened, target):
            recorder.until_seen(path)
            assert "torn" not in recorder.states(path), path
