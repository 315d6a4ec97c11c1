"""Which policies were accepted, as the ledger keeps it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from checkpointd.ledger import AcceptedPolicy, Ledger, PolicyRecords

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = PolicyRecords(
    AcceptedPolicy('{"keep_last": 5}', None, 12.5),
    AcceptedPolicy('{"keep_last": 3}', 7, 13.0),
    frozenset({(12, 7), (13, 8)}),
)


def test_what_was_accepted_survives_a_restart(tmp_path: Path) -> None:
    """For its watch alone."""
    ledger = Ledger.open(tmp_path)
    assert ledger.policy_records("w") == PolicyRecords()
    ledger.record_policies("w", RECORDS)
    ledger.close()
    ledger = Ledger.open(tmp_path, readonly=True)
    assert ledger.policy_records("w") == RECORDS
    assert ledger.policy_records("v") == PolicyRecords()
    assert ledger.last_sequence() == 0
    ledger.close()


def test_a_damaged_record_confirms_nothing(tmp_path: Path) -> None:
    """A flipped bit would make another policy, or another time, of it."""
    ledger = Ledger.open(tmp_path)
    ledger.record_policies("w", RECORDS)
    ledger.close()
    connection = sqlite3.connect(tmp_path / "ledger.sqlite")
    with connection:
        connection.execute("UPDATE meta SET value = replace(value, '\"since\": 7', '\"since\": 3')")
        connection.execute("UPDATE meta SET value = 'x' WHERE key = 'accepted:w'")
        connection.execute("UPDATE meta SET value = replace(value, '[12, 7]', '[12, 9]')")
    connection.close()
    ledger = Ledger.open(tmp_path)
    assert ledger.policy_records("w") == PolicyRecords()
    ledger.close()
