"""What a rule is, what it looks at, and how its row in the table declares it."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, get_args, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Value(enum.Enum):
    """What the value of an option is; the schema of the config knows how each is written."""

    CHECKPOINTS = enum.auto()
    HOURS = enum.auto()
    DAYS = enum.auto()
    STEPS = enum.auto()
    DURATION = enum.auto()
    TEXT = enum.auto()


class Effect(enum.Enum):
    """What becomes of the checkpoints that a rule claims."""

    KEEP = enum.auto()
    """Valid checkpoints stay. Valid ones that no rule of this kind claims are removed."""

    REMOVE_INVALID = enum.auto()
    """Invalid checkpoints are removed. Invalid ones that no rule of this kind claims stay."""


@dataclass(frozen=True)
class SavedCheckpoint:
    """One checkpoint, as far as rules look at it; times are seconds since the epoch.

    `seen_at` is when checkpointd first saw this content, `metrics` are the golden record's and,
    where that has none of the name, the file name's.
    """

    id: int
    saved_at: float
    seen_at: float = 0.0
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Option:
    """One value that a rule has in the config.

    `type` is a member of `Value`, or a `Literal` of the words that are allowed.
    """

    name: str
    type: Any
    help: str


@dataclass(frozen=True)
class RuleSpec:
    """The row of one rule: everything that others have to know of it.

    `help` describes the rule in one sentence, for the manual and the schema of the config.
    """

    rule: type[Rule]
    help: str
    effect: Effect = Effect.KEEP

    @property
    def name(self) -> str:
        """Its key in `[watch.retention]`."""
        return self.rule.name

    @property
    def options(self) -> tuple[Option, ...]:
        """The rule's fields; a rule with one option is written as a plain value, else a table."""
        hints = get_type_hints(self.rule, include_extras=True)
        names = [f.name for f in dataclasses.fields(self.rule)]  # type: ignore[arg-type]
        return tuple(_option(name, hints[name], self.help) for name in names)

    def make(self, value: Any) -> Rule:
        """The rule with its values.

        Args:
            value: the value in the config; for a rule of several options an object that has them
                as attributes.
        """
        options = self.options
        if len(options) == 1:
            return self.rule(**{options[0].name: value})
        return self.rule(**{o.name: getattr(value, o.name) for o in options})


def _option(name: str, hint: Any, default_help: str) -> Option:
    """An option as its annotation declares it: `Annotated[int, Value.HOURS, "How many."]`."""
    notes: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    value = next((note for note in notes if isinstance(note, Value)), None)
    text = next((note for note in notes if isinstance(note, str)), default_help)
    base = get_args(hint)[0] if notes else hint
    return Option(name, base if value is None else value, text)
