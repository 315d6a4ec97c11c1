"""What stops the pruning of a series: doubts, one row each, with the cure as data. Pure.

To add a hold: write a function that returns the message, or "" if the series is in order, and add
its row to `HOLDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.ledger import State
from checkpointd.retention import grouping
from checkpointd.series.unread import unread_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from checkpointd.ledger import Entry
    from checkpointd.retention.series_state import SeriesState
    from checkpointd.series.doubts import Doubt

UNVERIFIED_LIMIT = 10
"""More without a verdict than this, newer than the newest valid one, hold a series."""

_VERIFIED = {State.VALID, State.INVALID}
_UNVERIFIED = {State.PENDING, State.INCONCLUSIVE, State.SUPERSEDED}


@dataclass(frozen=True)
class HoldSpec:
    """The row of one hold: its label in the metrics, its condition, and what to do about it.

    `find` returns the message, with a cure of its own or without; "" or None if there is no doubt
    of this kind.
    """

    reason: str
    find: Callable[[SeriesState], str | Doubt | None]
    cure: str


@dataclass(frozen=True)
class Hold:
    """Why nothing of a series is removed: a label for the metrics, a sentence, and what to do."""

    watch: str
    series: str
    reason: str
    message: str
    cure: str


def holds_of(watch: str, series: str, state: SeriesState) -> tuple[Hold, ...]:
    """Everything that makes one series doubtful.

    Args:
        watch: the watch's name.
        series: the series' label.
        state: what is known of it.
    """
    doubts = ((spec, spec.find(state)) for spec in HOLDS)
    return tuple(_hold(watch, series, spec, doubt) for spec, doubt in doubts if doubt)


def _hold(watch: str, series: str, spec: HoldSpec, doubt: str | Doubt) -> Hold:
    if isinstance(doubt, str):
        return Hold(watch, series, spec.reason, doubt, spec.cure)
    return Hold(watch, series, spec.reason, doubt.message, doubt.cure)


def hold_older_runs(watch: str, series: str, leaving: Sequence[Entry]) -> Hold:
    """Hold what would be removed, newest first, because its whole run is too old; no more."""
    newest, count = leaving[0].path, len(leaving)
    message = f"{count} of older runs would be removed, of which {newest!r} is the newest."
    return Hold(watch, series, OLDER_RUNS.reason, message, OLDER_RUNS.cure)


def holds_unread(watch: str, labels: Iterable[str], templates: Sequence[str]) -> tuple[Hold, ...]:
    """Hold names whose numbers cannot be read: none of these series ever has a second checkpoint.

    Args:
        watch: the watch's name.
        labels: of its series that have one checkpoint.
        templates: its `version` templates.
    """
    unread = unread_numbers(labels, templates)
    return tuple(_hold(watch, one.label, NUMBERS_UNREAD, one.doubt) for one in unread)


def _listing_failed(state: SeriesState) -> str:
    if not state.listing:
        return ""
    return f"The watch could not be listed completely: {state.listing.rstrip('.')}."


def _root_locked(state: SeriesState) -> str:
    return state.root.locked


def _ledger_rebuilt(state: SeriesState) -> str:
    return state.root.rebuilt


def _ledger_put_back(state: SeriesState) -> str:
    return state.root.put_back


def _trash_unknown(state: SeriesState) -> str:
    return state.root.trash


def _pins_damaged(state: SeriesState) -> str:
    return state.root.pins


def _links_unreadable(state: SeriesState) -> str:
    errors = state.references.link_errors
    return f"A directory of `links` cannot be searched: {errors[0]}." if errors else ""


def _state_file_unreadable(state: SeriesState) -> str:
    unreadable = state.references.unreadable
    for entry in state.entries if unreadable else ():
        if entry.checkpoint.format is Format.TF_CHECKPOINT:
            broken = state.references.unreadable_for(entry.path)
            if broken is not None:
                return (
                    f"The state file {broken.path!r} does not say what is in use: {broken.reason}."
                )
    return ""


def _order_disagrees(state: SeriesState) -> str:
    return state.order.undecided


def _times_are_wrong(state: SeriesState) -> str:
    newest = next((e for e in state.entries if e.state is not State.UNKNOWN), None)
    if newest is None or newest.id not in state.order.doubtful_times:
        return ""
    return f"The newest, {newest.path!r}, has a wrong save time: {state.order.doubts[newest.id]}."


def _invalid_streak(state: SeriesState) -> str:
    limit = state.policy.hold_after
    newest = list(islice((e for e in state.entries if e.state in _VERIFIED), limit))
    if len(newest) < limit or any(e.state is not State.INVALID for e in newest):
        return ""
    reason = newest[0].report.reason if newest[0].report else ""
    which = "The newest one is" if limit == 1 else f"The newest {limit} are"
    return f"{which} invalid (hold_after = {limit})" + (f": {reason}." if reason else ".")


def _unverified(state: SeriesState) -> str:
    count = 0
    for entry in state.entries:
        if entry.state is State.VALID:
            break
        count += entry.state in _UNVERIFIED
    if count <= UNVERIFIED_LIMIT:
        return ""
    return f"{count} checkpoints newer than the newest valid one have no verdict."


def _unevaluated(state: SeriesState) -> str:
    waiting, candidates = len(state.unevaluated.entries), state.unevaluated.candidates
    if not waiting:
        return ""
    return (
        f"{candidates - waiting} of {candidates} valid checkpoints have been evaluated as "
        "[watch.verify] asks for now, and keep_best compares them only then."
    )


def _obstacle(label: str) -> Callable[[SeriesState], str]:
    """The condition of a hold because a rule cannot be evaluated."""

    def find(state: SeriesState) -> str:
        if state.unevaluated.entries:
            return ""
        text = next((o.message for o in state.obstacles if o.label == label), "")
        return f"{text[0].upper()}{text[1:]}." if text else ""

    return find


OLDER_RUNS = HoldSpec(
    "older_runs",
    lambda _: "",  # found by the plan: `hold_older_runs`
    "Look at them with `checkpointd prune`; then raise `keep_runs`, or let them go with "
    "`checkpointd prune --apply`.",
)
"""Holds only the removal of whole runs."""

_USE_TEMPLATE = "Write the `version` template that the hold names into the config."

NUMBERS_UNREAD = HoldSpec(
    "numbers_unread",
    lambda _: None,  # found by the plan, for all series of a watch: `holds_unread`
    _USE_TEMPLATE,
)
"""Names with several numbers, of which none is known to count: each would be kept for ever."""

HOLDS: tuple[HoldSpec, ...] = (
    HoldSpec(
        "listing_failed",
        _listing_failed,
        "Mount the root and make all of it readable; pruning continues with the next listing.",
    ),
    HoldSpec(
        "ledger_rebuilt",
        _ledger_rebuilt,
        "Pin what must stay, look at `checkpointd prune WATCH`, then accept the new ledger with "
        "`checkpointd prune WATCH --accept-rebuilt`.",
    ),
    HoldSpec(
        "ledger_put_back",
        _ledger_put_back,
        "Wait until every checkpoint has been read again; keep the daemon running.",
    ),
    HoldSpec(
        "trash_unknown",
        _trash_unknown,
        "Restore what should stay (`checkpointd trash list`), then accept the rest with "
        "`checkpointd prune WATCH --accept-rebuilt`; until then it does not expire.",
    ),
    HoldSpec(
        "pins_damaged",
        _pins_damaged,
        "Put the file back from a backup, or pin what must stay and accept the pins that are known "
        "with `checkpointd prune WATCH --accept-rebuilt`.",
    ),
    HoldSpec(
        "root_locked",
        _root_locked,
        "Let one checkpointd prune a root: stop the other, or set its mode to dry-run; then accept "
        "this one's ledger with `checkpointd prune WATCH --accept-rebuilt`.",
    ),
    HoldSpec(
        "links_unreadable",
        _links_unreadable,
        "Mount it and make it readable for the daemon's user, or take it out of `links`.",
    ),
    HoldSpec(
        "state_file_unreadable",
        _state_file_unreadable,
        "Wait for the job's next save, which writes it again; or delete it if no job needs it.",
    ),
    HoldSpec(
        "order_disagrees",
        _order_disagrees,
        'Correct the save times (`touch -d`), or set `order = "number"` or `order = "save_time"`; '
        "copy with times (cp -p, rsync -t); give each job its own directory.",
    ),
    HoldSpec(
        "save_time_wrong",
        _times_are_wrong,
        "Set the clock of the host that saves, and correct the save times with `touch -d`.",
    ),
    HoldSpec("number_unclear", grouping.number_unclear, _USE_TEMPLATE),
    HoldSpec("steps_unclear", grouping.steps_unclear, _USE_TEMPLATE),
    HoldSpec("numbers_independent", grouping.numbers_independent, _USE_TEMPLATE),
    NUMBERS_UNREAD,
    HoldSpec(
        "tensors_differ",
        grouping.tensors_differ,
        "Give each model its own directory or its own name; if a new one replaces them, move the "
        "older ones away.",
    ),
    HoldSpec(
        "models_differ",
        grouping.models_differ,
        "Give each model its own directory or its own name; if a new one replaces them, move the "
        "older ones away.",
    ),
    HoldSpec(
        "tensors_unknown",
        grouping.tensors_unknown,
        "Have it verified again with `checkpointd verify PATH`.",
    ),
    HoldSpec(
        "invalid_streak",
        _invalid_streak,
        "Check the training job; pruning continues with its next valid checkpoint.",
    ),
    HoldSpec(
        "unverified",
        _unverified,
        "Wait for the queue, or find the inconclusive ones with `checkpointd list`.",
    ),
    HoldSpec(
        "unevaluated",
        _unevaluated,
        "Keep the daemon running: it evaluates the older ones when nothing else waits.",
    ),
    HoldSpec(
        "metric_direction",
        _obstacle("metric_direction"),
        "Correct `mode` in keep_best, or add `check_mode = false` to it if the name misleads.",
    ),
    HoldSpec(
        "metric_missing",
        _obstacle("metric_missing"),
        "Correct `metric` in keep_best, or have the job record the metric; NaN in a file name is "
        "no value.",
    ),
    HoldSpec(
        "metric_not_finite",
        _obstacle("metric_not_finite"),
        "Check the training job, or name another metric in keep_best.",
    ),
    HoldSpec(
        "metric_constant",
        _obstacle("metric_constant"),
        "Check what computes the metric, or name another one in keep_best.",
    ),
    HoldSpec(
        "steps_missing",
        _obstacle("steps_missing"),
        "Set `version` to the template of the file names, or use a rule that needs no step.",
    ),
    HoldSpec(
        "tag_missing",
        _obstacle("tag_missing"),
        "Correct `keep_tags`, or tag a checkpoint with `checkpointd tag PATH TAG`.",
    ),
    OLDER_RUNS,
)
