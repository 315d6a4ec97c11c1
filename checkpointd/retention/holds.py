"""What stops the pruning of a series: doubts, each with a sentence and a cure. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.retention.words import newest_first, runs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from checkpointd.ledger import Entry

INVALID_STREAK = 3
"""As many invalid ones in a row, newest first, hold a series: the next slot would be garbage."""

UNVERIFIED_LIMIT = 10
"""More without a verdict than this, newer than the newest valid one, hold a series."""

_LIVE_SECONDS = 600.0
_VERIFIED = {State.VALID, State.INVALID}
_UNVERIFIED = {State.PENDING, State.INCONCLUSIVE, State.SUPERSEDED}


@dataclass(frozen=True)
class Hold:
    """Why nothing of a series is removed: a word for the metrics, a sentence, and what to do."""

    watch: str
    series: str
    reason: str
    message: str
    cure: str


def holds_of(
    watch: str, series: str, entries: Sequence[Entry], *, listing: str, rebuilt: bool
) -> tuple[Hold, ...]:
    """Everything that makes one series doubtful.

    Args:
        watch: the watch's name.
        series: the series' label.
        entries: all its checkpoints that are on disk.
        listing: what went wrong while the watch was listed; empty if nothing did.
        rebuilt: whether the ledger was lost, and not all has been verified again.
    """
    ordered = newest_first(entries)
    found = [
        *_from_outside(listing=listing, rebuilt=rebuilt),
        *_order(ordered),
        *_tensors(ordered),
        *_streak(ordered),
        *_unverified(ordered),
    ]
    return tuple(Hold(watch, series, *words) for words in found)


def _from_outside(*, listing: str, rebuilt: bool) -> Iterator[tuple[str, str, str]]:
    if listing:
        yield (
            "listing_failed",
            f"The watch could not be listed whole: {listing.rstrip('.')}.",
            "Make the whole root readable and mounted; pruning goes on with the next listing.",
        )
    if rebuilt:
        yield (
            "ledger_rebuilt",
            "The ledger was lost and made anew, so not all that is here is known.",
            "Wait until every checkpoint has been verified again; keep the daemon running.",
        )


def _order(ordered: Sequence[Entry]) -> Iterator[tuple[str, str, str]]:
    oldest_first = [e for e in reversed(ordered) if e.step is not None]
    runs = runs_of(oldest_first)
    disagreeing = next(
        ((a[-1], b[0]) for a, b in pairwise(runs) if _seen_the_other_way(a[-1], b[0])), None
    )
    if disagreeing is None and (
        _is_scattered(runs, len(oldest_first)) or _is_copied_by_name(oldest_first, runs)
    ):
        disagreeing = runs[0][-1], runs[1][0]
    if disagreeing is not None:
        before, after = disagreeing
        yield (
            "order_disagrees",
            (
                f"Steps and save times disagree: step {after.step} was saved after step "
                f"{before.step}, and not as by a job that was started again."
            ),
            "Copy checkpoints with their times (cp -p, rsync -t), or check the clock.",
        )


def _seen_the_other_way(before: Entry, after: Entry) -> bool:
    """Whether both were seen as they were saved, and in the other order: the clock was put back."""
    live = all(e.sequence and abs(e.seen - e.saved_at) <= _LIVE_SECONDS for e in (before, after))
    return live and after.sequence < before.sequence


def _is_scattered(runs: Sequence[Sequence[Entry]], count: int) -> bool:
    """Whether the step falls too often for a job that is started again now and then."""
    falls = len(runs) - 1
    return falls > 1 and falls > count / 4


def _is_copied_by_name(oldest_first: Sequence[Entry], runs: Sequence[Sequence[Entry]]) -> bool:
    """Whether the save times follow the names, `ckpt-10` before `ckpt-2`: a copy made them."""
    names = [e.path for e in oldest_first]
    return len(runs) > 1 and len(names) > 2 and names == sorted(names)  # noqa: PLR2004 - two may be chance


def _tensors(ordered: Sequence[Entry]) -> Iterator[tuple[str, str, str]]:
    newest: Entry | None = None
    for entry in ordered:
        if entry.state is not State.VALID or not (digest := _tensors_digest(entry)):
            continue
        if newest is None:
            newest = entry
        elif digest != _tensors_digest(newest):
            yield (
                "tensors_differ",
                (
                    f"{entry.path!r} and {newest.path!r} hold tensors of other names or shapes, "
                    "so they are not versions of one model."
                ),
                "Give each model a directory or a name of its own.",
            )
            return


def _tensors_digest(entry: Entry) -> str:
    return entry.report.facts.tensors_digest if entry.report else ""


def _streak(ordered: Sequence[Entry]) -> Iterator[tuple[str, str, str]]:
    newest = [e for e in ordered if e.state in _VERIFIED][:INVALID_STREAK]
    if len(newest) == INVALID_STREAK and all(e.state is State.INVALID for e in newest):
        reason = newest[0].report.reason if newest[0].report else ""
        yield (
            "invalid_streak",
            f"The newest {INVALID_STREAK} are invalid" + (f" ({reason})." if reason else "."),
            "Look at the training job; pruning goes on with its next valid checkpoint.",
        )


def _unverified(ordered: Sequence[Entry]) -> Iterator[tuple[str, str, str]]:
    count = 0
    for entry in ordered:
        if entry.state is State.VALID:
            break
        count += entry.state in _UNVERIFIED
    if count > UNVERIFIED_LIMIT:
        yield (
            "unverified",
            f"{count} checkpoints newer than the newest valid one have no verdict.",
            "Wait for the queue, or see what `checkpointd list` says about the inconclusive ones.",
        )
