"""The everyday situations of `tests.helpers.scenes` under the settings that nobody has changed.

The end-to-end test asks for no confirmation and lets nothing rest, so that rules alone decide. Here
the same files are planned for as a daemon does that enforces each scene's rules and sets nothing
else: at once, two hours later, and once a person has agreed.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import WatchSettings
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger
from checkpointd.retention.confirmation import confirm_and_record, confirmed
from checkpointd.retention.watch_plan import plan_watch
from checkpointd.watch.scan import find_checkpoints
from tests.helpers.clocks import Clocks
from tests.helpers.formats import bundle, savedmodel
from tests.helpers.invariants import LOST
from tests.helpers.ledger import report
from tests.helpers.scene import HOUR, Save, Scene
from tests.helpers.scenes import SCENES
from tests.helpers.watch import write_hdf5

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.retention import RetentionPlan
    from tests.helpers.invariants import Invariants

_MINUTE = 60.0
_RESTED = 2 * HOUR
"""After so long everything is older than `min_age`."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint of each format of the scenes."""
    home = tmp_path_factory.mktemp("made")
    write_hdf5(home / "only.weights.h5")
    bundle(home / "ckpt-1")
    savedmodel(home / "export")
    return home


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """What the ledger reads, and `time.time` shows."""
    clocks, real = Clocks(), time.time
    monkeypatch.setattr(Ledger, "read_clocks", staticmethod(clocks.read))
    monkeypatch.setattr(time, "time", lambda: real() + clocks.passed)
    return clocks


class Enforced:
    """A scene in a root of its own, and the ledger of a daemon that watches it."""

    def __init__(self, scene: Scene, home: Path, made: Path, clocks: Clocks) -> None:
        self.scene, self._made, self._clocks = scene, made, clocks
        self.root = home / "root"
        self.root.mkdir()
        (home / "state").mkdir()
        self.ledger = Ledger.open(home / "state")
        text = f"{scene.watch}\n[retention]\nmode = 'enforce'\n{scene.policy}\n"
        settings: dict[str, Any] = {"name": "w", "path": self.root, **tomllib.loads(text)}
        self.watch = WatchSettings.model_validate(settings)
        self._spoiled: set[str] = set()
        self._listings = 0

    def perform(self) -> None:
        """Write what is found at the start, then one after the other what is saved."""
        self.ledger.advance_clock()
        self._do(*self.scene.found)
        for action in self.scene.saved:
            self._clocks.passed += _MINUTE
            self._do(action)

    def _do(self, *actions: Any) -> None:
        for action in actions:
            action.write(self.root, self._made, time.time())
            if isinstance(action, Save) and not action.good:
                self._spoiled.add(str(self.root / action.name))
        self._listings += 1
        for checkpoint, generation in find_checkpoints(
            str(self.root), templates=self.watch.version
        ):
            known = self.ledger.entry(checkpoint.path)
            if known is None or known.generation.key != generation.key:
                found = replace(checkpoint, watch="w")
                verdict = Verdict.INVALID if checkpoint.path in self._spoiled else Verdict.VALID
                made = report(found, generation, verdict, finished_at=time.time())
                self.ledger.record_report(made, self._listings)

    def plan(self, *, by_person: bool = False) -> RetentionPlan:
        """What the daemon would do now, with why it waits for a person."""
        self.ledger.advance_clock()
        planned = plan_watch(self.ledger, self.watch, time.time(), by_person=by_person)
        if by_person:
            before = self.ledger.policy_records("w")
            agreed = confirmed(self.watch, planned, time.time(), before)
            self.ledger.record_policies("w", agreed)
            return planned
        return confirm_and_record(self.ledger, self.watch, planned)

    def lost(self, planned: RetentionPlan) -> list[str]:
        """What a person would have kept and a plan removes."""
        removed = {d.entry.path for d in planned.removals}
        return sorted(n for n in self.scene.kept if str(self.root / n) in removed)


@pytest.fixture(params=SCENES, ids=lambda scene: scene.name)
def enforced(
    request: pytest.FixtureRequest, tmp_path: Path, made: Path, clocks: Clocks
) -> Iterator[Enforced]:
    """Each scene."""
    enforced = Enforced(request.param, tmp_path, made, clocks)
    enforced.perform()
    yield enforced
    enforced.ledger.close()


def test_nothing_goes_before_a_person_agrees_and_nothing_good_then(
    enforced: Enforced, clocks: Clocks, invariants: Invariants
) -> None:
    """All rests at first, then waits and says so; what goes in the end is what nobody wants."""
    at_once = enforced.plan()
    assert not at_once.removals
    clocks.passed += _RESTED
    later = enforced.plan()
    invariants.never(LOST, enforced.lost(later))
    assert bool(later.unconfirmed) == bool(later.removals)
    agreed = enforced.plan(by_person=True)
    invariants.never(LOST, enforced.lost(agreed))
    assert len(agreed.removals) >= enforced.scene.removed
    clocks.passed += _MINUTE
    invariants.never(LOST, enforced.lost(enforced.plan()))
    holds = (*at_once.holds, *later.holds, *later.unconfirmed, *agreed.holds)
    assert all(hold.message and hold.cure for hold in holds)
    assert all(d.reasons for d in (*at_once.decisions, *agreed.decisions))
    resting = {d.entry.path: " ".join(d.reasons) for d in at_once.decisions}
    goes = {d.entry.path for d in agreed.removals}
    assert at_once.holds or all("min_age" in resting[path] for path in goes)
    invariants.situations["retention scenes with default settings"] += 1
    invariants.situations["removals in them once a person agrees"] += len(agreed.removals)
