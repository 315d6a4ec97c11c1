"""The rules that choose by the training step."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.steps import KeepEveryNSteps


def _saved(*steps: int | None) -> list[SavedCheckpoint]:
    """Checkpoints of these steps in the order of saving, newest first; ids count from 0."""
    return [SavedCheckpoint(i, float(i), step=s) for i, s in enumerate(steps)][::-1]


def test_every_n_steps_is_counted_in_each_run() -> None:
    """A job started again in the same directory counts anew."""
    claimed = KeepEveryNSteps(200).claim(_saved(100, 200, 300, 400, 50, 150, 250, 350), 0)
    assert set(claimed) == {0, 1, 3, 4, 6}
    assert claimed[6] == "step 250 is the first from 200 on (keep_every_n_steps)"


def test_a_checkpoint_without_a_step_is_not_claimed() -> None:
    """And starts no run."""
    assert set(KeepEveryNSteps(10).claim(_saved(1, None, 5, 12), 0)) == {0, 3}
