"""What a rule is, what it looks at, and how its row in the table declares it."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    get_args,
    get_type_hints,
    runtime_checkable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Value(enum.Enum):
    """What the value of an option is; the schema of the config knows how each is written."""

    CHECKPOINTS = enum.auto()
    HOURS = enum.auto()
    DAYS = enum.auto()
    WEEKS = enum.auto()
    MONTHS = enum.auto()
    YEARS = enum.auto()
    STEPS = enum.auto()
    STEP_LIST = enum.auto()
    TAG_LIST = enum.auto()
    DURATION = enum.auto()
    TEXT = enum.auto()
    FLAG = enum.auto()

    SHARED = enum.auto()
    """Not an option of the rule: the policy's key of the same name, which several rules use."""


class Effect(enum.Enum):
    """What happens to the checkpoints that a rule claims."""

    KEEP = enum.auto()
    """Valid checkpoints stay. Valid ones that no rule of this kind claims are removed."""

    EXPIRE = enum.auto()
    """Valid checkpoints are removed, whichever rule of the first kind claims them."""

    REMOVE_INVALID = enum.auto()
    """Invalid checkpoints are removed. Invalid ones that no rule of this kind claims stay."""


_NO_METRICS: Mapping[str, float] = MappingProxyType({})


class SavedCheckpoint(NamedTuple):
    """One checkpoint, as far as rules look at it; times are seconds since the epoch.

    `seen_at` is when checkpointd first saw this content. `metrics` are those of `evaluate`, else
    the golden record's, else the file name's; `named` are the file name's alone, `evaluated` the
    names of those that `evaluate` gave, and `evaluated_by` which evaluation that was. `tags` are
    those that people have put on its path.
    """

    id: int
    saved_at: float
    seen_at: float = 0.0
    step: int | None = None
    metrics: Mapping[str, float] = _NO_METRICS
    named: Mapping[str, float] = _NO_METRICS
    evaluated: frozenset[str] = frozenset()
    evaluated_by: str = ""
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Obstacle:
    """Why a rule cannot be evaluated for a series: the label of the hold, and a clause."""

    label: str
    message: str


class Rule(Protocol):
    """One rule with its values; a frozen dataclass whose fields are its options in the config."""

    name: ClassVar[str]
    """Its key in `[watch.retention]`, and its label in the metrics."""

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Choose checkpoints of one series.

        Args:
            newest_first: the checkpoints that the rule may choose from, newest saved first.
            now: seconds since the epoch.

        Returns:
            The reason for each that it chooses, by the checkpoint's id.
        """
        ...


@runtime_checkable
class Measuring(Protocol):
    """A rule that needs something of checkpoints that they may all lack."""

    def obstacle(self, newest_first: Sequence[SavedCheckpoint]) -> Obstacle | None:
        """Why the rule cannot be evaluated; None if it can be."""
        ...


@dataclass(frozen=True)
class Option:
    """One value that a rule has in the config.

    `type` is a member of `Value`, or a `Literal` of the words that are allowed. An option without
    a `default` is required.
    """

    name: str
    type: Any
    help: str
    default: Any = dataclasses.MISSING


@dataclass(frozen=True)
class RuleSpec:
    """The row of one rule: everything that others have to know of it.

    `help` describes the rule in one sentence, for the manual and the schema of the config.
    `repeatable`: the config may also hold a list of tables, each of them a rule.
    `outranks_size`: what it keeps stays even if `max_total_bytes` cannot be met then.
    `outranks_age`: what it keeps stays although it has expired, or its run is too old.
    """

    rule: type[Rule]
    help: str
    effect: Effect = Effect.KEEP
    repeatable: bool = False
    outranks_size: bool = False
    outranks_age: bool = False

    @property
    def name(self) -> str:
        """Its key in `[watch.retention]`."""
        return self.rule.name

    @property
    def options(self) -> tuple[Option, ...]:
        """The rule's fields; a rule with one option is written as a plain value, else a table."""
        return tuple(o for o in self._fields() if o.type is not Value.SHARED)

    @property
    def has_short_form(self) -> bool:
        """Whether a plain value stands for a table that holds the first option alone."""
        first, *others = self.options
        return first.default is dataclasses.MISSING and all(
            option.default is not dataclasses.MISSING for option in others
        )

    def make(self, value: Any, policy: object) -> tuple[Rule, ...]:
        """Make the rule with its values; several of them if the value is a list of tables.

        Args:
            value: the value in the config; for a rule of several options an object that has them
                as attributes.
            policy: an object with the keys that rules share as attributes.
        """
        names = [option.name for option in self.options]
        shared = {
            option.name: getattr(policy, option.name)
            for option in self._fields()
            if option.type is Value.SHARED
        }
        if len(names) == 1:
            return (self.rule(**{names[0]: value}, **shared),)
        tables = value if self.repeatable else (value,)
        return tuple(
            self.rule(**{name: getattr(table, name) for name in names}, **shared)
            for table in tables
        )

    def _fields(self) -> Iterator[Option]:
        hints = get_type_hints(self.rule, include_extras=True)
        for found in dataclasses.fields(self.rule):  # type: ignore[arg-type]
            yield _option(found.name, hints[found.name], self.help, found.default)


def _option(name: str, hint: Any, default_help: str, default: Any) -> Option:
    """An option as its annotation declares it: `Annotated[int, Value.HOURS, "How many."]`."""
    notes: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    value = next((note for note in notes if isinstance(note, Value)), None)
    text = next((note for note in notes if isinstance(note, str)), default_help)
    base = get_args(hint)[0] if notes else hint
    return Option(name, base if value is None else value, text, default)
