"""Removals in a versioned bucket of a real S3 server: by identity, one by one, and undone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore")
pytest.importorskip("boto3")

from checkpointd.buckets.stores import deleting_store
from checkpointd.cli.bucket_items import restore_in_bucket
from checkpointd.cli.offline_retention import apply_here, plan_here
from checkpointd.config import RetentionSettings, parse
from checkpointd.ledger import Ledger, State
from checkpointd.retention import TrashError
from checkpointd.retention.buckets import BucketKeeper, view_bucket
from tests.helpers.bucket_field import BucketField, enable_versioning, versions
from tests.helpers.s3 import S3Server, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.buckets.deleting import BucketSafety, DeletingStore

KINDS = ("tf_checkpoint", "savedmodel", "keras")


class Killed(BaseException):
    """The process ended before a step."""


@pytest.fixture(scope="module")
def unversioned() -> list[BucketSafety]:
    """What the store shows before the bucket is versioned."""
    return []


@pytest.fixture(scope="module")
def store(server: S3Server, unversioned: list[BucketSafety]) -> DeletingStore:
    """The bucket, which is versioned from now on."""
    opened = deleting_store(server.url())
    unversioned.append(opened.safety())
    enable_versioning(opened)
    return opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests; each has a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def field(
    server: S3Server, store: DeletingStore, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[BucketField]:
    """A prefix of the bucket with its ledger."""
    made = BucketField(server, tmp_path, f"runs-{abs(hash(request.node.name))}", store)
    yield made
    made.ledger.close()


def test_a_store_has_to_show_both_that_deletes_are_conditional_and_that_they_can_be_undone(
    store: DeletingStore, unversioned: list[BucketSafety]
) -> None:
    """The probe writes nothing; without versioning the sentence says how to enable it."""
    before = unversioned[0]
    assert not before.deletes
    assert "put-bucket-versioning --bucket ckpts" in before.undo
    after = store.safety()
    assert (after.deletes, after.undo) == ("", "")
    listed = versions(store, ".checkpointd-probe")
    assert not listed.get("Versions")
    assert not listed.get("DeleteMarkers")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_removed_comes_back_as_it_was(field: BucketField, kind: str) -> None:
    """keep_last = 2 of 3: one goes, `restore` brings back the same content, pinned."""
    field.write(kind, 3)
    before = field.objects()
    (removal,) = field.prune()
    name = removal.entry.path.rpartition("/")[2]
    assert removal.done, removal
    assert not field.is_whole(name)
    assert all(not key.startswith(f"{field.prefix}/{name}") for key in field.objects())
    assert field.state(name) is State.TRASHED
    restored = field.pruner().restore(removal.entry.path)
    assert restored.path == removal.entry.path
    assert field.objects() == before
    assert field.is_whole(name)
    entry = field.ledger.entry(removal.entry.path)
    assert entry is not None
    assert (entry.state, entry.pinned) == (State.VALID, True)
    assert not field.prune()


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_killed_leaves_nothing_that_looks_whole(
    field: BucketField, kind: str
) -> None:
    """Before each step: what is left is whole and unchanged or refused; a restart ends it."""
    field.write(kind, 3)
    before = field.objects()
    for number in itertools.count(1, 3 if kind == "savedmodel" else 1):
        steps = itertools.count(1)

        def die(_step: str, last: int = number, steps: itertools.count[int] = steps) -> None:
            if next(steps) == last:
                raise Killed

        try:
            field.prune(die)
            break
        except Killed:
            left = field.objects()
        name = "ckpt-1.keras" if kind == "keras" else "ckpt-1"
        if field.is_whole(name):
            assert left == before
        field.pruner().recover()
        if field.objects() != before:
            assert field.state(name) is State.TRASHED
            field.pruner().restore(f"{field.root}/{name}")
            field.ledger.unpin(f"{field.root}/{name}")
        assert field.objects() == before
        assert field.is_whole(name)
        assert field.state(name) is State.VALID
        assert not [r for r in field.ledger.bucket_removals() if r.stage != "done"]
    assert number > len(before) // 3 + 1
    assert field.state(name) is State.TRASHED


def test_a_restore_that_is_killed_is_finished_by_the_next_start(field: BucketField) -> None:
    """What readers look for comes back last, so that nothing looks whole before it is."""
    field.write("tf_checkpoint", 3)
    before = field.objects()
    for number in itertools.count(1):
        (removal,) = field.prune()
        steps = itertools.count(1)

        def die(_step: str, last: int = number, steps: itertools.count[int] = steps) -> None:
            if next(steps) == last:
                raise Killed

        try:
            field.pruner(die).restore(removal.item)
            break
        except Killed:
            assert field.objects() == before or not field.is_whole("ckpt-1")
        field.pruner().recover()
        assert field.objects() == before
        assert field.state("ckpt-1") is State.VALID
        field.ledger.unpin(removal.entry.path)
    assert number == len(("restore data", "restore index", "forget")) + 1
    assert field.objects() == before


@pytest.mark.parametrize("key", ["ckpt-1.index", "ckpt-1.data-00000-of-00001"])
def test_what_is_written_over_between_plan_and_delete_survives(
    field: BucketField, server: S3Server, key: str
) -> None:
    """The delete that meets another content is refused, and what was deleted before is back."""
    field.write("tf_checkpoint", 3)
    before = field.objects()

    def write_over(step: str) -> None:
        if step == f"delete {key}":
            server.put(f"{field.prefix}/{key}", b"another content")

    (removal,) = field.prune(write_over)
    assert not removal.done
    assert "written over" in removal.reason
    assert removal.suspects == (f"{field.root}/ckpt-1",)
    after = field.objects()
    assert after.keys() == before.keys()
    assert [k for k in after if after[k] != before[k]] == [f"{field.prefix}/{key}"]
    assert field.state("ckpt-1") is State.VALID
    assert not field.ledger.bucket_removals()


def test_what_a_state_file_names_stays(field: BucketField, server: S3Server) -> None:
    """Also if the state file comes while the checkpoint is being removed."""
    field.write("tf_checkpoint", 4)
    server.put(f"{field.prefix}/checkpoint", b'model_checkpoint_path: "ckpt-1"\n')
    plan = field.plan()
    rules = {d.entry.path.rpartition("/")[2]: d.rule for d in plan.decisions}
    assert rules["ckpt-1"] == "referenced"

    def name_it(step: str) -> None:
        if step == "guard again":
            named = b'model_checkpoint_path: "/mnt/elsewhere/ckpt-2"\n'
            server.put(f"{field.prefix}/checkpoint", named)

    (removal,) = field.prune(name_it)
    assert removal.entry.path.endswith("ckpt-2")
    assert "state file" in removal.reason
    assert field.is_whole("ckpt-2")
    server.put(f"{field.prefix}/checkpoint", b"model_checkpoint_path: \n")
    assert {hold.reason for hold in field.plan().holds} == {"state_file_unreadable"}


def test_nothing_goes_below_the_floor_and_pins_stay(field: BucketField, server: S3Server) -> None:
    """The others of a series are looked for in the bucket right before each removal."""
    field.write("tf_checkpoint", 4)
    field.ledger.pin(f"{field.root}/ckpt-1")
    plan = field.plan()
    assert [d.entry.path.rpartition("/")[2] for d in plan.removals] == ["ckpt-2"]
    server.delete(f"{field.prefix}/ckpt-1.index", f"{field.prefix}/ckpt-4.index")
    field.view.refresh()
    pruner = field.pruner()
    (removal,) = pruner.apply(plan, field.references, pruner.safety())
    assert not removal.done
    assert "keep_min_valid = 2" in removal.reason
    assert field.is_whole("ckpt-2")


def test_a_restore_never_writes_over_what_is_there(field: BucketField, server: S3Server) -> None:
    """A new content at the path of what was removed stays, and the sentence says so."""
    field.write("keras", 3)
    (removal,) = field.prune()
    server.put(f"{field.prefix}/ckpt-1.keras", b"new")
    with pytest.raises(TrashError, match="another object now"):
        field.pruner().restore(removal.entry.path)
    assert len(field.ledger.bucket_removals()) == 1


def test_what_the_store_does_not_show_is_not_deleted(field: BucketField) -> None:
    """A plan is not carried out without both."""
    field.write("keras", 3)
    pruner = field.pruner()
    plan = field.plan(RetentionSettings(keep_last=1, keep_min_valid=1, min_age="1ms"))
    safety = pruner.safety()
    assert plan.removals
    assert pruner.apply(plan, field.references, replace(safety, undo="none")) == []
    assert pruner.apply(plan, field.references, replace(safety, deletes="ignored")) == []


def test_pins_outlive_the_ledger(field: BucketField, tmp_path: Path) -> None:
    """A new ledger finds the pins in the bucket, and prunes nothing before a person accepts it."""
    field.write("keras", 2)
    field.ledger.pin(f"{field.root}/ckpt-1.keras", "for the paper")
    keeper = BucketKeeper("w", field.view, field.ledger)
    assert not keeper.synchronize(enforce=True).doubts.rebuilt
    assert keeper.sign()
    assert keeper.problem == ""
    (tmp_path / "new").mkdir()
    ledger = Ledger.open(tmp_path / "new")
    doubts = view_bucket("w", field.view, ledger).doubts
    assert "belongs to another ledger" in doubts.rebuilt
    other = BucketKeeper("w", field.view, ledger)
    assert other.synchronize(enforce=True).doubts.rebuilt
    assert [pin.note for pin in ledger.pins_below(field.root)] == ["for the paper"]
    other.accept()
    assert not other.synchronize(enforce=True).doubts.rebuilt
    assert other.sign()
    assert "pruned by another checkpointd" in keeper.synchronize(enforce=True).doubts.locked
    ledger.close()


def test_the_command_line_prunes_and_restores_without_a_daemon(field: BucketField) -> None:
    """A plan changes nothing; what is carried out is confirmed by that, and comes back."""
    field.write("keras", 3)
    before = field.objects()
    retention = {"mode": "enforce", "keep_last": 1, "keep_min_valid": 1, "min_age": "1ms"}
    table = {"name": "w", "path": field.root, "retention": retention}
    config = parse({"watch": [table]}, Path("/c.toml"))
    planned = plan_here(field.ledger, config.watch[0])
    assert {hold["reason"] for hold in planned["holds"]} >= {"not_confirmed"}
    assert field.objects() == before
    (outcome,) = apply_here(field.ledger, config.watch, force=False)
    assert not outcome["skipped"]
    assert [removal["done"] for removal in outcome["removals"]] == [True, True]
    for removal in field.ledger.bucket_removals("w"):
        assert removal.undo_seconds is None
        restore_in_bucket(field.ledger, removal)
    left = {key: tag for key, tag in field.objects().items() if "/.checkpointd/" not in key}
    assert left == before
