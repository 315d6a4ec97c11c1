"""Copies of paths that are overwritten, of every kind of checkpoint, on a real disk."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.ledger import Ledger
from checkpointd.retention import TrashError, plan
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.retention.vault import Vault, store, to_copy
from tests.helpers.ledger import WRITERS, record_verdict, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.ledger import Entry

POLICY = RetentionSettings(vault=1, mode="enforce")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger beside it."""
    (tmp_path / "state").mkdir()
    opened = Ledger.open(tmp_path / "state")
    yield opened
    opened.close()


def _save(ledger: Ledger, root: Path, kind: str, at: float = 1000.0) -> Entry:
    return record_verdict(ledger, WRITERS[kind](root / "best", at))


def _kept(vault: Vault, entry: Entry) -> None:
    vault.commit(vault.copy(entry))


def _content(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in tree(root) if (root / name).is_file()}


@pytest.mark.parametrize("kind", list(WRITERS))
def test_a_copy_of_every_kind_comes_back_as_it_was(kind: str, ledger: Ledger, root: Path) -> None:
    """With its times, in no way linked to what is overwritten."""
    entry = _save(ledger, root, kind)
    before = _content(root)
    times = {name: (root / name).stat().st_mtime_ns for name in before}
    vault = Vault(str(root))
    _kept(vault, entry)
    assert vault.bytes() == entry.generation.size_bytes
    for name in before:
        assert (root / name).stat().st_nlink == 1
        (root / name).write_bytes(b"torn")
    (item,) = vault.items()
    with pytest.raises(TrashError, match="exists again"):
        vault.restore(item)
    for name in before:
        (root / name).unlink()
    if (root / "best").is_dir():
        for above, _, _ in list(os.walk(root / "best", topdown=False)):
            os.rmdir(above)
    vault.restore(item)
    after = {n: c for n, c in _content(root).items() if not n.startswith(".checkpointd")}
    assert after == before
    assert {name: (root / name).stat().st_mtime_ns for name in before} == times
    assert vault.items() == []


def test_no_more_than_the_wanted_number_of_each_path_stays(ledger: Ledger, root: Path) -> None:
    """The oldest copies go; other paths do not count."""
    vault = Vault(str(root))
    for number in range(4):
        _kept(vault, _save(ledger, root, "file", 1000.0 + number))
    other = record_verdict(ledger, WRITERS["file"](root / "other", 1000.0))
    _kept(vault, other)
    deleted = vault.expire(2)
    assert [item.manifest.generation.saved_at for item in deleted] == [1001.0, 1000.0]
    assert sorted(os.path.basename(item.path) for item in vault.items()) == [
        "best",
        "best",
        "other",
    ]


@pytest.mark.parametrize("kind", list(WRITERS))
def test_what_changes_while_it_is_copied_is_discarded(
    kind: str, ledger: Ledger, root: Path
) -> None:
    """The former copy stays."""
    entry = _save(ledger, root, kind)
    _kept(Vault(str(root)), entry)

    def overwrite(step: str) -> None:
        if step == "compare":
            name = next(iter(n for n in tree(root) if not n.startswith(".checkpointd")))
            (root / name).write_bytes(b"another save, in the same file")

    with pytest.raises(NotUnchangedError):
        Vault(str(root), on_step=overwrite).copy(entry)
    assert len(os.listdir(root / ".checkpointd" / "vault")) == 1
    assert len(Vault(str(root)).items()) == 1


@pytest.mark.parametrize("step", ["make", "copy", "compare", "write", "sync"])
def test_a_crash_leaves_a_whole_copy_or_none(step: str, ledger: Ledger, root: Path) -> None:
    """What has no manifest is removed; what has one can be restored."""
    entry = _save(ledger, root, "directory" if "directory" in WRITERS else next(iter(WRITERS)))
    child = os.fork()
    if child == 0:

        def die(at: str) -> None:
            if at == step:
                os._exit(9)

        vault = Vault(str(root), on_step=die)
        vault.commit(vault.copy(entry))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    vault = Vault(str(root))
    vault.recover()
    assert len(vault.items()) == (1 if step == "sync" else 0)
    assert len(os.listdir(root / ".checkpointd" / "vault")) == len(vault.items())


def test_nothing_is_copied_while_the_disk_is_short_of_space(
    ledger: Ledger, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's next save needs it more; the sentence names both sizes."""
    entry = _save(ledger, root, "file")
    found = store.disk_of(str(root))
    monkeypatch.setattr(store, "disk_of", lambda _: replace(found, free=5))
    with pytest.raises(TrashError, match="is not copied to the vault: 5 B are free"):
        Vault(str(root)).copy(entry)
    assert not (root / ".checkpointd" / "vault").exists()


def test_only_valid_ones_at_paths_that_are_overwritten_are_copied(
    ledger: Ledger, root: Path
) -> None:
    """Once each; what has a number in its name is followed by another name."""
    best = _save(ledger, root, "file")
    numbered = WRITERS["file"](root / "ckpt-7", 1000.0)
    record_verdict(ledger, (replace(numbered[0], version="7"), numbered[1]))

    def chosen(vault: Vault, **keys: Any) -> list[str]:
        policy = POLICY.model_copy(update=keys)
        planned = plan(ledger.entries("w"), policy, 2000.0)
        return [os.path.basename(e.path) for e in to_copy(planned, vault.items())]

    vault = Vault(str(root))
    assert chosen(vault) == ["best"]
    assert chosen(vault, require=("resumes",)) == []
    _kept(vault, best)
    assert chosen(vault) == []
    _save(ledger, root, "file", 1500.0)
    assert chosen(vault) == ["best"]
