"""Which verdicts are renewed because settings, an interpreter or the user's code have changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.format_specs import spec_of
from checkpointd.core.verdict import Verdict
from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.retry_scheduler import TRANSIENT, is_transient, last_word
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.report import Report
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.daemon.runtimes import Runtimes
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.ledger import Entry, ReportSummary

_OUTSIDE_SETTINGS = ("evaluate_error", "check_error", "sandbox_unavailable")
"""Reasons that a user removes elsewhere than in [watch.verify], so that no settings change."""

_ROUND_SECONDS = 10.0

log = structlog.get_logger()


def is_outdated(report: Report | ReportSummary, settings: VerifySettings) -> bool:
    """Whether the verdict may be different under the current settings.

    That holds where its reason was outside the checkpoint, for what was invalid or inconclusive
    under other settings, and for what was valid without being loaded and can be loaded now: a
    builder has been configured since.
    """
    if is_transient(report) or last_word(report) in _OUTSIDE_SETTINGS:
        return True
    if report.settings_digest == settings.digest:
        return False
    if report.verdict is not Verdict.VALID:
        return True
    spec = spec_of(report.facts.format)
    can_load = settings.builder or spec is None or spec.whole_model
    return bool(can_load) and "loads" not in report.shown and "load" not in settings.skip


class Reverifier:
    """Queues checkpoints whose verdict is outdated.

    Args:
        watches: the watches that run.
        ledger: holds the verdicts.
        work: takes what is to be verified.
        upgraded: set once every report can be asked for what it says in a moment.
    """

    def __init__(
        self, watches: Watches, ledger: LedgerThread, work: WorkQueue, upgraded: asyncio.Event
    ) -> None:
        self._watches = watches
        self._ledger = ledger
        self._work = work
        self._upgraded = upgraded
        self._due: set[str] = set()

    async def renew(self, watch: str) -> None:
        """Queue everything of a watch that runs whose verdict is outdated, now or soon.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if watch not in self._watches:
            return
        if not self._upgraded.is_set():
            self._due.add(watch)
            return
        settings = self._watches.verify_settings(watch)
        outdated: list[Entry] = []
        after: Entry | None = None
        while True:
            entries = await self._ledger(
                Ledger.verdicts_to_check,
                watch,
                settings.digest,
                (*TRANSIENT, *_OUTSIDE_SETTINGS),
                loadable="load" not in settings.skip,
                after=after,
            )
            outdated += [e for e in entries if e.report and is_outdated(e.report, settings)]
            if not entries:
                break
            after = entries[-1]
        for entry in outdated:
            self._work.push(Item(entry.checkpoint, entry.generation, time.time()))

    async def follow(self, runtimes: Runtimes, renew_zygote: Callable[[str], None]) -> None:
        """Renew verdicts whenever an interpreter has changed, until cancelled.

        Args:
            runtimes: reports which interpreters have changed.
            renew_zygote: called with an interpreter whose next model a fresh process must load.
        """
        await self._upgraded.wait()
        outdated, self._due = self._due, set()
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            used = {name: self._watches.verify_settings(name).python for name in self._watches}
            for python in await runtimes.check(used.values()):
                log.info("interpreter has changed", runtime=runtimes.of(python))
                renew_zygote(python)
                outdated |= {name for name in used if used[name] == python}
            for name in outdated & set(self._watches):
                with contextlib.suppress(LedgerError):  # logged elsewhere, and tried again
                    await self.renew(name)
                    outdated.discard(name)
