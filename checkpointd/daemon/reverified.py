"""Has checkpoints verified again for retention: each generation only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Generation
    from checkpointd.retention import RetentionPlan
    from checkpointd.watch.any_watcher import AnyWatcher


class Reverified:
    """The generations of one watch that were reported again."""

    def __init__(self) -> None:
        self._generations: dict[str, Generation] = {}

    def report(self, watcher: AnyWatcher, planned: RetentionPlan, paths: Iterable[str]) -> None:
        """Have a watcher report paths of a plan again, as if they were new."""
        paths = tuple(paths)
        if not paths and not self._generations:
            return
        known = {d.entry.path: d.entry.generation for d in planned.decisions}
        self._generations = {p: of for p, of in self._generations.items() if known.get(p) == of}
        for path in paths:
            if path in known and path not in self._generations:
                self._generations[path] = known[path]
                watcher.report_again(path)
