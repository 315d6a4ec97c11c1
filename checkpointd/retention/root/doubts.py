"""Doubts about a root, its trash and the ledger: sentences, empty for no doubt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RootDoubts:
    """What holds every series of a watch.

    `rebuilt`: the ledger is new, or another one than this root belongs to. `put_back`: it is older
    than what is on disk. `pins`: the copy of the pins cannot be read. `trash`: the ledger does not
    know what is in it. `locked`: another process prunes here.
    """

    rebuilt: str = ""
    put_back: str = ""
    pins: str = ""
    trash: str = ""
    locked: str = ""
