"""Who may do what in an item of the trash: the users who could before, and nobody else."""

from __future__ import annotations

import pytest

from checkpointd.retention.trash.access import Access, through

ALICE, BOB, TEAM, OTHERS = 1000, 1001, 2000, 2001


@pytest.mark.parametrize(
    ("directory", "above", "expected"),
    [
        (Access(0o755, ALICE, TEAM), [], Access(0o755, ALICE, TEAM)),
        (Access(0o2775, ALICE, TEAM), [Access(0o755, 0, 0)], Access(0o2775, ALICE, TEAM)),
        (Access(0o1777, 0, 0), [], Access(0o1777, 0, 0)),
        (Access(0o500, ALICE, TEAM), [], Access(0o700, ALICE, TEAM)),
        # A closed directory above: only its owner came through.
        (Access(0o755, ALICE, TEAM), [Access(0o700, ALICE, TEAM)], Access(0o700, ALICE, TEAM)),
        (Access(0o755, BOB, TEAM), [Access(0o700, ALICE, TEAM)], Access(0o700, None, TEAM)),
        (Access(0o775, ALICE, TEAM), [Access(0o750, ALICE, TEAM)], Access(0o770, ALICE, TEAM)),
        (Access(0o775, ALICE, TEAM), [Access(0o750, ALICE, OTHERS)], Access(0o700, ALICE, TEAM)),
        # Who may pass without listing still passes.
        (Access(0o755, ALICE, TEAM), [Access(0o711, 0, 0)], Access(0o755, ALICE, TEAM)),
    ],
)
def test_an_item_is_as_open_as_its_directory_was(
    directory: Access, above: list[Access], expected: Access
) -> None:
    """Through all the directories above it."""
    assert through(directory, above) == expected


def test_users_who_may_list_the_item_may_read_its_manifest() -> None:
    """And nobody may write it."""
    assert Access(0o2775).of_files == 0o644
    assert Access(0o700).of_files == 0o600
    assert Access(0o730).of_files == 0o600
