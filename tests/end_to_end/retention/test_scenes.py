"""Everyday situations beside one real daemon that enforces: nothing goes that was to be kept."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import Daemon, eventually
from tests.helpers.invariants import LOST
from tests.helpers.scene import HEAD, NEVER_ASK, SCAN_ONLY, Action, Save, Scene, is_there
from tests.helpers.scenes import SCENES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.invariants import Invariants

_PAUSE_SECONDS = 1.0
_WITHOUT_VERDICT = ("pending", "writing", "superseded")
_WATCH = """
[[watch]]
name = "{name}"
path = "{path}"
settle = "200ms"
{watch}

[watch.verify]
{scan_only}

[watch.retention]
mode = "enforce"
min_age = "1ms"
{never_ask}
{policy}
"""


def _config(roots: dict[Scene, Path]) -> str:
    fixed = {"scan_only": SCAN_ONLY, "never_ask": NEVER_ASK}
    return HEAD + "".join(
        _WATCH.format(name=root.name, path=root, watch=scene.watch, policy=scene.policy, **fixed)
        for scene, root in roots.items()
    )


class Scenes:
    """All scenes, each in a root of its own, beside one daemon."""

    def __init__(self, daemon: Daemon, made: Path) -> None:
        self._daemon, self._made = daemon, made
        self.roots = {scene: daemon.home / f"scene-{i:02d}" for i, scene in enumerate(SCENES)}
        self.saved = {scene: set[str]() for scene in SCENES}
        self._left = ""
        self._counts: list[tuple[str, str, int]] = []
        self._since = 0.0

    def perform(self, scene: Scene, action: Action) -> None:
        """Do what a job or a person does."""
        action.write(self.roots[scene], self._made, time.time())
        if isinstance(action, Save):
            self.saved[scene].add(action.name)

    def begin(self) -> None:
        """Lay down what is there when the daemon starts, and start it."""
        for scene, root in self.roots.items():
            root.mkdir()
            for action in scene.found:
                self.perform(scene, action)
        self._daemon.config.write_text(_config(self.roots))
        self._daemon.start()
        self._settle()

    def go_on(self) -> None:
        """Save the rest one by one, and wait each time until nothing is left to be done."""
        for number in range(max(len(scene.saved) for scene in SCENES)):
            for scene in SCENES:
                if number < len(scene.saved):
                    self.perform(scene, scene.saved[number])
            self._settle()

    def removed(self, scene: Scene) -> int:
        """How many are not at their place any more."""
        return sum(not is_there(self.roots[scene], name) for name in self.saved[scene])

    def lost(self, scene: Scene) -> list[str]:
        """Which are gone that were to be kept."""
        return sorted(name for name in scene.kept if not is_there(self.roots[scene], name))

    def _settle(self) -> None:
        try:
            eventually("verdicts and removals", self._nothing_left, 500)
        except AssertionError as error:
            error.add_note(self._left)
            raise

    def _nothing_left(self) -> bool:
        self._left = self._unsettled() or _not_removed(self._daemon)
        return not self._left

    def _unsettled(self) -> str:
        """What is without a verdict, or has changed a moment ago; empty if nothing has."""
        status = self._daemon.status()
        counts = [(w["name"], *count) for w in status["watches"] for count in w["counts"].items()]
        known, saves = sum(n for _, _, n in counts), sum(map(len, self.saved.values()))
        waiting = sum(n for _, state, n in counts if state in _WITHOUT_VERDICT)
        if counts != self._counts:
            self._counts, self._since = counts, time.monotonic()
        if known < saves or waiting or status["queue"]["length"] or status["verifying"]:
            return f"{known} of {saves} are known, {waiting} have no verdict"
        return "" if time.monotonic() > self._since + _PAUSE_SECONDS else "it has just changed"


def _not_removed(daemon: Daemon) -> str:
    """What is still to be removed; empty if nothing is."""
    output = daemon.cli("prune", "--json")
    rows = [json.loads(line) for line in output.stdout.splitlines()]
    left = [row["path"] for row in rows if not row.get("keep", True)]
    return ", ".join(left) if rows else output.stderr


@pytest.mark.slow(75)
@pytest.mark.timeout(1500)
def test_what_a_person_would_keep_stays(daemon: Daemon, made: Path, invariants: Invariants) -> None:
    """In every scene; what is on hold names its cure, and pruning works where nothing is."""
    scenes = Scenes(daemon, made)
    scenes.begin()
    scenes.go_on()
    holds = [(w["name"], hold) for w in daemon.status()["watches"] for hold in w["holds"]]
    assert all(hold["cure"] for _, hold in holds)
    invariants.situations["retention scenes"] += len(SCENES)
    invariants.situations["scenes on hold"] += len({name for name, _ in holds})
    invariants.situations["checkpoints in scenes"] += sum(map(len, scenes.saved.values()))
    invariants.situations["removals in scenes"] += sum(map(scenes.removed, SCENES))
    for scene in SCENES:
        invariants.checked[LOST] += len(scene.kept)
    lost = {scene.name: scenes.lost(scene) for scene in SCENES if scenes.lost(scene)}
    invariants.never(LOST, lost, json.dumps(lost, indent=1))
    idle = {s.name: (scenes.removed(s), s.removed) for s in SCENES if scenes.removed(s) < s.removed}
    assert idle == {}
