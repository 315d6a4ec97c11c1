"""What all tests share: deadlines, and tables that are shown when the run is over."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.invariants import Invariants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Speed is measured by `make bench`; a busy machine fails no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_SLOW_SECONDS = 10
_TABLES = pytest.StashKey[list[str]]()
_INVARIANTS = pytest.StashKey[Invariants]()


@pytest.fixture(scope="session")
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give a function that shows a text at the end of the run, whether or not tests fail."""
    return request.config.stash[_TABLES].append


@pytest.fixture(scope="session")
def invariants(request: pytest.FixtureRequest) -> Invariants:
    """Count faults, and what must never happen; a table is shown at the end of the run."""
    return request.config.stash[_INVARIANTS]


@pytest.fixture(autouse=True)
def _imports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test imports from where an earlier one did: `python_path` stays in a process for good."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no text to show, and as from a terminal.

    A shell that runs this in the background has Ctrl-C ignored here, and in what the tests start.
    """
    config.stash[_TABLES] = []
    config.stash[_INVARIANTS] = Invariants()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that several processes end together."""
    seconds: dict[Path, float] = {}
    for item in items:
        for marker in item.iter_markers("slow"):
            (takes,) = marker.args or (_SLOW_SECONDS,)
            seconds[item.path] = max(seconds.get(item.path, 0), takes)
    items.sort(key=lambda item: -seconds.get(item.path, 0))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the texts of one of several processes to the one that speaks."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tables"] = session.config.stash[_TABLES]
        output["invariants"] = session.config.stash[_INVARIANTS].dump()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the texts of a process that is done."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_TABLES].extend(output.get("tables", ()))
    node.config.stash[_INVARIANTS].add(output.get("invariants", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show them."""
    config = terminalreporter.config
    table = config.stash[_INVARIANTS].table()
    for text in [*config.stash[_TABLES], *([table] if table else [])]:
        terminalreporter.write_line(f"\n{text}")
