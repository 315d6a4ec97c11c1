"""A daemon with a key: what it signs, and what a gate on another host says to it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.bundles import write_bundle
from tests.helpers.cli import checkpointd
from tests.helpers.daemon import SCANNING, Daemon, daemon_in, eventually
from tests.unit.attestation.conftest import make_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that signs."""
    home = tmp_path_factory.mktemp("attest")
    make_key(home, "attest", "-algorithm", "ed25519")
    config = f'[attest]\nkey_file = "attest.key"\n{SCANNING}'
    with daemon_in(home, config) as running:
        yield running.start()


def save(daemon: Daemon, seed: int) -> None:
    """Save a checkpoint, at the same path each time."""
    values = np.random.default_rng(seed).normal(size=1000).astype(np.float32)
    write_bundle(daemon.runs / "ckpt-1", {"w/.ATTRIBUTES/VARIABLE_VALUE": values})


def test_a_gate_passes_what_the_daemon_verified_and_nothing_else(
    daemon: Daemon, tmp_path: Path
) -> None:
    """From the save to the gate; a later save has an attestation of its own."""
    file = daemon.home / "state" / "verdicts" / "runs" / "ckpt-1.intoto.jsonl"
    save(daemon, 1)
    first = eventually(f"it is attested\n{daemon.log}", lambda: file.exists() and file.read_bytes())
    verified = daemon.cli("attest", "verify", str(daemon.runs / "ckpt-1"), "--key", "runs/a.pub")
    assert verified.returncode == 2, "there is no such key"
    key = str(daemon.home / "attest.pub")
    verified = daemon.cli("attest", "verify", str(daemon.runs / "ckpt-1"), "--key", key)
    assert (verified.returncode, "attested (intact)" in verified.stdout) == (0, True), verified
    assert file.stat().st_mode & 0o777 == 0o640
    for member in daemon.runs.iterdir():
        shutil.copy(member, tmp_path)
    (tmp_path / "ckpt-1.intoto.jsonl").write_bytes(first)
    elsewhere = ("attest", "verify", str(tmp_path / "ckpt-1"), "--key", key, "--json")
    facts = json.loads(checkpointd(*elsewhere, home=tmp_path).stdout)
    assert facts["holds"]
    assert facts["statement"]["path"] == str(daemon.runs / "ckpt-1")
    assert facts["statement"]["checks"]["integrity"] == "pass"
    assert checkpointd(*elsewhere, "--requires", "runs", home=tmp_path).returncode == 3
    make_key(tmp_path, "other", "-algorithm", "ed25519")
    other_key = (*elsewhere[:4], str(tmp_path / "other.pub"), "--json")
    assert checkpointd(*other_key, home=tmp_path).returncode == 1
    shard = tmp_path / "ckpt-1.data-00000-of-00001"
    whole = shard.read_bytes()
    shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    damaged = checkpointd(*elsewhere, home=tmp_path)
    assert (damaged.returncode, json.loads(damaged.stdout)["holds"]) == (1, False)
    shard.write_bytes(whole)

    save(daemon, 2)
    second = eventually(
        f"the next one is attested\n{daemon.log}",
        lambda: file.exists() and file.read_bytes() != first and file.read_bytes(),
    )
    (tmp_path / "ckpt-1.intoto.jsonl").write_bytes(second)
    stale = checkpointd(*elsewhere, home=tmp_path)
    assert (stale.returncode, json.loads(stale.stdout)["holds"]) == (1, False)
    assert sorted(p.suffix for p in daemon.runs.iterdir()) == [".data-00000-of-00001", ".index"]


def test_a_key_that_everybody_may_read_is_a_problem_with_its_cure(daemon: Daemon) -> None:
    """Nothing is signed with it."""
    key = daemon.home / "attest.key"
    key.chmod(0o644)
    try:
        save(daemon, 3)
        eventually(f"the problem\n{daemon.log}", lambda: "chmod 600" in daemon.text("/"))
    finally:
        key.chmod(0o600)
