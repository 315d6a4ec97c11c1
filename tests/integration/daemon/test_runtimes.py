"""What is installed for an interpreter, looked at from a running loop that must never wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.daemon import last_known
from checkpointd.daemon.runtimes import Runtimes
from tests.helpers.hung import hung_file_system, needs_fuse
from tests.helpers.interpreters import bare

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_interpreter_has_changed_when_something_was_installed_and_only_then(
    tmp_path: Path,
) -> None:
    """At the first check it changes from being unknown but for its path."""
    python = bare(tmp_path / "job")
    site = next((tmp_path / "job" / "lib").glob("python3*")) / "site-packages"

    async def story() -> None:
        known = Runtimes()
        assert known.of(str(python)) == str(python)
        assert sorted(await known.check([str(python), ""])) == ["", str(python)]
        assert await known.check([str(python), ""]) == []
        (site / "mylib-1.0.dist-info").mkdir()
        assert await known.check([str(python), ""]) == [str(python)]
        assert "1 distributions" in known.of(str(python))
        known.close()

    asyncio.run(story())


@needs_fuse
def test_a_disk_that_hangs_is_not_waited_for_and_answers_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other interpreters are looked at, and the one that hung counts as changed later."""
    monkeypatch.setattr(last_known, "_CHECK_SECONDS", 0.3)
    other = str(bare(tmp_path / "job"))

    async def story() -> None:
        known = Runtimes()
        with hung_file_system(tmp_path / "nfs") as mount:
            hung = str(mount / "bin" / "python")
            for found in ([other], []):
                assert await known.check([hung, other]) == found
                assert known.of(hung) == hung
        monkeypatch.setattr(last_known, "_CHECK_SECONDS", 30.0)
        assert await known.check([hung, other]) == [hung]
        assert known.of(hung).startswith(f"{hung}: python, 0 distributions")
        known.close()

    asyncio.run(story())
