"""When a load that runs beside a scan begins, what it holds back, and what ends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.report import Facts
from checkpointd.core.suite import SCAN_CHECKS, safety_first
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.dispatch.early_load import EarlyLoad
from checkpointd.dispatch.limits import fits_beside_scan, limits_for
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from checkpointd.dispatch.early_load import Scanned

GIB = 1 << 30


class Scene:
    """A scan whose results are given one by one, and a load that waits for its facts."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.began: list[Scanned] = []
        self.got: list[Facts] = []
        self.cancelled = False
        self.early = EarlyLoad(SCAN_CHECKS, lambda check: self.seen.append(check.name), self.start)

    async def _load(self, known: Scanned) -> ChildResult:
        try:
            known.on_check(passed("load", ""))
            assert known.exchange.facts is not None
            self.got.append(await known.exchange.facts)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ChildResult(checks=[passed("load", "")])

    def start(self, known: Scanned) -> object:
        """Begin the load."""
        self.began.append(known)
        return self._load(known)

    async def scan(self, *checks: CheckResult) -> None:
        """Give results of the scan, with the facts before that of safety."""
        exchange = self.early.exchange
        assert exchange.on_start is not None
        assert exchange.on_facts is not None
        exchange.on_start(7.0)
        for check in checks:
            if check.name == "safety":
                exchange.on_facts(Facts(writer="early"))
            self.early.scanned(check)
            await asyncio.sleep(0)


def test_what_reads_no_weights_comes_first() -> None:
    """All else stays in the order of the suite, the user's checks too."""
    assert safety_first((*SCAN_CHECKS, "mine")) == (
        *("structure", "safety", "integrity", "finite", "drift"),
        "mine",
    )


def test_a_load_begins_after_safety_and_reports_after_the_scan() -> None:
    """The results are given on in the order of the suite; facts and deadline are the scan's."""

    async def run() -> None:
        scene = Scene()
        await scene.scan(passed("structure", ""), passed("safety", ""))
        assert [(k.facts.writer, k.deadline) for k in scene.began] == [("early", 7.0)]
        assert scene.seen == ["structure"]
        rest = (passed("integrity", ""), passed("finite", ""), skipped("drift", ""))
        await scene.scan(*rest)
        assert scene.seen == list(SCAN_CHECKS)
        loaded: list[str] = []
        result = await scene.early.result(Facts(writer="final"), lambda c: loaded.append(c.name))
        assert result is not None
        assert loaded == ["load"]
        assert [facts.writer for facts in scene.got] == ["final"]
        await scene.early.end()

    asyncio.run(run())


@pytest.mark.parametrize(
    "first",
    [
        (failed("structure", "malformed", "x"), skipped("safety", "")),
        (passed("structure", ""), failed("safety", "code", "x")),
        (passed("structure", ""), CheckResult("safety", Outcome.ERROR, "safety.timeout")),
    ],
)
def test_nothing_is_loaded_before_structure_and_safety_have_passed(
    first: tuple[CheckResult, ...],
) -> None:
    """A failure of either, or an error, and no load begins."""

    async def run() -> None:
        scene = Scene()
        await scene.scan(*first, passed("integrity", ""))
        assert not scene.began
        assert await scene.early.result(Facts(), lambda _: None) is None

    asyncio.run(run())


def test_a_failing_scan_ends_the_load_at_once() -> None:
    """It does not wait for the checks that are still to come."""

    async def run() -> None:
        scene = Scene()
        await scene.scan(passed("structure", ""), passed("safety", ""))
        await scene.scan(failed("integrity", "checksum_mismatch", "x"))
        await asyncio.sleep(0)
        assert scene.cancelled
        assert not scene.got
        await scene.early.end()

    asyncio.run(run())


def test_a_scan_that_runs_again_loads_afterwards() -> None:
    """The second attempt of a scan runs alone, so the load is ended and begins no second time."""

    async def run() -> None:
        scene = Scene()
        await scene.scan(passed("structure", ""), passed("safety", ""))
        await scene.early.end()
        assert scene.cancelled
        await scene.scan(passed("structure", ""), passed("safety", ""))
        assert len(scene.began) == 1
        assert await scene.early.result(Facts(), lambda _: None) is None

    asyncio.run(run())


def test_results_that_wait_for_one_that_never_came_are_given_on() -> None:
    """The scan ended in integrity, after safety: both are reported, in the order of the suite."""

    async def run() -> None:
        scene = Scene()
        await scene.scan(passed("structure", ""), passed("safety", ""))
        ended_in = CheckResult("finite", Outcome.ERROR, "finite.timeout")
        await scene.scan(ended_in)
        checks = [passed("structure", ""), passed("safety", ""), ended_in, skipped("integrity", "")]
        scene.early.finish_scan(checks)
        assert scene.seen == ["structure", "safety", "finite"]
        assert [check.name for check in checks] == ["structure", "integrity", "safety", "finite"]
        await scene.early.end()

    asyncio.run(run())


@pytest.mark.parametrize("memory", ["auto", 8 * GIB])
def test_scan_and_load_together_use_what_one_of_them_may(memory: int | str) -> None:
    """Side by side they are within the limit of one worker; alone, each has its own again."""

    def used(stage: str, *, beside: bool) -> int:
        limits = limits_for(stage, 1, memory, 60, spare=16 * GIB, share=2, beside=beside)
        return limits.memory_bytes

    assert used(SCAN, beside=True) + used(LOAD, beside=True) == used(LOAD, beside=False)
    assert used(SCAN, beside=False) == (GIB if memory == "auto" else memory)


def test_a_load_that_needs_most_of_the_memory_waits_for_its_scan() -> None:
    """It is not begun in less than twice its checkpoint's size."""
    assert fits_beside_scan(4 * GIB, "auto", 18 * GIB, 2)
    assert not fits_beside_scan(4 * GIB, "auto", 17 * GIB, 2)
    assert not fits_beside_scan(1, 2 * GIB - 1, 64 * GIB, 1)
