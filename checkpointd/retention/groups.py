"""What rules count together: the checkpoints of a series, or of several (`group_by`); pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Checkpoint

    SeriesKey = tuple[str, str]
    """The name of a watch and the label of a series, or of several series together."""

GroupBy = Literal["series", "directory", "watch"]


def group_of(checkpoint: Checkpoint, group_by: GroupBy = "series") -> SeriesKey:
    """Return what a checkpoint is counted with: `runs/*` are all series of a directory."""
    if group_by == "series":
        return checkpoint.watch, checkpoint.series
    directory = checkpoint.series.rpartition("/")[0] if group_by == "directory" else ""
    several = "*" if group_by == "directory" else "**"
    return checkpoint.watch, f"{directory}/{several}" if directory else several
