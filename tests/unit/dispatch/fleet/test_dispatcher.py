"""Whom the daemon asks next, with a fleet of two hosts that answers what a test wants."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from checkpointd.config import DispatchSettings, WorkerSettings
from checkpointd.core.check_result import CheckResult, failed, passed
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import LOAD_CHECKS, checks_of
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.fleet import dispatcher as module
from checkpointd.dispatch.fleet import messages
from checkpointd.dispatch.reports import make_report
from checkpointd.worker.protocol import SCAN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SETTINGS = VerifySettings(skip=LOAD_CHECKS)
GENERATION = Generation((Member("", 1, 2, 3, 4, 5),))
REQUEST = Request(Checkpoint("/runs/m.keras", Format.KERAS, "runs"), GENERATION, SETTINGS)
HOSTS = ("a", "b")


class FakeLink:
    """Answers each task at once with what its host always answers."""

    payloads: ClassVar[Mapping[str, str]] = {}
    asked: ClassVar[list[str]] = []

    def __init__(self, _settings: Any, take: Any, _down: Any) -> None:
        self._take = take

    def start(self) -> None:
        """Announce the hosts."""
        members = [messages.Member(host * 32, host, 1, 1 << 30, 60.0) for host in HOSTS]
        rows = [{"announced": member.announce(), "seen": time.time()} for member in members]
        asyncio.get_running_loop().call_soon(self._take, {"members": rows})

    def send(self, message: dict[str, Any]) -> None:
        """Take a task."""
        if "submit" in message:
            host = message["member"][0]
            self.asked.append(host)
            answer = {"answer": message["submit"], "payload": self.payloads[host]}
            asyncio.get_running_loop().call_soon(self._take, answer)

    async def close(self) -> None:
        """Do nothing."""


def payload(*first: CheckResult) -> str:
    """A report whose first checks end like this, and the others well."""
    rest = [passed(name) for name in checks_of(SCAN, SETTINGS)[len(first) :]]
    report = make_report(REQUEST, Facts(format=Format.KERAS), [*first, *rest], 0.0, "")
    return messages.encode_answer("gpu", Answer(End.DONE, "", report)).decode()


VALID = payload()
UNREADABLE = payload(failed("structure", "unreadable", "Permission denied."))
TIMED_OUT = payload(failed("structure", "timeout", "No result."))
BROKEN = payload(failed("structure", "truncated", "It is cut."))
ELSEWHERE = messages.encode_end("gpu", messages.ELSEWHERE, "Not there.").decode()


@pytest.mark.parametrize(
    ("first", "second", "reason", "asked", "problem"),
    [
        (VALID, VALID, "", 1, ""),
        (BROKEN, VALID, "structure.truncated", 1, ""),
        (TIMED_OUT, VALID, "structure.timeout", 1, ""),
        (UNREADABLE, VALID, "", 2, "a cannot verify what another host can"),
        (UNREADABLE, UNREADABLE, "structure.unreadable", 2, ""),
        (UNREADABLE, ELSEWHERE, "structure.unreadable", 2, "b sees other files"),
        (ELSEWHERE, UNREADABLE, "structure.unreadable", 2, "a sees other files"),
        (ELSEWHERE, VALID, "", 2, "a sees other files"),
        (ELSEWHERE, ELSEWHERE, None, 2, "a sees other files"),
    ],
)
def test_another_host_is_asked_where_that_may_help(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    reason: str | None,
    asked: int,
    problem: str,
) -> None:
    """Once, and only where the first one lacks something or sees other files.

    After three in a row it is a problem of that host.
    """
    monkeypatch.setattr(module, "Link", FakeLink)
    monkeypatch.setattr(FakeLink, "payloads", dict(zip(HOSTS, (first, second), strict=True)))
    monkeypatch.setattr(FakeLink, "asked", [])
    settings = DispatchSettings(engine="dask", scheduler="tcp://127.0.0.1:8786")

    async def work() -> Answer:
        made = module.FleetDispatcher(settings, WorkerSettings(), tmp_path)
        try:
            async with asyncio.timeout(20):
                answer = await made.verify(REQUEST)
                FakeLink.asked, asked = [], FakeLink.asked
                for _ in range(2):
                    assert not made.engine()["problems"]
                    await made.verify(REQUEST)
                problems.extend(made.engine()["problems"])
                FakeLink.asked = asked
                return answer
        finally:
            await made.close()

    problems: list[str] = []
    answer = asyncio.run(work())
    assert (answer.report.reason if answer.report is not None else None) == reason
    assert FakeLink.asked == list(HOSTS)[:asked]
    assert problem in "".join(problems)
    assert bool(problem) == bool(problems)
