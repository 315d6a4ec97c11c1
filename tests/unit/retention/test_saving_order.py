"""What `checkpoint` state files say of the order of saving, beside number, save time and sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.retention import find_references, plan
from checkpointd.retention.references import References
from checkpointd.retention.saving_order import SavingOrder
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from checkpointd.ledger import Entry
    from checkpointd.retention import RetentionPlan

START = NOW - 50 * HOUR


def saved(
    numbers: Sequence[int],
    times: Sequence[float] | None = None,
    *,
    together: bool = False,
    late: float = 0.0,
) -> list[Entry]:
    """Saves a minute apart, or at other times; seen one by one, or in one listing."""
    times = times or [60.0 * i for i in range(len(numbers))]
    return [
        entry(
            i,
            step=number,
            saved_at=START + at + late,
            seen=START + (9000 if together else max(at, 60 * i) + 1) + late,
            sequence=1 if together else i,
            path=f"/w/ckpt-{number}",
            kind=Format.TF_CHECKPOINT,
        )
        for i, (number, at) in enumerate(zip(numbers, times, strict=True), 1)
    ]


def state(
    numbers: Sequence[int],
    times: Sequence[float] | None = (),
    written_at: float = START + 9000,
    path: str = "/w/checkpoint",
) -> SavingOrder:
    """A state file that lists checkpoints; `times` None: a minute apart, like the saves."""
    given = [60.0 * i for i in range(len(numbers))] if times is None else times
    places = {f"/w/ckpt-{n}": i for i, n in enumerate(numbers)}
    return SavingOrder(path, places, [START + at for at in given], written_at)


def planned(entries: Sequence[Entry], *orders: SavingOrder) -> RetentionPlan:
    """What is planned with these state files, which keep nothing by themselves here."""
    references = References(saving_orders=orders)
    return plan(entries, policy(keep_last=2, min_age="1ms"), NOW, references)


def steps(of: RetentionPlan) -> set[int | None]:
    """The steps that stay."""
    return {d.entry.step for d in of.kept}


RESTARTED = [96, 97, 98, 99, 100, 1, 2, 3, 4]


@pytest.mark.parametrize("times", [(), None])
def test_a_restart_that_only_the_job_saw_begins_a_run(times: Sequence[float] | None) -> None:
    """The daemon came later: by its state file and by save time the low numbers are newer."""
    entries = saved(RESTARTED, together=True)
    assert hold_reasons(planned(entries)) == {"order_disagrees"}
    settled = planned(entries, state(RESTARTED, times))
    assert settled.holds == ()
    assert steps(settled) == {99, 100, 3, 4}


def test_a_state_file_that_agrees_with_the_number_does_not_settle_what_times_say() -> None:
    """Copied without times: the rules that go by time would be wrong."""
    copied = saved([3, 1, 2, 4], together=True)
    assert hold_reasons(planned(copied, state([1, 2, 3, 4]))) == {"order_disagrees"}


def test_a_state_file_that_contradicts_all_others_holds() -> None:
    """Two versions copied one by one, the newer first, look like a job that was started again."""
    copied = saved([2, 1])
    assert hold_reasons(planned(copied)) == set()
    held = planned(copied, state([1, 2]))
    assert hold_reasons(held) == {"order_disagrees"}
    assert "By the state file '/w/checkpoint' '/w/ckpt-1' was saved before" in held.holds[0].message
    assert 'order = "number"' in held.holds[0].cure


def test_a_job_started_again_while_its_clock_is_behind_is_noticed() -> None:
    """By number and save time 5 and 6 look copied back; the job says that it saved them last."""
    behind = [*(60.0 * i for i in range(4)), -7200.0, -7140.0]
    entries = saved([8, 9, 10, 11, 5, 6], behind)
    assert hold_reasons(planned(entries)) == set()
    listed = state([8, 9, 10, 11, 5, 6], behind)
    assert hold_reasons(planned(entries, listed)) == {"order_disagrees"}


BEHIND = {
    "a job that was killed before it wrote the state file": (
        saved([1, 2, 3, 4]), [state([1, 2, 3])],
    ),
    "a job that wrote over what is listed and was killed": (
        saved([4, 5, 3], [180.0, 240.0, 600.0]), [state([3, 4, 5], (), START + 241)],
    ),
    "the same, with time stamps": (
        saved([4, 5, 3], [180.0, 240.0, 6000.0]), [state([3, 4, 5], (120.0, 180.0, 240.0))],
    ),
    "a manager that keeps the best only, beside the one of all": (
        saved([1, 2, 3, 4, 5]),
        [state([1, 2, 3, 4, 5], None), state([2, 4], (60.0, 180.0), path="/w/checkpoint_best")],
    ),
    "a directory that was copied without its times": (
        saved([1, 2, 3], late=3600.0), [state([3, 2, 1], None)],
    ),
    "a state file of another run with the same names": (
        saved([1, 2, 3]), [state([3, 2, 1], (), START - 9000.0)],
    ),
    "something that is listed and gone": (saved([2, 4]), [state([1, 2, 3, 4, 5])]),
    "one name": (saved([1, 2]), [state([2])]),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "orders"), BEHIND.values(), ids=BEHIND)
def test_a_state_file_that_is_behind_is_no_contradiction(
    entries: list[Entry], orders: list[SavingOrder]
) -> None:
    """It says nothing of what it cannot have known."""
    assert hold_reasons(planned(entries, *orders)) == set()
    assert planned(entries, *orders).removals == planned(entries).removals


def test_the_order_is_read_from_the_files(tmp_path: Path) -> None:
    """In any spelling; a path that stands for two of the list is left out; who is latest is not."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_text(
        'model_checkpoint_path: "ckpt-1"\n'
        'all_model_checkpoint_paths: "ckpt-1"\nall_model_checkpoint_paths: "/old/run/ckpt-2"\n'
        "all_model_checkpoint_timestamps: 5.5\nall_model_checkpoint_timestamps: 7.5\n"
    )
    (tmp_path / "checkpoint_all").write_text(
        'model_checkpoint_path: "run/ckpt-2"\n'
        'all_model_checkpoint_paths: "/a/ckpt-9"\nall_model_checkpoint_paths: "/b/ckpt-9"\n'
        'all_model_checkpoint_paths: "run/ckpt-2"\n'
    )
    orders = {o.path: o for o in find_references(str(tmp_path)).saving_orders}
    of_run, of_all = orders[f"{tmp_path}/run/checkpoint"], orders[f"{tmp_path}/checkpoint_all"]
    first, second = f"{tmp_path}/run/ckpt-1", f"{tmp_path}/run/ckpt-2"
    assert (of_run.places[first], of_run.places[second]) == (0, 1)
    assert of_run.timestamps == (5.5, 7.5)
    assert of_all.places[second] == 2
    assert f"{tmp_path}/ckpt-9" not in of_all.places
    assert of_all.written_at == pytest.approx((tmp_path / "checkpoint_all").stat().st_mtime)
