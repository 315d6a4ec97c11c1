"""Whether the checkpoints of a series are versions of one model, as far as names and reports say.

Pure; each function is the condition of a hold (`checkpointd.retention.holds`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.series import doubts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.ledger import Entry
    from checkpointd.series.doubts import Doubt, SeriesNames


class Grouped(Protocol):
    """A series, as far as these conditions depend on it."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Its checkpoints that are on disk, newest first."""
        ...

    @property
    def names(self) -> SeriesNames | None:
        """Its names for comparison; None if they leave nothing open."""
        ...


def number_unclear(series: Grouped) -> Doubt | None:
    """A number that may count epochs, or models."""
    return _doubt(series, doubts.number_unclear)


def steps_unclear(series: Grouped) -> Doubt | None:
    """Few and small steps, which may be those of a forecast."""
    return _doubt(series, doubts.steps_unclear)


def numbers_independent(series: Grouped) -> Doubt | None:
    """Several numbers that vary on their own."""
    return _doubt(series, doubts.numbers_independent)


def tensors_differ(series: Grouped) -> str:
    """Tensors of other names, types or shapes, also of one that is not valid."""
    newest: Entry | None = None
    expected = ""
    for entry in series.entries:
        digest = entry.report.facts.tensors_digest if entry.report else ""
        if not digest or digest == expected:
            continue
        if newest is not None:
            break
        newest, expected = entry, digest
    else:
        return ""
    return (
        f"{entry.path!r} and {newest.path!r} hold tensors of other names or shapes, so they "
        "are not versions of one model."
    )


def tensors_unknown(series: Grouped) -> str:
    """A valid one of which no tensors are known, beside others of which they are."""
    found: dict[bool, Entry] = {}
    for entry in series.entries:
        if entry.state is State.VALID:
            is_known = bool(entry.report and entry.report.facts.tensors_digest)
            if is_known not in found:
                found[is_known] = entry
    if False not in found:
        return ""
    if True not in found:
        if not _is_merged(series.entries):
            return ""
        return (
            f"The tensors of {found[False].path!r} were not recorded when it was verified, so it "
            "is not certain that all that `group_by` counts together is one model."
        )
    return (
        f"The tensors of {found[False].path!r} were not recorded when it was verified, so it is "
        f"not certain that it is a version of the same model as {found[True].path!r}."
    )


def models_differ(series: Grouped) -> str:
    """Layers, or their settings, that differ although the tensors do not: another activation.

    Only what one release of Keras wrote in one format is compared: each describes a model its way.
    """
    newest: dict[tuple[str, str], tuple[Entry, str]] = {}
    others: dict[tuple[str, str], Entry] = {}
    for entry in series.entries:
        facts = entry.report.facts if entry.report else None
        if facts is not None and facts.model_digest:
            writer = facts.format, facts.writer
            _, expected = newest.setdefault(writer, (entry, facts.model_digest))
            if facts.model_digest != expected:
                others.setdefault(writer, entry)
    if not others or tensors_differ(series):
        return ""
    writer = next(w for w in newest if w in others)
    return (
        f"{others[writer].path!r} and {newest[writer][0].path!r} have tensors of the same names and shapes, but "
        "their layers differ in kind, settings or connections, so they are not versions of one "
        "model."
    )


def _doubt(series: Grouped, find: Callable[[SeriesNames], Doubt | None]) -> Doubt | None:
    names = series.names
    return find(names) if names else None


def names_of(entries: Sequence[Entry], templates: Sequence[str]) -> SeriesNames | None:
    """Return the names of a series for comparison; None if there is nothing to be in doubt about.

    Args:
        entries: its checkpoints; of several series the config says what they are (`group_by`).
        templates: the `version` templates of the watch.
    """
    if _is_merged(entries):
        return None
    first = entries[0].checkpoint
    paths = [entry.path for entry in entries]
    return doubts.names_of(first.series, paths, first.format, templates)


def _is_merged(entries: Sequence[Entry]) -> bool:
    """Whether they are of several series, which the policy counts together."""
    first = entries[0].checkpoint.series
    for entry in entries:  # noqa: SIM110 - a generator takes twice as long
        if entry.checkpoint.series != first:
            return True
    return False
