"""The rule that keeps what people have tagged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.retention_rules.spec import Obstacle, SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class KeepTags:
    """What carries all tags of one entry of a list; an entry is `"prod"` or `"prod,eval"`."""

    name: ClassVar[str] = "keep_tags"
    tags: Annotated[tuple[str, ...], Value.TAG_LIST]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim what carries all tags of an entry."""
        claimed: dict[int, str] = {}
        for entry in self.tags:
            wanted = frozenset(entry.split(","))
            reason = f"it is tagged {entry.replace(',', ' and ')} ({self.name})"
            for one in newest_first:
                if wanted <= one.tags:
                    claimed.setdefault(one.id, reason)
        return claimed

    def unmatched(self, carried: Iterable[frozenset[str]]) -> Obstacle | None:
        """Why the rule cannot be evaluated: the list does not fit the tags that there are.

        Args:
            carried: the tags of each checkpoint of the watch, of whatever state and series.
        """
        carried = set(carried)
        known = frozenset[str]().union(*carried)
        entries = [entry.split(",") for entry in self.tags]
        missing = next((t for entry in entries for t in entry if t not in known), None)
        if missing is not None:
            return Obstacle(
                "tag_missing",
                f"no checkpoint of the watch is tagged {missing!r}, which {self.name} names",
            )
        if not any(tags.issuperset(entry) for entry in entries for tags in carried):
            return Obstacle(
                "tag_missing",
                f"no checkpoint of the watch carries all tags of an entry of {self.name}",
            )
        return None
