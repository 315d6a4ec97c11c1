"""The tags that a root holds about itself, beside its pins."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import WatchSettings
from checkpointd.ledger import State
from checkpointd.retention import Pruner
from checkpointd.retention.files import opened_root
from checkpointd.retention.root import record_file
from checkpointd.retention.root.record_file import opened_records
from checkpointd.retention.watch_plan import plan_watch
from tests.helpers.retention import POLICY
from tests.helpers.roots import RECORDS, another_ledger, doubts, keeper, known_again, synchronize

if TYPE_CHECKING:
    from tests.helpers.retention import Field


def test_tags_are_found_again_as_pins_are(field: Field) -> None:
    """With a new state directory, after the root was renamed; what was removed stays removed."""
    field.write("file", 4)
    for name, tag in (("ckpt-0", "prod"), ("ckpt-0", "eval"), ("ckpt-1", "prod")):
        field.ledger.tag(str(field.root / name), tag)
    field.ledger.untag(str(field.root / "ckpt-1"), "prod")
    field.ledger.pin(str(field.root / "ckpt-1"))
    synchronize(keeper(field))
    new = another_ledger(field)
    known_again(field, new)
    policy = POLICY.model_copy(update={"keep_tags": ("prod,eval",)})
    watch = WatchSettings(name="w", path=field.root, retention=policy)
    seen = {Path(d.entry.path).name: d for d in plan_watch(new, watch, time.time()).decisions}
    assert seen["ckpt-0"].entry.tags == {"prod", "eval"}
    assert (seen["ckpt-1"].entry.pinned, seen["ckpt-1"].entry.tags) == (True, set())
    assert seen["ckpt-0"].reasons == ("it is tagged prod and eval (keep_tags)",)
    assert new.tags() == []
    moved = field.root.with_name("moved")
    field.root.rename(moved)
    field.root = moved
    synchronize(keeper(field, new), enforce=False)
    assert {one.key for one in new.tags()} == {(str(moved / "ckpt-0"), t) for t in ("prod", "eval")}


@pytest.mark.parametrize("tags", [None, [], [{"id": "x", "path": "a", "tag": "b,c", "at": 1.0}]])
def test_a_copy_without_tags_is_one_of_an_earlier_version(
    field: Field, tags: list[dict[str, Any]] | None
) -> None:
    """Its pins count, and it is written again; one with what is no tag is damaged."""
    field.write("file", 3)
    pin = {"id": "one", "path": "ckpt-0", "note": "prod", "at": 1.0}
    synchronize(keeper(field))
    body = {"pins": [pin], **({} if tags is None else {"tags": tags})}
    with opened_root(str(field.root)) as root_fd, opened_records(root_fd) as records_fd:
        record_file.write(records_fd, "pins.json", body, lambda _: None)
    assert doubts(synchronize(keeper(field))) == ({"pins"} if tags else set())
    assert [p.note for p in field.ledger.pins()] == ([] if tags else ["prod"])
    written = json.loads((field.root / RECORDS / "pins.json").read_bytes())
    assert written.get("tags") == (tags or [])


def test_what_is_tagged_after_it_was_planned_stays(field: Field) -> None:
    """The plan may be old; a tag that it knew, and that no rule names, keeps nothing."""
    field.write("file", 5)
    field.ledger.tag(str(field.root / "ckpt-0"), "known")
    planned = field.plan()
    field.ledger.tag(str(field.root / "ckpt-1"), "prod")
    done = {Path(r.entry.path).name: r for r in field.pruner.apply(planned)}
    assert done["ckpt-1"].reason == "it has been tagged since this was planned"
    assert {name for name, removal in done.items() if removal.done} == {"ckpt-0", "ckpt-2"}
    assert {p.name for p in field.root.glob("ckpt-*")} == {"ckpt-1", "ckpt-3", "ckpt-4"}


@pytest.mark.parametrize("late", ["guard", "write", "compare"])
def test_a_tag_that_comes_while_it_is_moved_keeps_it(field: Field, late: str) -> None:
    """As a pin does."""
    first, *_ = field.write("prefix", 3)
    planned = field.plan()

    def tag_late(step: str) -> None:
        if step == late:
            field.ledger.tag(first.path, "prod")

    (result,) = Pruner(str(field.root), field.ledger, on_step=tag_late).apply(planned)
    assert (result.done, result.reason) == (False, "it has been tagged since this was planned")
    assert field.state("ckpt-0") is State.VALID
