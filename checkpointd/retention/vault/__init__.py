"""The vault of one root: copies of the last valid contents of paths that are overwritten.

An item is `ROOT/.checkpointd/vault/<time>-<random>/`, laid out as an item of the trash is; its
manifest is written when the copy has been compared, so what a crash leaves has none.
"""

from checkpointd.retention.vault.choice import (
    REPLACED,
    copies_to_keep,
    is_copy_wanted,
    to_copy,
    too_many,
)
from checkpointd.retention.vault.restoring import restore_copy
from checkpointd.retention.vault.store import Copy, Vault

__all__ = [
    "REPLACED",
    "Copy",
    "Vault",
    "copies_to_keep",
    "is_copy_wanted",
    "restore_copy",
    "to_copy",
    "too_many",
]
