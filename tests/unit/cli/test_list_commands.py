"""`checkpointd list`."""

from __future__ import annotations

from checkpointd.cli import list_commands
from checkpointd.ledger import State


def test_it_lists_every_state_of_what_is_at_its_path() -> None:
    """The words are written out there, so that `--help` does not import the ledger."""
    elsewhere = {State.TRASHED, State.GONE, State.UNKNOWN}
    assert list(list_commands._STATES) == [s for s in State if s not in elsewhere]
