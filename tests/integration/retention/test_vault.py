"""Copies of paths that are overwritten, of every kind of checkpoint, on a real disk."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.ledger import Ledger
from checkpointd.retention import TrashError, plan
from checkpointd.retention.confirmation import confirm_and_record, confirmed
from checkpointd.retention.trash_holds import with_trash_holds
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.retention.vault import Vault, copies_to_keep, store, to_copy
from tests.helpers import manual
from tests.helpers.ledger import WRITERS, record_verdict, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.ledger import Entry
    from checkpointd.retention import RetentionPlan

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
def test_a_crash_leaves_a_complete_copy_or_none(step: str, ledger: Ledger, root: Path) -> None:
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


def test_a_clock_that_was_put_back_does_not_cost_the_newest_copy(
    ledger: Ledger, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order in which copies were made counts."""
    vault = Vault(str(root))
    _kept(vault, _save(ledger, root, "file", 1000.0))
    now = store.time.time()
    monkeypatch.setattr(store.time, "time", lambda: now - 86400)
    _kept(vault, _save(ledger, root, "file", 2000.0))
    vault.expire(1)
    assert [item.manifest.generation.saved_at for item in vault.items()] == [2000.0]


def test_copies_of_older_versions_are_listed_and_taken_over(ledger: Ledger, root: Path) -> None:
    """Each is one rename; what was never finished there goes."""
    vault, former = Vault(str(root)), root / ".checkpointd-vault"
    _kept(vault, _save(ledger, root, "file"))
    (root / ".checkpointd" / "vault").rename(former)
    (former / "20260101T000000Z-00000000" / "content").mkdir(parents=True)
    (item,) = vault.items()
    (root / "best").unlink()
    vault.adopt()
    assert not former.exists()
    vault.restore(item)
    assert (root / "best").read_bytes()


def test_the_owner_of_a_run_can_remove_its_copies(ledger: Ledger, root: Path) -> None:
    """A copy has the owner and the mode of the directory that its checkpoint was in."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files to others")
    os.chown(root, 12345, 12345)
    root.chmod(0o750)
    _kept(Vault(str(root)), _save(ledger, root, "file"))
    made = root / ".checkpointd" / "vault"
    (item,) = made.iterdir()
    for directory in (made.parent, made, item, item / "content"):
        found = directory.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12345, 0o750)


def test_the_picture_in_the_manual_is_what_happens(ledger: Ledger, root: Path) -> None:
    """Every column of it: what is at the path, and what the vault has."""
    page = manual.TEXTS[manual.DIRECTORY / "retention.md"]
    block = page[page.index("save of best.keras ") :].split("```")[0]
    rows = [[cell.strip() for cell in re.split(r"\s{2,}", line)] for line in block.splitlines()]
    saves, verdicts, at_path, *vaults = rows
    assert saves[1:] == at_path[1:]
    for title, *kept in vaults:
        count = int(title[-1])
        vault = Vault(str(root / str(count)))
        os.makedirs(root / str(count))
        for number, verdict, copies in zip(saves[1:], verdicts[1:], kept, strict=True):
            if verdict == "valid":
                _kept(vault, _save(ledger, root / str(count), "file", float(number)))
                vault.expire(count)
            found = sorted(int(i.manifest.generation.saved_at) for i in vault.items())
            assert " ".join(map(str, found)) == copies


def test_a_lower_number_deletes_nothing_before_it_is_confirmed(ledger: Ledger, root: Path) -> None:
    """The hold says how many copies would go; with `confirm = "never"` nobody is asked."""
    vault = Vault(str(root))
    for number in range(3):
        _kept(vault, _save(ledger, root, "file", 1000.0 + number))

    def watch(**keys: Any) -> WatchSettings:
        policy = POLICY.model_copy(update=keys)
        return WatchSettings(name="w", path=root, retention=policy)

    def planned(settings: WatchSettings) -> RetentionPlan:
        made = plan(ledger.entries("w"), settings.retention, 2000.0)
        made = confirm_and_record(ledger, settings, made)
        return with_trash_holds(made, ledger, settings)

    assert planned(watch(vault=3)).kept_in_trash == ()
    (hold,) = planned(watch(vault=1)).kept_in_trash
    assert hold.message == (
        "vault was lowered from 3 to 1: copies that would be deleted for good at once: 2 (14 B); "
        "they stay."
    )
    lower = watch(vault=1).retention
    assert copies_to_keep(lower, ledger.policy_records("w")) == 3
    never = watch(vault=1, confirm="never").retention
    assert copies_to_keep(never, ledger.policy_records("w")) == 1
    accepted = confirmed(watch(vault=1), planned(watch(vault=1)), 1.0, ledger.policy_records("w"))
    ledger.record_policies("w", accepted)
    assert copies_to_keep(lower, ledger.policy_records("w")) == 1
