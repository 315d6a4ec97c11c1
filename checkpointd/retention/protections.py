"""What keeps a checkpoint without a rule: protections and doubts, one row each; pure.

To add one: write a function that returns the reason, or "" if there is none, and add its row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from checkpointd.core.text import exact_duration
from checkpointd.ledger import State
from checkpointd.retention.eligibility import (
    is_broken_checkpoint,
    is_eligible,
    seconds_since_seen,
)
from checkpointd.retention.references import References
from checkpointd.retention_rules import Effect, table
from checkpointd.series.names import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Ages, Entry

_WITHOUT_VERDICT = {
    State.WRITING: "it is still being written",
    State.PENDING: "it has no verdict yet",
    State.INCONCLUSIVE: "its verification was inconclusive",
    State.UNKNOWN: "its format is not one that checkpointd knows",
    State.SUPERSEDED: "it changed while it was verified",
}


_NOT_TO_DELETE = r"(?:do[-_ ]?not|don'?t)[-_ ]?(?:delete|remove)"
_TO_KEEP = re.compile(
    rf"""(?ix) (?:.*[-_.+\ (])? (?:
        (?:keep|keepers?|kept|pinned|preserved?|archived?|archives|milestones?) \)? \Z
      | {_NOT_TO_DELETE} (?![a-z]) )
    | keep[-_.] (?!prob|rate|ratio|frac|last|best|top|every|max|n[-_.]|[0-9{{])"""
)
"""What people call what is to stay: directories to which they move it, and files."""
_SET_APART = re.compile(
    r"(?i).*[-_.+\ (](?:good|important|keep[-_ ]?me|paper|published|released?|submitted)\)?\Z"
)
"""What people, and no jobs, append to the name of a file: a directory may be called so, too."""


@dataclass(frozen=True)
class StateOnDisk:
    """Paths by what was found on disk.

    `references` are what `checkpoint` state files, configs and links name, `changed` are not as
    they were verified, `containing` have other checkpoints inside, `shared` hold other files as
    well, `in_use` is how processes have them open, `touched` have another inode or change time than
    was verified. `without_copy` are valid ones that must be copied to a bucket first, and why they
    are not.
    """

    references: References = field(default_factory=References)
    changed: frozenset[str] = frozenset()
    containing: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    in_use: Mapping[str, str] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    without_copy: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Situation:
    """What protections depend on beside the checkpoint itself.

    `ages` are how old stored times are, `newest` are the ids of the newest checkpoints of a series
    with the witnesses by which they are (empty if by all), `removable` are the ids of the invalid
    ones that a rule removes, `doubts` tell why the place of one in its series is in doubt. `alone`
    are the ids of those that a named directory holds as its only one, `served` of those that
    TensorFlow Serving takes, `eligible` of those that may fill a slot.
    """

    policy: RetentionSettings
    ages: Ages
    on_disk: StateOnDisk
    newest: Mapping[int, str]
    removable: frozenset[int]
    doubts: Mapping[int, str]
    alone: frozenset[int] = frozenset()
    served: frozenset[int] = frozenset()
    eligible: Container[int] = ()

    @cached_property
    def first_seen_lately(self) -> str:
        """Why what was first seen less than `min_age` ago stays."""
        return f"it was first seen less than {exact_duration(self.policy.min_age)} ago (min_age)"


@dataclass(frozen=True)
class Protection:
    """One row: a label for JSON, and the function that returns the reason, or "" for none.

    `state` is the only state in which it can have one; None: it may have one in all. `unless_empty`
    is what it looks up: where that is empty no checkpoint has the reason.
    """

    label: str
    reason: Callable[[Entry, Situation], str]
    state: State | None = None
    unless_empty: Callable[[Situation], object] = lambda _: True


def rows_for(situation: Situation, rows: Sequence[Protection]) -> tuple[Protection, ...]:
    """The rows that can apply in a situation."""
    return tuple(row for row in rows if row.unless_empty(situation))


def _pinned(entry: Entry, _: Situation) -> str:
    return "it is pinned" if entry.pinned else ""


def _referenced(entry: Entry, situation: Situation) -> str:
    if config := situation.on_disk.references.served.get(entry.path):
        return f"a config of TensorFlow Serving names this version: {config}"
    if situation.on_disk.references.is_named(entry):
        return "a `checkpoint` state file or a symbolic link names it"
    if entry.id in situation.alone:
        return "a symbolic link names the directory that holds only it"
    return ""


def _listed(entry: Entry, situation: Situation) -> str:
    if situation.policy.prune_listed or not situation.on_disk.references.is_listed(entry):
        return ""
    return "its job's `checkpoint` state file lists it, and `prune_listed = true` is not set"


def _served(entry: Entry, situation: Situation) -> str:
    if entry.id in situation.served:
        return "TensorFlow Serving serves it: it is the highest version of its directory"
    return ""


@lru_cache(maxsize=4096)
def _meant_to_stay(label: str) -> str:
    """Why all of a series stay by what a person called them; empty if nothing says so."""
    *directories, name = label.split("/")
    kept = next((part for part in directories if _TO_KEEP.match(part)), "")
    if kept:
        return (
            f"it lies in a directory called {kept!r}, so it was put there to stay; to prune "
            "there, give that directory a watch of its own and `exclude` it in this one"
        )
    stem = SUFFIX.sub("", name)
    if _TO_KEEP.match(stem) or _SET_APART.match(stem):
        return "its name says that it is to stay; give it another name if it may go"
    return ""


def _put_away(entry: Entry, _: Situation) -> str:
    return _meant_to_stay(entry.checkpoint.series)


def _newest(entry: Entry, situation: Situation) -> str:
    by = situation.newest.get(entry.id)
    if by is None:
        return ""
    return "it is the newest of its series" + (f" by {by}" if by else "")


def _contains(entry: Entry, situation: Situation) -> str:
    if entry.path in situation.on_disk.containing:
        return "other checkpoints are inside it"
    if entry.path in situation.on_disk.shared:
        return "its directory also holds files that are not part of it"
    return ""


def _without_verdict(state: State) -> Callable[[Entry, Situation], str]:
    return lambda _, __: _WITHOUT_VERDICT[state]


def _changed(entry: Entry, situation: Situation) -> str:
    if entry.state in _WITHOUT_VERDICT or entry.path not in situation.on_disk.changed:
        return ""
    return "it changed on disk since it was verified; it is verified again"


def _touched(entry: Entry, situation: Situation) -> str:
    if entry.state in _WITHOUT_VERDICT or entry.path not in situation.on_disk.touched:
        return ""
    return (
        "its size and times are those that were verified, but a file was replaced or touched "
        "since; its content is compared first"
    )


def _open(entry: Entry, situation: Situation) -> str:
    return situation.on_disk.in_use.get(entry.path, "")


def _not_shown(entry: Entry, situation: Situation) -> str:
    policy = situation.policy
    if entry.id in situation.eligible or is_eligible(entry, policy):
        return ""
    shown = entry.report.shown if entry.report else ()
    missing = ", ".join(word for word in policy.require if word not in shown)
    return f"it has not shown what `require` asks for: {missing}"


def _out_of_order(entry: Entry, situation: Situation) -> str:
    doubt = situation.doubts.get(entry.id)
    return f"its place in the series is in doubt: {doubt}" if doubt else ""


def _fresh(entry: Entry, situation: Situation) -> str:
    policy = situation.policy
    if seconds_since_seen(entry, situation.ages) >= policy.min_age:
        return ""
    return situation.first_seen_lately


def _not_replicated(entry: Entry, situation: Situation) -> str:
    return situation.on_disk.without_copy.get(entry.path, "")


def _invalid(entry: Entry, situation: Situation) -> str:
    if entry.id in situation.removable:
        return ""
    if not is_broken_checkpoint(entry):
        return "it is not a checkpoint, whatever its name: remove it yourself"
    known = table.names(Effect.REMOVE_INVALID)
    configured = [name for name in known if getattr(situation.policy, name) is not None]
    if not configured:
        return f"it is invalid, and is kept for inspection (no {' or '.join(known)})"
    return f"it is invalid, and {' or '.join(configured)} does not remove it yet"


PROTECTIONS: tuple[Protection, ...] = (
    Protection("pinned", _pinned),
    Protection(
        "referenced",
        _referenced,
        None,
        lambda s: s.on_disk.references.paths or s.on_disk.references.served,
    ),
    Protection("listed", _listed, None, lambda s: s.on_disk.references.listed),
    Protection("served", _served, None, lambda s: s.served),
    Protection("put_away", _put_away),
    Protection("newest", _newest),
    Protection("contains", _contains, None, lambda s: s.on_disk.containing | s.on_disk.shared),
)
"""What outranks every rule."""

DOUBTS: tuple[Protection, ...] = (
    *(Protection(str(state), _without_verdict(state), state) for state in _WITHOUT_VERDICT),
    Protection("changed", _changed, None, lambda s: s.on_disk.changed),
    Protection("touched", _touched, None, lambda s: s.on_disk.touched),
    Protection("require", _not_shown, State.VALID),
    Protection("order", _out_of_order, State.VALID, lambda s: s.doubts),
    Protection("not_replicated", _not_replicated, State.VALID, lambda s: s.on_disk.without_copy),
    Protection("invalid", _invalid, State.INVALID),
    Protection("min_age", _fresh),
    Protection("open", _open, None, lambda s: s.on_disk.in_use),
)
"""Why a checkpoint that no rule keeps is not removed either."""

DOUBTS_IN_STATE = {
    state: tuple(row for row in DOUBTS if row.state in (None, state)) for state in State
}
"""The doubts that there can be about a checkpoint in a state."""
