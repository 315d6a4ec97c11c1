"""What is verified again, and when: decisions, and the appointments that carry them out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.queue import Item
from checkpointd.daemon.retry_scheduler import Again, is_outdated, patience
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Ledger, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

THEN = VerifySettings(runtime="tensorflow 2.15")
NOW = VerifySettings(runtime="tensorflow 2.16")
CHECKPOINT = Checkpoint("/w/a.keras", Format.KERAS, "w", "a.keras")
GENERATION = Generation((Member("", 1, 2, 100, 10**9, 10**9),))


def judged(
    verdict: Verdict,
    reason: str = "",
    shown: tuple[str, ...] = ("intact",),
    form: Format = Format.KERAS,
) -> Report:
    """A report made under the settings of then."""
    return Report(
        checkpoint=CHECKPOINT,
        generation=GENERATION,
        verdict=verdict,
        reason=reason,
        message="",
        shown=shown,
        checks=(),
        facts=Facts(format=form),
        duration_seconds=0.1,
        settings_digest=THEN.digest,
        finished_at=1.0,
    )


def test_a_retry_waits_twice_as_long_each_time_and_a_day_at_most() -> None:
    """Trouble that lasts costs less and less, and is never given up."""
    waits = [patience(attempt) for attempt in range(1, 40)]
    assert waits[:5] == [60, 120, 240, 480, 960]
    assert waits == sorted(waits)
    assert waits[-1] == 24 * 3600


@pytest.mark.parametrize(
    ("report", "settings", "again"),
    [
        (judged(Verdict.INVALID, "finite.nan"), THEN, False),
        (judged(Verdict.INVALID, "finite.nan"), NOW, True),
        (judged(Verdict.INCONCLUSIVE, "load.unknown_object"), THEN, False),
        (judged(Verdict.INCONCLUSIVE, "load.unknown_object"), NOW, True),
        (judged(Verdict.INCONCLUSIVE, "load.environment"), THEN, True),
        (judged(Verdict.INCONCLUSIVE, "load.sandbox_unavailable"), THEN, True),
        (judged(Verdict.VALID, shown=("intact", "loads")), NOW, False),
        (judged(Verdict.VALID), NOW, True),
        (judged(Verdict.VALID), replace(NOW, skip=("load",)), False),
        (judged(Verdict.VALID, form=Format.TF_CHECKPOINT), NOW, False),
        (judged(Verdict.VALID, form=Format.TF_CHECKPOINT), replace(NOW, builder="m:f"), True),
    ],
)
def test_only_what_may_come_out_otherwise_is_verified_again(
    report: Report, settings: VerifySettings, again: bool
) -> None:
    """Terabytes of valid weights are not read again because a library was upgraded."""
    assert is_outdated(report, settings) is again


def with_ledger(
    home: Path, story: Callable[[LedgerThread, Again, list[Item]], Awaitable[None]]
) -> None:
    """Run a story with a real ledger, appointments, and the list of what they enqueue."""

    async def run() -> None:
        ledger = LedgerThread()
        await ledger.open(home)
        queued: list[Item] = []
        again = Again(ledger, queued.append)
        try:
            await story(ledger, again, queued)
        finally:
            again.close()
            await ledger.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("happens", "comes"),
    [
        (None, 1),
        (judged(Verdict.INCONCLUSIVE, "load.timeout"), 1),
        (judged(Verdict.VALID), 0),
        ("gone", 0),
        ("overwritten", 0),
    ],
)
def test_an_appointment_is_kept_only_while_it_is_wanted(
    tmp_path: Path, happens: Any, comes: int
) -> None:
    """What got its verdict meanwhile, went or changed, is not verified once more."""

    async def story(ledger: LedgerThread, again: Again, queued: list[Item]) -> None:
        await ledger(Ledger.sighted, CHECKPOINT, GENERATION, State.PENDING, "")
        item = Item(CHECKPOINT, GENERATION, 1.0, attempt=3)
        again.later(item, 3600.0)
        again.later(item, 0.05)
        if isinstance(happens, Report):
            await ledger(Ledger.reported, happens)
        elif happens == "gone":
            await ledger(Ledger.gone, CHECKPOINT.path)
        elif happens == "overwritten":
            newer = Generation((Member("", 1, 2, 100, 2 * 10**9, 10**9),))
            await ledger(Ledger.sighted, CHECKPOINT, newer, State.PENDING, "")
        await asyncio.gather(*again._appointments.values())
        assert queued == [replace(item, attempt=4)] * comes
        assert not again._appointments

    with_ledger(tmp_path, story)
