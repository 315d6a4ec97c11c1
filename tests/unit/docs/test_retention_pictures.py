"""The pictures of the retention page are what the rules choose."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from checkpointd.config import RetentionSettings
from checkpointd.retention import plan
from checkpointd.retention_rules import Effect, SavedCheckpoint, table
from tests.helpers import manual
from tests.helpers.ledger import entry, generation

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = manual.TEXTS[manual.DIRECTORY / "retention.md"]
THURSDAY = datetime(2026, 2, 26, tzinfo=UTC).timestamp()
SATURDAY = datetime(2026, 3, 7, tzinfo=UTC).timestamp()
PICTURES = [block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "·" in block]


def _stays(line: str, oldest_first: Sequence[SavedCheckpoint], now: float) -> str:
    """The marks of a rule, oldest first."""
    policy = RetentionSettings.model_validate({**tomllib.loads(line), "timezone": "UTC"})
    newest_first = oldest_first[::-1]
    (rule,) = (*table.rules_of(policy, Effect.KEEP), *table.rules_of(policy, Effect.EXPIRE))
    removes = rule.name in table.names(Effect.EXPIRE)
    claimed = rule.claim(newest_first, now)
    return "".join("o" if (c.id in claimed) is not removes else "·" for c in oldest_first)


def _compare(lines: list[str], saved: Sequence[SavedCheckpoint], now: float) -> set[str]:
    """Compare each line of a picture; return the rules that it shows."""
    for line in lines:
        rule, marks = re.fullmatch(r"(.*?)\s+((?:[o·]+\s*)+)", line).groups()  # type: ignore[union-attr]
        assert "".join(marks.split()) == _stays(rule, saved, now), line
    return {line.split()[0] for line in lines}


def test_each_picture_is_what_the_rule_of_its_line_chooses() -> None:
    """And there is one of every rule that is about valid checkpoints."""
    days, steps, losses, tags, _ = (picture.splitlines() for picture in PICTURES)
    times = [THURSDAY + day * 86400 + hour * 3600 for day in range(8) for hour in (6, 14, 22)]
    saved = [SavedCheckpoint(i, at, at) for i, at in enumerate(times)]
    shown = _compare(days[2:], saved, SATURDAY)
    numbers = enumerate(map(int, steps[0].split()[1:]))
    shown |= _compare(steps[1:], [SavedCheckpoint(i, i, step=s) for i, s in numbers], SATURDAY)
    values = enumerate(losses[0].split()[1:])
    with_loss = [
        SavedCheckpoint(i, i, metrics={} if v == "-" else {"val_loss": float(v)}) for i, v in values
    ]
    shown |= _compare(losses[1:], with_loss, SATURDAY)
    carried = [frozenset(v.split(",")) for v in tags[0].split()[1:]]
    tagged = [SavedCheckpoint(i, i, tags=names) for i, names in enumerate(carried)]
    shown |= _compare(tags[1:], tagged, SATURDAY)
    assert shown == {*table.names(Effect.KEEP), *table.names(Effect.EXPIRE)}


def test_the_picture_of_the_limit_is_what_a_plan_keeps() -> None:
    """Of checkpoints that are equally large."""
    sizes, *lines = PICTURES[4].splitlines()
    numbers = list(enumerate(map(int, sizes.split()[3:]), 1))
    entries = [
        replace(
            entry(i, step=i, saved_at=SATURDAY + i), generation=generation(SATURDAY + i, n << 30)
        )
        for i, n in numbers
    ]
    for line in lines:
        keys, marks = re.fullmatch(r"(.*?)\s+((?:[o·]+\s*)+)", line).groups()  # type: ignore[union-attr]
        text = "\n".join(re.split(r", (?=\w+ =)", keys))
        policy = RetentionSettings.model_validate(tomllib.loads(text))
        kept = {d.entry.id for d in plan(entries, policy, SATURDAY + 1e6).kept}
        assert marks.split() == ["o" if i in kept else "·" for i, _ in numbers], line
