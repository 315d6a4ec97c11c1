"""The records in a root: copies of its pins, which ledger it belongs to, a lock.

All of it is in `ROOT/.checkpointd/`, and only who removes checkpoints there writes it. With it
pins and the trash are found again when the state directory is replaced or the root is renamed, and
two daemons never prune the same root.
"""

from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.root.keeper import RootKeeper
from checkpointd.retention.root.records import RootLedger

__all__ = ["RootDoubts", "RootKeeper", "RootLedger"]
