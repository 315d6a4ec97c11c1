"""The rules that choose by the training step."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.steps import KeepEveryNSteps, KeepSteps


def _saved(*steps: int | None) -> list[SavedCheckpoint]:
    """Checkpoints of these steps in the order of saving, newest first; ids count from 0."""
    return [SavedCheckpoint(i, float(i), step=s) for i, s in enumerate(steps)][::-1]


def test_every_n_steps_is_counted_in_each_run() -> None:
    """A job started again in the same directory counts anew."""
    claimed = KeepEveryNSteps(200).claim(_saved(100, 200, 300, 400, 50, 150, 250, 350), 0)
    assert set(claimed) == {0, 1, 3, 4, 6}
    assert claimed[6] == "step 250 is the first from 200 on (keep_every_n_steps)"


def test_a_checkpoint_without_a_step_is_kept() -> None:
    """The rule cannot be evaluated for it; it starts no run."""
    claimed = KeepEveryNSteps(10).claim(_saved(1, None, 5, 12), 0)
    assert set(claimed) == {0, 1, 3}
    assert claimed[1] == "it has no training step, and keep_every_n_steps needs one"
    assert set(KeepSteps((5, 12)).claim(_saved(1, None, 5, 12), 0)) == {1, 2, 3}


def test_exact_keeps_multiples_alone() -> None:
    """As Orbax's EveryNSteps does by default."""
    claimed = KeepEveryNSteps(100, "exact").claim(_saved(0, 99, 100, 101, 200, 100), 0)
    assert set(claimed) == {0, 2, 4, 5}
    assert claimed[2] == "step 100 is a multiple of 100 (keep_every_n_steps)"


def test_at_least_counts_from_the_one_kept_before() -> None:
    """The first of each run stays."""
    claimed = KeepEveryNSteps(100, "at_least").claim(_saved(30, 120, 130, 229, 231, 5, 50, 105), 0)
    assert set(claimed) == {0, 2, 4, 5, 7}
    assert claimed[0] == "step 30 is the first of its run (keep_every_n_steps)"
    assert "step 130 is at least 100 after 30" in claimed[2]


def test_closest_keeps_the_nearest_to_each_multiple_and_the_last() -> None:
    """Of two that are equally near the later."""
    claimed = KeepEveryNSteps(100, "closest").claim(_saved(10, 90, 95, 105, 220, 240), 0)
    assert set(claimed) == {0, 3, 4, 5}
    assert claimed[3] == "step 105 is the closest to 100 (keep_every_n_steps)"
    assert claimed[5] == "step 240 is the last of its run (keep_every_n_steps)"
