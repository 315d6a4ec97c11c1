"""What is doubtful about the ledger of a watch of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.root.inspection import RootView, put_back_text, rebuilt_text

if TYPE_CHECKING:
    from checkpointd.retention.root.records import RootReader


def view_bucket(watch: str, records: RootReader) -> RootView:
    """Look at what the ledger says of itself."""
    rebuilt, put_back = rebuilt_text(watch, records), put_back_text(watch, records)
    return RootView(RootDoubts(rebuilt=rebuilt, put_back=put_back))
