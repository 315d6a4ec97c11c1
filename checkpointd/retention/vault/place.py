"""Where the vault of a root is: `ROOT/.checkpointd/vault/`, beside what else the root knows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats.names import FORMER_VAULT, ROOT_RECORDS
from checkpointd.retention.files import opened_root
from checkpointd.retention.root.record_file import created_records, opened_records
from checkpointd.retention.trash import TrashPlace
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "vault"


@dataclass(frozen=True)
class VaultPlace(TrashPlace):
    """The vault of one root."""

    @property
    def is_inside(self) -> bool:
        """It goes wherever the root goes."""
        return True

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open its directory.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be opened.
        """
        with (
            opened_root(self.root) as root_fd,
            opened_records(root_fd) as records_fd,
            opened(_NAME, records_fd) as vault_fd,
        ):
            yield vault_fd

    @contextlib.contextmanager
    def created(self, root_fd: int) -> Iterator[int]:
        """Open its directory in an open root; it is created if there is none.

        Raises:
            OSError: it can be neither opened nor created.
        """
        with (
            created_records(root_fd) as records_fd,
            self._created_in(records_fd, _NAME, root_fd) as vault_fd,
        ):
            yield vault_fd


def vault_place(root: str, mode: int | None = None) -> VaultPlace:
    """Where the vault of a root is; `mode` as for a trash."""
    root = root.rstrip("/") or "/"
    return VaultPlace(root, f"{root.rstrip('/')}/{ROOT_RECORDS}/{_NAME}", mode)


def former_place(root: str) -> TrashPlace:
    """Where older versions had it."""
    root = root.rstrip("/") or "/"
    return TrashPlace(root, f"{root.rstrip('/')}/{FORMER_VAULT}")
