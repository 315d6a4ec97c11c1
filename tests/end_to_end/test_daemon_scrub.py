"""Bit rot for real: blocks of a file system's image are flipped while it is not mounted."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import SCANNING, eventually
from tests.helpers.mounts import without
from tests.helpers.watch import offset_of_a_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]

_BLOCK = 1024


@dataclass
class Disk:
    """A small ext4 in a file, mounted where a daemon watches."""

    image: Path
    mount: Path

    def up(self) -> bool:
        """Mount it; False where this machine cannot."""
        command = ["mount", "-o", "loop", str(self.image), str(self.mount)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def down(self) -> None:
        """Unmount it, everything written."""
        subprocess.run(["umount", str(self.mount)], check=False, capture_output=True)

    def rot(self, block: bytes, at: int) -> None:
        """Flip one bit of a block of a file, wherever the image has that block."""
        data = bytearray(self.image.read_bytes())
        assert data.count(block) == 1
        data[data.index(block) + at] ^= 0x10
        self.image.write_bytes(data)


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Disk]:
    """The watched directory on a file system of its own."""
    made = Disk(daemon.home / "image", daemon.runs)
    with made.image.open("wb") as file:
        file.truncate(32 << 20)
    if shutil.which("mkfs.ext4") is None:
        without("mkfs.ext4 is not on this machine")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(made.image)], check=True, capture_output=True)
    if not made.up():
        without("this machine mounts no loop device")
    yield made
    made.down()


def test_a_bit_that_rots_on_the_disk_is_found_by_reading_again(
    daemon: Daemon, made: Path, disk: Disk
) -> None:
    """HDF5 has no checksum, nobody has touched the file: only the digest of before can tell."""
    path, other = daemon.runs / "golden.h5", daemon.runs / "plain.keras"
    shutil.copy(made / "golden.h5", path)
    shutil.copy(made / "plain.keras", other)
    daemon.config.write_text(SCANNING)
    daemon.start()
    assert daemon.verdict(path)["verdict"] == "valid"
    assert daemon.verdict(other)["verdict"] == "valid"
    assert daemon.stop() == 0
    block, at = divmod(offset_of_a_kernel(path), _BLOCK)
    content = path.read_bytes()[block * _BLOCK :][:_BLOCK]
    disk.down()
    disk.rot(content, at)
    assert disk.up()
    daemon.config.write_text(SCANNING.replace("torn_after", 'scrub_every = "2s"\ntorn_after'))
    daemon.start()

    def rotten() -> bool:
        entry = daemon.entry(path)
        return (entry["verdict"], entry["reason"]) == ("invalid", "integrity.bit_rot")

    eventually("the rot to be found", rotten)
    eventually(
        "the other one to be read again",
        lambda: 'scrubs_total{watch="runs"} 0' not in daemon.text("/metrics"),
    )
    assert daemon.entry(other)["verdict"] == "valid"
    verdicts = [e for e in daemon.events() if "shown" in e]
    assert [e["path"] for e in verdicts] == [str(path)]
    again = daemon.cli("verify", "--record", str(path))
    assert again.returncode == 1
    assert "integrity.bit_rot" in again.stdout
