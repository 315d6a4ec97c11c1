"""The table of attacks: each a known weakness, a file that carries it, and what it should come to.

Every payload is harmless: it makes a marker file, asks a server on loopback, or brings the bytes
of a canary file into a weight. Sources: the CVEs named, and the page "security" of the manual.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CANARY = b"canary-of-a-foreign-file-" * 40
"""The content of a file that no checkpoint may bring into its weights or a report."""

CODE, NEEDS_CODE = "safety.code", "safety.needs_code"
FOREIGN, TRAVERSAL = "safety.foreign_reference", "safety.traversal"
UNSAFE_OP, BOMB = "safety.unsafe_op", "safety.bomb"
MALFORMED, TRUNCATED = "structure.malformed", "structure.truncated"


@dataclass(frozen=True)
class Attack:
    """One artifact.

    `reasons` are those that it may come to, the first is the one meant. `oracle` names the old
    way to load it that shows whether its payload is live; empty where there is none.
    """

    name: str
    cve: str
    ending: str
    reasons: tuple[str, ...]
    oracle: str
    write: Callable[[Site, Path], Any]


@dataclass(frozen=True)
class Site:
    """Where attacks are made: a directory, and the port of a server on loopback."""

    home: Path
    port: int

    @property
    def canary(self) -> str:
        """The path of the canary file."""
        return str(self.home / "canary")

    def marker(self, name: str) -> str:
        """The path of the file that a payload makes."""
        return str(self.home / "markers" / name)

    def url(self, name: str) -> str:
        """What a payload asks for on loopback."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def good(self, name: str) -> bytes:
        """A good model's file: `good.keras`, `good.h5`, `good.weights.h5`."""
        return (self.home / "good" / name).read_bytes()


ATTACKS: list[Attack] = []


def attack(
    name: str, ending: str, *reasons: str, cve: str = "", oracle: str = ""
) -> Callable[[Callable[[Site, Path], Any]], Callable[[Site, Path], Any]]:
    """Add what writes an artifact to the table; its name is also its marker's."""

    def add(write: Callable[[Site, Path], Any]) -> Callable[[Site, Path], Any]:
        ATTACKS.append(Attack(name, cve, ending, reasons, oracle, write))
        return write

    return add


def make_all(site: Site) -> None:
    """Write every artifact into a directory of its own, and `table.json` beside them."""
    rows = []
    for made in ATTACKS:
        path = site.home / "attacks" / made.name / ("model" + made.ending)
        path.parent.mkdir(parents=True)
        made.write(site, path)
        row = {key: value for key, value in asdict(made).items() if key != "write"}
        rows.append({**row, "path": str(path)})
    shutil.rmtree(site.home / "markers")
    (site.home / "markers").mkdir()
    (site.home / "table.json").write_text(json.dumps(rows))
