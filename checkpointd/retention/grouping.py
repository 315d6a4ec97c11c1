"""Whether the checkpoints of a series are versions of one model, as far as names and reports say.

Pure; each function is the condition of a hold (`checkpointd.retention.holds`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.series import doubts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.ledger import Entry
    from checkpointd.series.doubts import Doubt, SeriesNames


@dataclass(frozen=True)
class Models:
    """What reports say of the models of a series.

    `other_tensors` and `other_layers` are the newest and the next one that differs from it, None if
    all are the same; `recorded` and `unrecorded` are the newest valid one whose tensors are known,
    and the newest whose are not.
    """

    other_tensors: tuple[Entry, Entry] | None = None
    other_layers: tuple[Entry, Entry] | None = None
    recorded: Entry | None = None
    unrecorded: Entry | None = None


class Grouped(Protocol):
    """A series, as far as these conditions depend on it."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Its checkpoints that are on disk, newest first."""
        ...

    @property
    def is_merged(self) -> bool:
        """Whether they are of several series, which the policy counts together."""
        ...

    @property
    def models(self) -> Models:
        """What their reports say of their models."""
        ...

    @property
    def names(self) -> SeriesNames | None:
        """Its names for comparison; None if they leave nothing open."""
        ...


def number_unclear(series: Grouped) -> Doubt | None:
    """Doubt whether a number counts epochs or models."""
    return _doubt(series, doubts.number_unclear)


def steps_unclear(series: Grouped) -> Doubt | None:
    """Doubt about few and small steps, which may be horizons of forecasts."""
    return _doubt(series, doubts.steps_unclear)


def numbers_independent(series: Grouped) -> Doubt | None:
    """Doubt about several numbers that vary independently."""
    return _doubt(series, doubts.numbers_independent)


def tensors_differ(series: Grouped) -> str:
    """Tensors that differ in names, types or shapes, also of one that is not valid."""
    others = series.models.other_tensors
    if others is None:
        return ""
    return (
        f"{others[1].path!r} and {others[0].path!r} hold tensors of other names or shapes, so they "
        "are not versions of one model."
    )


def tensors_unknown(series: Grouped) -> str:
    """A valid checkpoint whose tensors are unknown, beside others whose tensors are known."""
    unrecorded, recorded = series.models.unrecorded, series.models.recorded
    if unrecorded is None:
        return ""
    if recorded is None:
        if not series.is_merged:
            return ""
        return (
            f"The tensors of {unrecorded.path!r} were not recorded when it was verified, so it "
            "is not certain that all that `group_by` counts together is one model."
        )
    return (
        f"The tensors of {unrecorded.path!r} were not recorded when it was verified, so it is "
        f"not certain that it is a version of the same model as {recorded.path!r}."
    )


def models_differ(series: Grouped) -> str:
    """Layers or settings that differ although the tensors do not, such as an activation."""
    others = series.models.other_layers
    if others is None or series.models.other_tensors is not None:
        return ""
    return (
        f"{others[1].path!r} and {others[0].path!r} have tensors of the same names and shapes, but "
        "their layers differ in kind, settings or connections, so they are not versions of one "
        "model."
    )


def models_of(entries: Sequence[Entry]) -> Models:
    """Compare what reports say of the models, in one pass: there may be 100 000 of them.

    Of layers only what one release of Keras wrote in one format is compared: each describes a
    model its way.

    Args:
        entries: the checkpoints of a series, newest first.
    """
    recorded: Entry | None = None
    unrecorded: Entry | None = None
    tensors = _Comparison()
    layers: dict[tuple[str, str], _Comparison] = {}
    for entry in entries:
        facts = entry.report.facts if entry.report is not None else None
        digest = facts.tensors_digest if facts is not None else ""
        if entry.state is State.VALID:
            if digest:
                recorded = recorded or entry
            else:
                unrecorded = unrecorded or entry
        if digest:
            tensors.add(entry, digest)
        if facts is not None and facts.model_digest:
            by_writer = layers.setdefault((facts.format, facts.writer), _Comparison())
            by_writer.add(entry, facts.model_digest)
    other_layers = next((c.found for c in layers.values() if c.found is not None), None)
    return Models(tensors.found, other_layers, recorded, unrecorded)


class _Comparison:
    """Finds the newest entry, and the next one whose digest is another."""

    def __init__(self) -> None:
        self.found: tuple[Entry, Entry] | None = None
        self._newest: tuple[Entry, str] | None = None

    def add(self, entry: Entry, digest: str) -> None:
        """Compare one more."""
        if self._newest is None:
            self._newest = entry, digest
        elif self.found is None and digest != self._newest[1]:
            self.found = self._newest[0], entry


def _doubt(series: Grouped, find: Callable[[SeriesNames], Doubt | None]) -> Doubt | None:
    names = series.names
    return find(names) if names else None


def names_of(entries: Sequence[Entry], templates: Sequence[str]) -> SeriesNames | None:
    """Return the names of a series for comparison; None if there is nothing to be in doubt about.

    Args:
        entries: its checkpoints.
        templates: the `version` templates of the watch.
    """
    first = entries[0].checkpoint
    paths = [entry.path for entry in entries]
    return doubts.names_of(first.series, paths, first.format, templates)
