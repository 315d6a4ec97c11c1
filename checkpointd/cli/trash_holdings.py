"""Where checkpoints were moved to: the trashes of the config, and those that the ledger knows.

The ledger alone is enough, because they are needed most when the config has just been broken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.cli.errors import USAGE, CliError
from checkpointd.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from checkpointd.cli.workspace import Workspace
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Ages, KnownTrash, TrashTtl
    from checkpointd.retention.trash import TrashPlace


@dataclass(frozen=True)
class Holding:
    """One trash and the policy for it; `is_former` says that no watch has it any more.

    `mode` is `unknown` where neither the config nor the ledger has the policy. What was moved there
    until `kept_until` stays for `kept_ttl` seconds if that is longer.
    """

    watch: str
    place: TrashPlace
    ttl: float
    mode: str
    is_former: bool = False
    kept_ttl: float = 0.0
    kept_until: float = 0.0

    def ttl_of(self, at: float) -> float:
        """How long an item stays that was moved there at a time."""
        return max(self.ttl, self.kept_ttl if at <= self.kept_until else 0.0)


@dataclass(frozen=True)
class _LedgerTrashes:
    """What the ledger knows; nothing if there is none."""

    ages: Ages
    trashes: tuple[KnownTrash, ...] = ()
    roots: tuple[tuple[str, str], ...] = ()
    ttls: tuple[tuple[str, TrashTtl], ...] = ()


def holdings_of(workspace: Workspace, watch: str | None) -> tuple[list[Holding], Ages]:
    """Every trash, or those of one watch; and how old the times in the ledger are.

    Raises:
        CliError: there is no such watch.
        ConfigError: the config cannot be read at all, and neither can a ledger be found.
    """
    try:
        configured = workspace.config().watch if workspace.has_config else None
    except ConfigError:
        configured = None
    locations = workspace.remains()
    is_needed = configured is None and not locations.roots
    known = _ledger_trashes(workspace, locations.state_dir, is_needed=is_needed)
    if configured is None:
        roots = {name: str(path) for name, path in locations.roots.items()}
        holdings = _without_config(known, roots)
    else:
        holdings = _with_config(known, configured)
    if watch is None:
        return holdings, known.ages
    chosen = [holding for holding in holdings if holding.watch == watch]
    if not chosen and watch not in {w.name for w in configured or ()}:
        names = ", ".join(dict.fromkeys(holding.watch for holding in holdings)) or "none"
        raise CliError(f"There is no watch {watch!r}; choose from {names}.", USAGE)
    return chosen, known.ages


def _ledger_trashes(workspace: Workspace, state_dir: Path, *, is_needed: bool) -> _LedgerTrashes:
    from checkpointd.ledger import LedgerError, WallAges

    try:
        ledger = workspace.ledger(state_dir)
    except CliError:
        if is_needed:  # nothing else knows where a trash could be
            raise
        return _LedgerTrashes(WallAges(time.time()))
    try:
        trashes, roots = tuple(ledger.trashes()), ledger.roots()
        ttls = [(name, ttl) for name in roots if (ttl := ledger.trash_ttl(name)) is not None]
        return _LedgerTrashes(ledger.ages(), trashes, tuple(roots.items()), tuple(ttls))
    except LedgerError:
        return _LedgerTrashes(WallAges(time.time()))
    finally:
        ledger.close()


def _with_config(known: _LedgerTrashes, configured: Iterable[WatchSettings]) -> list[Holding]:
    from checkpointd.retention.trash import TrashPlace
    from checkpointd.retention.trash_ttl import former_policy

    configured = tuple(configured)
    holdings = [_of(w, dict(known.ttls).get(w.name)) for w in configured]
    directories = {holding.place.directory for holding in holdings}
    policies = {str(w.path): w.retention for w in configured}
    for one in known.trashes:
        if one.directory not in directories:
            ttl, mode = former_policy(one, policies.get(one.root))
            place = TrashPlace(one.root, one.directory)
            holdings.append(Holding(one.watch, place, ttl, mode, is_former=True))
    return holdings


def _of(watch: WatchSettings, before: TrashTtl | None) -> Holding:
    from checkpointd.retention.trash import place_of
    from checkpointd.retention.trash_ttl import updated

    policy = watch.retention
    ttl = updated(before, policy.trash_ttl, time.time(), policy.confirm)
    return Holding(
        watch.name,
        place_of(watch),
        policy.trash_ttl,
        policy.mode,
        kept_ttl=ttl.kept_ttl,
        kept_until=ttl.kept_until,
    )


def _without_config(known: _LedgerTrashes, roots: dict[str, str]) -> list[Holding]:
    """Without a config it is unknown which trashes are still in use, and what policy applies."""
    from checkpointd.retention.trash import TrashPlace, trash_place

    holdings = [
        Holding(one.watch, TrashPlace(one.root, one.directory), one.ttl, one.mode)
        for one in known.trashes
    ]
    seen = {holding.place.root for holding in holdings}
    for name, root in {**dict(known.roots), **roots}.items():
        if root not in seen:
            holdings.append(Holding(name, trash_place(root), 0.0, "unknown"))
    return holdings
