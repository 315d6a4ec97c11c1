"""`attest verify` on checkpoints that change, move, or claim too much."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.attestation import digests, envelope, keys, statement
from checkpointd.cli.attest_commands import _verified
from checkpointd.formats import locate
from tests.helpers.bundles import write_bundle
from tests.unit.attestation.conftest import make_key

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "ckpt-7"


@pytest.fixture
def gate(tmp_path: Path) -> Any:
    """A checkpoint with its attestation; what the gate says to it: exit code and message."""
    private, public = make_key(tmp_path, "k", "-algorithm", "ed25519")
    write_bundle(tmp_path / PREFIX, {"a/.ATTRIBUTES/VARIABLE_VALUE": np.ones(9, np.float32)})
    found = located(tmp_path / PREFIX)
    payload = statement.write(
        PREFIX,
        digests.of_checkpoint(found.path, found.hint),
        ["intact", "loads"],
        verifier="pkg:pypi/checkpointd@0",
        created="2026-01-01T00:00:00Z",
        details={"path": found.path},
    )
    data = envelope.sign(payload, keys.read_private(private))

    def ask(path: Path = tmp_path / PREFIX, requires: tuple[str, ...] = ()) -> tuple[int, str]:
        code, message, _ = _verified(located(path), data, keys.read_public(public), list(requires))
        return code, message

    return ask


def located(path: Path) -> Any:
    """What is at a path."""
    found = locate(str(path))
    assert found is not None
    return found


def test_it_holds_for_the_same_bytes_wherever_they_are(gate: Any, tmp_path: Path) -> None:
    """A copy in another directory is what was verified; under other names it is not."""
    assert gate() == (0, "")
    assert gate(requires=("loads", "intact"))[0] == 0
    (tmp_path / "copy").mkdir()
    for file in tmp_path.glob(f"{PREFIX}.*"):
        shutil.copy(file, tmp_path / "copy")
        shutil.copy(file, tmp_path / file.name.replace(PREFIX, "ckpt-8"))
    assert gate(tmp_path / "copy" / PREFIX)[0] == 0
    assert gate(tmp_path / "ckpt-8")[0] == 1


def test_a_weaker_claim_than_asked_for_does_not_pass(gate: Any) -> None:
    """Nothing is wrong, and nothing is proved."""
    code, message = gate(requires=("resumes",))
    assert (code, message) == (
        3,
        "The attestation holds and states intact, loads, but not resumes.",
    )


def test_one_flipped_bit_and_a_later_save_do_not_pass(gate: Any, tmp_path: Path) -> None:
    """Whatever size and times say."""
    shard = tmp_path / f"{PREFIX}.data-00000-of-00001"
    data, times = bytearray(shard.read_bytes()), shard.stat()
    data[3] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    code, message = gate()
    assert code == 1
    assert message.endswith("ckpt-7.data-00000-of-00001 has other content.")
    write_bundle(tmp_path / PREFIX, {"a/.ATTRIBUTES/VARIABLE_VALUE": np.zeros(9, np.float32)})
    assert "about other content, that of 2026-01-01T00:00:00Z" in gate()[1]


def test_a_link_that_is_exchanged_while_it_is_read_is_noticed(
    gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The good bytes were read, and the path leads to others afterwards."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for file in tmp_path.glob(f"{PREFIX}.*"):
            shutil.copy(file, tmp_path / name)
    (tmp_path / "bad" / f"{PREFIX}.data-00000-of-00001").write_bytes(b"\0" * 36)
    (tmp_path / "linked").mkdir()
    links = {name.name: tmp_path / "linked" / name.name for name in (tmp_path / "good").iterdir()}
    for name, link in links.items():
        link.symlink_to(tmp_path / "good" / name)
    assert gate(tmp_path / "linked" / PREFIX)[0] == 0
    read = digests._of_file

    def swapping(path: str, blocks: digests.Blocks) -> tuple[int, str]:
        result = read(path, blocks)
        for name, link in links.items():
            link.unlink()
            link.symlink_to(tmp_path / "bad" / name)
        return result

    monkeypatch.setattr(digests, "_of_file", swapping)
    assert gate(tmp_path / "linked" / PREFIX)[0] in (1, 3)
    monkeypatch.undo()
    assert gate(tmp_path / "linked" / PREFIX)[0] == 1
