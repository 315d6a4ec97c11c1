"""Lists the trash of every watch, configured or not, and selects what a command line names."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from checkpointd.cli.errors import NOTHING, UNREACHABLE, CliError
from checkpointd.core.permissions import cure_of_denial
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from checkpointd.cli.trash_holdings import Holding
    from checkpointd.cli.workspace import Workspace
    from checkpointd.ledger import BucketRemoval
    from checkpointd.retention import TrashItem

_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class ListedItem:
    """One item, with where it is and how many seconds ago it was moved there.

    `is_newest` says that no newer one is from the same path, `is_copy` that it is in the vault;
    `removal` is what the ledger has of what was in a bucket.
    """

    item: TrashItem
    holding: Holding
    age: float
    is_newest: bool = True
    is_copy: bool = False
    removal: BucketRemoval | None = None

    @property
    def name(self) -> str:
        """What names this item to the daemon: its path, or its id if a newer one has that path."""
        return self.item.path if self.is_newest else self.item.id

    @property
    def is_finished(self) -> bool:
        """Whether it is whole in the trash; a crash may have left it half moved."""
        from checkpointd.retention.trash.manifest import Stage

        return self.item.stage is Stage.DONE

    def can_be_deleted(self, *, copies: bool) -> bool:
        """Whether `trash empty` may delete it, which is asked about items or about copies."""
        return self.is_finished and self.is_copy == copies and self.removal is None

    @property
    def rank(self) -> int:
        """The order of preference among items of one path, lowest first; see `is_copy_wanted`."""
        from checkpointd.retention.vault.choice import was_valid

        return 1 if self.is_copy else 0 if was_valid(self.item) else 2

    def row(self, now: float) -> dict[str, Any]:
        """The object of `trash list --json`."""
        manifest, holding = self.item.manifest, self.holding
        stays = holding.mode in ("off", "unknown") or self.is_copy
        expires = None if stays else now + max(0.0, holding.ttl_of(manifest.at) - self.age)
        return {
            "watch": holding.watch,
            "path": self.item.path,
            "item": self.item.id,
            "restore": self.name,
            "size_bytes": manifest.size_bytes,
            "at": manifest.at,
            "age_seconds": self.age,
            "expires_at": expires,
            "rule": manifest.rule,
            "reason": manifest.reason,
            "finished": self.is_finished,
            "copy": self.is_copy,
            "bucket": self.removal is not None,
            "configured": not holding.is_former,
            "mode": holding.mode,
        }


@dataclass
class Contents:
    """Everything that is in trashes, newest first; sentences about what cannot be read."""

    items: list[ListedItem] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def contents(workspace: Workspace, watch: str | None) -> Contents:
    """Read every trash, or that of one watch.

    Raises:
        CliError: there is no such watch.
        ConfigError: the config cannot be read at all, and neither can a ledger be found.
    """
    from checkpointd.cli.bucket_items import item_of, removed_from_buckets
    from checkpointd.cli.trash_holdings import holdings_of
    from checkpointd.retention import Trash
    from checkpointd.retention.vault import Vault

    result = Contents()
    holdings, ages = holdings_of(workspace, watch)
    names = frozenset(holding.watch for holding in holdings if not holding.is_former)
    result.items += [
        ListedItem(item_of(removal), holding, age, removal=removal)
        for removal, holding, age in removed_from_buckets(workspace, watch, names)
    ]
    for holding in holdings:
        if is_url(holding.place.root):
            continue
        try:
            items = Trash(holding.place.root, holding.place).every_item()
            copies = Vault(holding.place.root).items()
        except FileNotFoundError:
            continue
        except PermissionError as failure:
            place = os.fsdecode(failure.filename or holding.place.directory)
            cure = cure_of_denial(place)
            error = f"The trash of {holding.place.root} cannot be read: {failure.strerror}. {cure}"
            result.errors.append(error)
            continue
        except OSError as failure:
            error = f"The trash of {holding.place.root} cannot be read: {failure.strerror}."
            result.errors.append(error)
            continue
        result.items += [ListedItem(item, holding, ages.age(item.manifest.at)) for item in items]
        result.items += [
            ListedItem(item, holding, ages.age(item.manifest.at), is_copy=True) for item in copies
        ]
    result.items.sort(key=lambda listed: (listed.rank, listed.age, listed.item.id))
    newest = {listed.item.id for listed in _newest_of_each(result.items)}
    result.items = [replace(listed, is_newest=listed.item.id in newest) for listed in result.items]
    return result


def select(
    items: Iterable[ListedItem],
    arguments: Iterable[tuple[str, tuple[str, ...]]],
    since: float | None,
) -> tuple[list[ListedItem], list[str]]:
    """Select the items that a command line names; the newest of several from one path.

    Args:
        items: newest first.
        arguments: each as it was typed, with the names that it may stand for. A name is a path, a
            directory above it, an id, or a pattern; without any all are meant.
        since: only items moved at most this many seconds ago.

    Returns:
        What was found, newest first, and the arguments for which nothing was.
    """
    young = [listed for listed in items if since is None or listed.age <= since]
    arguments = list(arguments)
    chosen: dict[str, ListedItem] = {}
    missing = []
    for typed, names in arguments:
        matching = list(_matching(young, typed, names))
        if not matching:
            missing.append(typed)
        chosen.update({listed.item.id: listed for listed in matching})
    if not arguments:
        chosen = {listed.item.id: listed for listed in _newest_of_each(young)}
    return [listed for listed in young if listed.item.id in chosen], missing


def _matching(items: list[ListedItem], typed: str, names: tuple[str, ...]) -> Iterator[ListedItem]:
    by_id = [listed for listed in items if listed.item.id == typed]
    exact = [listed for listed in items if listed.item.path in names]
    if by_id or exact:
        yield from by_id or exact[:1]
        return
    if _PATTERN.isdisjoint(typed):
        above = tuple(f"{name.rstrip('/')}/" for name in names)
        yield from _newest_of_each(listed for listed in items if listed.item.path.startswith(above))
        return
    patterns = (typed, os.path.abspath(typed))
    yield from _newest_of_each(
        listed
        for listed in items
        if any(fnmatch.fnmatchcase(listed.item.path, pattern) for pattern in patterns)
        or fnmatch.fnmatchcase(listed.item.manifest.path, typed)
    )


def _newest_of_each(items: Iterable[ListedItem]) -> Iterator[ListedItem]:
    paths: set[str] = set()
    for listed in items:
        if listed.item.path not in paths:
            paths.add(listed.item.path)
            yield listed


def why_not_restorable(listed: ListedItem) -> str:
    """Why an item could not be restored now; empty if it could."""
    parent = os.path.dirname(listed.item.path)
    for part in listed.item.manifest.parts:
        if listed.is_finished and not listed.is_copy and os.path.lexists(f"{parent}/{part.name}"):
            return f"{part.name!r} exists again: move that away first"
    return ""


def nothing_found_error(
    missing: list[str], *, unread: bool = False, copies: Sequence[str] = ()
) -> CliError:
    """The error about arguments for which nothing is in the trash.

    Args:
        missing: the arguments.
        unread: whether there is a trash that could not be read.
        copies: the URLs of copies of what is missing, in a bucket.
    """
    where = "in what could be read of the trash" if unread else "in the trash"
    code = UNREACHABLE if unread else NOTHING
    if not missing:
        return CliError(f"Nothing {where} matches.", code)
    verb = "is" if len(missing) == 1 else "are"
    message = f"{', '.join(missing)} {verb} not {where}; `checkpointd trash list` shows what is."
    for url in copies:
        message += f" A copy is in {url}: `checkpointd docs replication` says how to bring it back."
    return CliError(message, code)
