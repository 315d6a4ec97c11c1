"""Compares the config file with the config in use, so that nobody confuses the two."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd import config as configuration
from checkpointd.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from checkpointd.config import WatchSettings

_MOST_KEYS = 4


@dataclass(frozen=True)
class FileDifference:
    """What differs: `unreadable` is why the file cannot be loaded, `watches` a clause for each."""

    path: Path
    unreadable: str = ""
    watches: Mapping[str, str] = field(default_factory=dict)

    def about(self, watch: str) -> str:
        """A sentence about one watch; empty if the file has it as it runs."""
        if self.unreadable:
            return f"{self.path} cannot be loaded ({self.unreadable})."
        if watch in self.watches:
            return f"{self.path} differs from what runs: {self.watches[watch]}."
        return ""


async def compare(path: Path, running: Mapping[str, WatchSettings]) -> FileDifference:
    """Read the config file, and compare its watches with those that run."""
    try:
        config = await asyncio.to_thread(configuration.load, path)
    except ConfigError as error:
        return FileDifference(path, str(error).splitlines()[0].rstrip("."))
    in_file = {watch.name: watch for watch in config.watch}
    differing = {}
    for name, settings in running.items():
        if name not in in_file:
            differing[name] = f"it has no watch {name!r}"
        elif in_file[name] != settings:
            keys = list(_differing(settings.model_dump(), in_file[name].model_dump()))
            more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
            differing[name] = ", ".join(keys[:_MOST_KEYS]) + more
    return FileDifference(path, watches=differing)


def _differing(before: dict[str, Any], after: dict[str, Any], above: str = "") -> Iterator[str]:
    """The keys in which two tables differ, dotted."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differing(old, new, f"{above}{key}.")
        else:
            yield f"{above}{key}"
