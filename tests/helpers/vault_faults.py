"""Faults of the operating system in what the vault does to a disk, injected by strace.

`python -m tests.helpers.vault_faults DIRECTORY` performs the acts, as `tests.helpers.faults` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.core.verdict import Verdict
from checkpointd.formats.names import FORMER_VAULT
from checkpointd.ledger import Ledger, State
from checkpointd.retention import Pruner
from checkpointd.retention.vault import Vault, restore_copy
from tests.helpers.faults import NamedStage, perform_all
from tests.helpers.invariants import END, LOST, OUTSIDE
from tests.helpers.ledger import WRITERS, generation_on_disk, record_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry
    from tests.helpers.invariants import Invariants

PROGRAM = "tests.helpers.vault_faults"
ACTS = ("copy", "back", "adopt")
GOOD, LATER = b"good", b"later"
MEMBERS = {
    "file": [""],
    "prefix": [".data-00000-of-00002", ".data-00001-of-00002", ".index"],
    "directory": ["/saved_model.pb", "/variables/variables.index", "/assets.extra/golden.npz"],
    "keras": ["/config.json", "/metadata.json", "/model.weights.h5", "/assets/vocabulary.txt"],
}
"""The names of the files of each kind that `WRITERS` writes, after the checkpoint's own."""


class VaultStage(NamedStage):
    """A root with one path that was copied and then saved again.

    What is done is another copy, a copy brought back, or older copies taken over.
    """

    @property
    def path(self) -> str:
        """What is saved again and again."""
        return str(self.root / "run" / "best")

    @property
    def vault(self) -> Vault:
        """The vault of the root."""
        return Vault(str(self.root))

    def open(self) -> tuple[Ledger, Pruner]:
        """As a start of the daemon does."""
        ledger = Ledger.open(self.top / "state")
        pruner = Pruner(str(self.root), ledger)
        pruner.recover()
        self.vault.recover()
        return ledger, pruner

    def write(self) -> None:
        """Lay everything out from scratch."""
        self.root.mkdir(parents=True)
        (self.top / "state").mkdir()
        ledger = Ledger.open(self.top / "state")
        self.vault.commit(self.vault.copy(self._save(ledger, GOOD, 1000.0)))
        verdict = Verdict.INVALID if self.act == "back" else Verdict.VALID
        self._save(ledger, LATER, 2000.0, verdict)
        if self.act == "adopt":
            (self.root / ".checkpointd" / "vault").rename(self.root / FORMER_VAULT)
        ledger.close()

    def perform(self) -> None:
        """Do it."""
        ledger, pruner = self.open()
        entry = ledger.entry(self.path)
        assert entry is not None
        if self.act == "copy":
            if entry.generation.key not in {i.manifest.source for i in self.vault.items()}:
                self.vault.commit(self.vault.copy(entry))
            self.vault.expire(1)
        elif self.act == "adopt":
            self.vault.adopt()
        elif self.vault.find(self.path):
            restore_copy(self.vault, pruner.trash, ledger, self.path)
        ledger.close()

    def converge(self, invariants: Invariants) -> None:
        """Start again after a fault, and look at all that must hold before and after."""
        if self.act != "back":  # what is moved part by part is whole again when a start ends that
            invariants.never(LOST, self._lost(), self._found())
        ledger, _ = self.open()
        invariants.never(LOST, self._lost(), self._found())
        listed = {item.id for item in self.vault.items()}
        on_disk = {entry.name for place in self._vaults() for entry in place.iterdir()}
        invariants.never(END, listed != on_disk, (listed, on_disk))
        self._verify_touched(ledger)
        ledger.close()
        self.perform()
        at_path, vault, trash = self._found()
        wanted = {
            "copy": (LATER, [LATER], []),
            "back": (GOOD, [], [LATER]),
            "adopt": (LATER, [GOOD], []),
        }
        invariants.never(END, (at_path, vault, trash) != wanted[self.act], self._found())
        invariants.never(END, (self.root / FORMER_VAULT).exists() and self.act == "adopt")
        others = set(os.listdir(self.root)) - {"run", ".checkpointd", ".checkpointd-trash"}
        invariants.never(OUTSIDE, others)

    def _verify_touched(self, ledger: Ledger) -> None:
        """As the daemon does with what was moved and moved back."""
        entry = ledger.entry(self.path)
        if entry is not None and entry.state is State.INVALID:
            found = generation_on_disk(self.path, MEMBERS[self.kind])
            record_verdict(ledger, (entry.checkpoint, found), Verdict.INVALID)

    def _lost(self) -> bool:
        """Whether a content that is not to go is whole nowhere."""
        at_path, vault, trash = self._found()
        everywhere = {at_path, *vault, *trash}
        return LATER not in everywhere or (self.act != "copy" and GOOD not in everywhere)

    def _found(self) -> tuple[bytes, list[bytes], list[bytes]]:
        """Which content is whole at the path, and in each item of the vault and of the trash."""
        trash = self.root / ".checkpointd-trash"
        items = [item for place in self._vaults() for item in place.iterdir()]
        trashed = [item for item in trash.iterdir() if item.is_dir()] if trash.exists() else []
        return (
            self._whole(Path(self.path).parent),
            [self._whole(item / "content") for item in items],
            [self._whole(item / "content") for item in trashed],
        )

    def _vaults(self) -> list[Path]:
        places = (self.root / ".checkpointd" / "vault", self.root / FORMER_VAULT)
        return [place for place in places if place.exists()]

    def _whole(self, directory: Path) -> bytes:
        """Which content is in a directory; empty if not all of one is."""
        for content in (GOOD, LATER):
            expected = {f"best{name}": content + name.encode() for name in MEMBERS[self.kind]}
            if all(_read(directory / name) == data for name, data in expected.items()):
                return content
        return b""

    def _save(
        self, ledger: Ledger, content: bytes, at: float, verdict: Verdict = Verdict.VALID
    ) -> Entry:
        checkpoint, _ = WRITERS[self.kind](Path(self.path), at)
        for name in MEMBERS[self.kind]:
            Path(self.path + name).write_bytes(content + name.encode())
            os.utime(self.path + name, (at, at))
        saved = (checkpoint, generation_on_disk(self.path, MEMBERS[self.kind]))
        return record_verdict(ledger, saved, verdict)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def stages(top: Path) -> Iterator[VaultStage]:
    """A stage for each act and each kind of checkpoint, not written yet."""
    for act in ACTS:
        for kind in WRITERS:
            yield VaultStage(top / f"{act}-{kind}")


if __name__ == "__main__":
    perform_all(Path(sys.argv[1]), lambda directory: VaultStage(directory).perform())
