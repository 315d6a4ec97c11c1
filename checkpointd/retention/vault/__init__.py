"""The vault of one root: copies of the last valid contents of paths that are overwritten.

An item is `ROOT/.checkpointd-vault/<time>-<random>/`, laid out as an item of the trash is; its
manifest is written when the copy has been compared, so what a crash leaves has none.
"""

from checkpointd.retention.vault.choice import to_copy
from checkpointd.retention.vault.store import Copy, Vault

__all__ = ["Copy", "Vault", "to_copy"]
