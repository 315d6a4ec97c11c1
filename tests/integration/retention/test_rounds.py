"""A round of many removals: several at once, one walk, and the same certainty for each."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.ledger import Ledger, State
from checkpointd.retention import Pruner, reference_index, reference_walk
from checkpointd.retention.reference_index import ReferenceIndex
from tests.helpers.ledger import WRITERS, generation_on_disk, record_verdict, tree
from tests.helpers.retention import POLICY, Field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.retention import Removal, RetentionPlan

COUNT = 40


class _InOneThread:
    """A ledger that is called from several threads and used in one, as in the daemon."""

    def __init__(self, top: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._ledger: Ledger = self._thread.submit(Ledger.open, top / "state").result()

    @property
    def identity(self) -> str:
        """The ledger's id."""
        return self._thread.submit(lambda: self._ledger.identity).result()

    def __getattr__(self, name: str) -> Any:
        method = self._thread.submit(getattr, self._ledger, name).result()
        if not callable(method):
            return method
        return lambda *args, **keys: self._thread.submit(method, *args, **keys).result()


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Field]:
    """A root with many checkpoints, the ledger and a pruner with eight threads."""
    field = Field(tmp_path)
    field.ledger.close()
    field.ledger = _InOneThread(tmp_path)  # type: ignore[assignment]
    field.pruner = Pruner(str(field.root), field.ledger, threads=8)
    yield field
    field.ledger.close()


def _write(field: Field, kind: str) -> None:
    for number in range(COUNT):
        path = field.root / f"run{number % 4}" / f"ckpt-{number}"
        record_verdict(field.ledger, WRITERS[kind](path, 1000.0 + number))


def _apply(field: Field, planned: RetentionPlan, **options: Any) -> list[Removal]:
    return Pruner(str(field.root), field.ledger, threads=8, **options).apply(planned)


@pytest.mark.parametrize("kind", WRITERS)
def test_many_are_removed_at_once_and_come_back(many: Field, kind: str) -> None:
    """Each has its own item; what stays is what the rules keep."""
    _write(many, kind)
    before = tree(many.root)
    results = many.prune()
    assert [r.done for r in results] == [True] * (COUNT - 2)
    assert len(many.pruner.trash.items()) == COUNT - 2
    assert {f.split("/")[1].split(".")[0] for f in tree(many.root)} == {"ckpt-38", "ckpt-39"}
    states = [e.state for e in many.ledger.entries(states=list(State))]
    assert states.count(State.TRASHED) == COUNT - 2
    for item in many.pruner.trash.items():
        many.pruner.restore(item.id)
    assert tree(many.root) == before


def test_the_floor_holds_while_several_are_removed(many: Field) -> None:
    """Others that are on their way into the trash are none of those that stay."""
    _write(many, "file")
    planned = many.plan()
    for number in range(COUNT - 2, COUNT):
        (many.root / f"run{number % 4}" / f"ckpt-{number}").unlink()
    lowest = [COUNT]

    def count(step: str) -> None:
        if step == "compare":
            lowest[0] = min(lowest[0], len(tree(many.root)))

    _apply(many, planned, on_step=count)
    assert min(lowest[0], len(tree(many.root))) >= POLICY.keep_min_valid


def test_the_root_is_walked_once_a_round(many: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories in which nothing changes are listed once, not again for each removal."""
    _write(many, "file")
    for number in range(50):
        (many.root / "other" / str(number)).mkdir(parents=True)
    for path in (*(many.root / "other").iterdir(), many.root / "other"):
        os.utime(path, (1000, 1000))
    monkeypatch.setattr(reference_walk, "_RECENT_NS", 0)
    listed: list[str] = []
    scandir = os.scandir

    def note(path: Any) -> Any:
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    index = ReferenceIndex(str(many.root))
    index.sweep()
    results = many.pruner.apply(many.plan(), index)
    assert all(r.done for r in results)
    # Twice: in `plan` of this test, and in the index.
    assert sum("/other/" in path for path in listed) == 2 * 50


def test_a_link_that_appears_between_sweeps_brings_its_checkpoint_back(
    many: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a tree that takes long to sweep, the sweep at the end of the round finds it."""
    monkeypatch.setattr(reference_index, "_SWEEP_SHARE", 1e9)
    _write(many, "prefix")
    planned = many.plan()
    before = {f: d for f, d in tree(many.root).items() if "ckpt-3." in f}
    index = ReferenceIndex(str(many.root))
    index.sweep()

    def link(step: str) -> None:
        if step == "mark" and not (many.root / "best").is_symlink():
            (many.root / "best").symlink_to("run3/ckpt-3.index")

    results = Pruner(str(many.root), many.ledger, on_step=link).apply(planned, index)
    (refused,) = (r for r in results if not r.done)
    assert refused.entry.path == str(many.root / "run3" / "ckpt-3")
    assert "names it now" in refused.reason
    assert {f: d for f, d in tree(many.root).items() if "ckpt-3." in f} == before
    entry = many.ledger.entry(refused.entry.path)
    assert entry is not None
    assert (entry.state, entry.pinned) == (State.VALID, False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("number", range(5, 400, 40))
def test_a_round_of_several_threads_killed_anywhere_loses_nothing(
    tmp_path: Path, kind: str, number: int
) -> None:
    """After a restart every checkpoint is whole, at its path or in the trash."""
    field = Field(tmp_path)
    _write(field, kind)
    everything = tree(field.root)
    field.ledger.close()
    child = os.fork()
    if child == 0:
        steps = iter(range(number))
        try:
            many = _InOneThread(tmp_path)
            field.ledger = many  # type: ignore[assignment]

            def die(_: str) -> None:
                if next(steps, None) is None:
                    os._exit(9)

            _apply(field, field.plan(), on_step=die)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
    field.ledger = Ledger.open(tmp_path / "state")
    pruner = Pruner(str(field.root), field.ledger)
    assert not [r for r in pruner.recover() if r.outcome == "unclear"]
    intact = sum(
        generation_on_disk_is(e.path, [m.name for m in e.generation.members])
        for e in field.ledger.entries(states=list(State))
    )
    assert intact >= POLICY.keep_min_valid
    assert pruner.recover() is not None
    for item in pruner.trash.items():
        pruner.restore(item.id)
    assert tree(field.root) == everything
    field.ledger.close()


def generation_on_disk_is(path: str, members: list[str]) -> bool:
    """Whether all members are at a path."""
    try:
        return bool(generation_on_disk(path, members))
    except FileNotFoundError:
        return False
