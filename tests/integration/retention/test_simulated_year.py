"""A simulated year of hourly saves, planned after each, with clocks, people and disks as they are.

The simulation knows what was really saved when. Whatever the clocks of the host and of the daemon
say, no plan removes what is really newest, best, pinned, or needed for `keep_min_valid`.
"""

from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.ledger import State
from checkpointd.retention import plan
from tests.helpers.invariants import FLOOR, LOST
from tests.helpers.ledger import entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.ledger import Entry
    from checkpointd.retention import RetentionPlan
    from tests.helpers.invariants import Invariants

SOAK = bool(os.environ.get("SOAK"))
DAYS = 366 if SOAK else 15
HOUR, DAY = 3600.0, 86400.0
BEGAN = datetime(2026, 3, 10, tzinfo=UTC).timestamp()
"""Before summer time begins in Berlin."""

KEEP_LAST, FLOOR_COUNT, BEST = 5, 2, 2
POLICY = RetentionSettings.model_validate(
    {
        "mode": "enforce",
        "keep_last": KEEP_LAST,
        "keep_hourly": 12,
        "keep_daily": 7,
        "keep_weekly": 4,
        "keep_within": "6h",
        "keep_best": {"n": BEST, "metric": "loss", "mode": "min"},
        "keep_min_valid": FLOOR_COUNT,
        "min_age": "30m",
        "timezone": "Europe/Berlin",
    }
)


@dataclass
class Year:
    """A job, the host that it runs on, a daemon, and people; `saved` is when what was really saved.

    `present` is what the ledger knows, `runs` the run of each checkpoint, a copy has none.
    """

    rng: random.Random
    at: float = BEGAN
    step: int = 0
    run: int = 0
    host: float = 0.0
    daemon: float = 0.0
    number: int = 0
    present: dict[str, Entry] = field(default_factory=dict)
    saved: dict[int, float] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    removed: list[Entry] = field(default_factory=list)

    def hour(self) -> bool:
        """Let an hour go by; whether anything was saved."""
        rng = self.rng
        self.at += HOUR + rng.uniform(-200, 200)
        if rng.random() < 1 / 300:  # the host's clock is wrong, or put right
            self.host = rng.choice([0.0, 0.0, 0.0, DAY, -DAY, -2 * HOUR, 365 * DAY, 1.0 - self.at])
        if rng.random() < 1 / 400:
            self.daemon = rng.choice([0.0, 0.0, 0.0, 2 * DAY, -DAY])
        if rng.random() < 1 / 250:  # the job crashes, and goes on from an earlier checkpoint
            self.at += rng.randrange(1, 40) * HOUR
            self.step = max(0, self.step - 100 * rng.randrange(1, 6))
        if rng.random() < 1 / 1500:
            self.step, self.run = 0, self.run + 1
        if self.removed and rng.random() < 1 / 300:
            self._copy_back()
        self.step += 100
        if rng.random() < 1 / 12:
            return False
        self._save(State.INVALID if rng.random() < 1 / 30 else State.VALID)
        return True

    def _save(self, state: State) -> None:
        loss = 1 / (1 + self.step / 1e5) + self.rng.random() / 10
        metrics = {"loss": loss} if self.rng.random() < 0.99 else {}
        host = max(0.0, self.at + self.host)
        self._add(f"/w/ckpt-{self.step}", self.step, host, metrics, state)
        self.saved[self.number], self.runs[self.number] = self.at, self.run

    def _copy_back(self) -> None:
        old = self.rng.choice(self.removed)
        if old.path in self.present:
            return
        time = self.rng.choice([old.saved_at, self.at + self.daemon])
        self._add(old.path, old.step, time, dict(old.checkpoint.metrics), State.VALID)

    def _add(
        self, path: str, step: int | None, time: float, metrics: dict[str, float], state: State
    ) -> None:
        self.number += 1
        self.present[path] = entry(
            self.number,
            path=path,
            step=step,
            saved_at=time,
            metrics=metrics,
            state=state,
            seen=self.at + self.daemon + 5,
            sequence=self.number,
            pinned=self.rng.random() < 1 / 200,
        )

    def correct_times(self) -> None:
        """A person does what a hold about the order asks for: sets the save times right."""
        for path, known in self.present.items():
            self.present[path] = replace(known, saved_at=self.saved.get(known.id, known.saved_at))
        self.host = self.daemon = 0.0

    def plan(self) -> RetentionPlan:
        """What the daemon decides two minutes after the save."""
        return plan(self.present.values(), POLICY, self.at + self.daemon + 120)

    def really_newest(self) -> set[int]:
        """The newest valid ones of the run that goes on, by when they were really saved."""
        own = [e for e in self._valid() if self.runs.get(e.id) == self.run]
        newest = sorted(own, key=lambda e: self.saved[e.id], reverse=True)
        return {e.id for e in newest[:KEEP_LAST]}

    def really_best(self) -> set[int]:
        """The best of all that are there."""
        finite = [e for e in self._valid() if "loss" in e.checkpoint.metrics]
        best = sorted(finite, key=lambda e: e.checkpoint.metrics["loss"])
        return {e.id for e in best[:BEST]}

    def _valid(self) -> list[Entry]:
        return [e for e in self.present.values() if e.state is State.VALID]


@pytest.mark.slow
@pytest.mark.timeout(0 if SOAK else 120)
def test_no_plan_of_a_year_removes_what_a_person_would_keep(
    invariants: Invariants, show: Callable[[str], None]
) -> None:
    """After each save, what is to go is compared with what is really newest, best and pinned."""
    seed = int(os.environ.get("SEED", "0")) or secrets.randbelow(10**6)
    year = Year(random.Random(seed))  # noqa: S311 - a simulation
    held_since = 0.0
    rounds, most, held = 0, 0, Counter[str]()
    while year.at < BEGAN + DAYS * DAY:
        if not year.hour():
            continue
        planned = year.plan()
        rounds += 1
        held.update({hold.reason for hold in planned.holds})
        held_since = (held_since or year.at) if planned.holds else 0.0
        if held_since and year.at - held_since > 2 * DAY:
            year.correct_times()
            held_since = 0.0
        removed = {d.entry.id for d in planned.removals}
        when = f"SEED={seed}, round {rounds}, {datetime.fromtimestamp(year.at, UTC)}"
        pinned = {e.id for e in year.present.values() if e.pinned}
        for name, kept in (
            ("newest", year.really_newest()),
            ("best", year.really_best()),
            ("pinned", pinned),
        ):
            lost = [e for e in year.present.values() if e.id in removed & kept]
            invariants.never(LOST, lost, (when, name, lost))
        left = [e for e in year._valid() if e.id not in removed]
        invariants.never(FLOOR, removed and len(left) < FLOOR_COUNT, when)
        for decision in planned.removals:
            year.removed.append(year.present.pop(decision.entry.path))
        most = max(most, len(year.present))
    invariants.situations["plans of a simulated year"] += rounds
    show(
        f"{DAYS} simulated days of hourly saves (SEED={seed}): {rounds} plans, {len(year.removed)} "
        f"removed, at most {most} kept, held: {dict(held)}"
    )
