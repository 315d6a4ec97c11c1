"""A directory whose names leave three things open, and the templates that the holds name."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import eventually
from tests.helpers.scene import HEAD, NEVER_ASK, SCAN_ONLY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

_WATCH = """
[[watch]]
name = "runs"
path = "runs"
settle = "200ms"
{version}

[watch.verify]
{scan_only}

[watch.retention]
mode = "enforce"
min_age = "1ms"
{never_ask}
keep_last = 2
"""
_STEPS = [f"model_step_{n}.weights.h5" for n in range(1, 7)]
_EPOCHS = [f"disease_{n:02d}_0.9{n}31.weights.h5" for n in range(1, 7)]
_GRID = [f"fold_2/epoch_{e}_step_{s}.weights.h5" for e in (1, 2, 3) for s in (1, 2)]
_CLEAR = [f"clear_epoch_{n}.weights.h5" for n in range(1, 7)]


@pytest.mark.timeout(600)
def test_the_templates_that_holds_name_end_them(daemon: Daemon, made: Path) -> None:
    """Nothing goes until the config says what names mean; then exactly what it says goes.

    The numbers of steps are those of models, the others count the saves of one.
    """
    _write(daemon, [])
    now = time.time() - 9000
    for number, name in enumerate([*_STEPS, *_EPOCHS, *_GRID, *_CLEAR]):
        path = daemon.runs / name
        path.parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(made / "only.weights.h5", path)
        os.utime(path, (now + 60 * number, now + 60 * number))
    daemon.start()
    eventually("what is certain to be pruned", lambda: _left(daemon, _CLEAR) == _CLEAR[-2:])
    eventually("every other to be verified", lambda: _counts(daemon).get("valid") == 20)
    holds = {hold["reason"]: hold for hold in daemon.status()["watches"][0]["holds"]}
    assert holds.keys() == {"steps_unclear", "number_unclear", "numbers_independent"}
    for names in (_STEPS, _EPOCHS, _GRID):
        assert _left(daemon, names) == names

    shown = daemon.cli("prune", "runs").stdout
    for hold in holds.values():
        start = f"on hold  {hold['series']}\n         {hold['message']}\n         {hold['cure']}\n"
        assert start in shown
    assert shown.count("may count the epochs") == 1
    assert shown.count("on hold, see above") == 12

    together, apart = {}, {}
    for reason, hold in holds.items():
        together[reason], apart[reason] = re.findall(r'version = ("[^"]+")', hold["cure"])
    _write(
        daemon,
        [apart["steps_unclear"], together["number_unclear"], together["numbers_independent"]],
    )
    assert daemon.cli("reload").returncode == 0
    eventually("what is settled to be pruned", lambda: _left(daemon, _GRID) == _GRID[-2:])
    eventually("the epochs to be pruned", lambda: _left(daemon, _EPOCHS) == _EPOCHS[-2:])
    assert _left(daemon, _STEPS) == _STEPS
    assert daemon.status()["watches"][0]["holds"] == []
    labels = {json.loads(row)["series"] for row in daemon.cli("list", "--json").stdout.splitlines()}
    assert labels == {
        *_STEPS,
        "disease_{}_{}.weights.h5",
        "fold_2/epoch_{}_step_{}.weights.h5",
        "clear_epoch_{}.weights.h5",
    }
    newest = daemon.cli("latest", "runs", "--series", _STEPS[0]).stdout.strip()
    assert newest == str(daemon.runs / _STEPS[0])


def _write(daemon: Daemon, templates: list[str]) -> None:
    version = f"version = [{', '.join(templates)}]" if templates else ""
    watch = _WATCH.format(version=version, scan_only=SCAN_ONLY, never_ask=NEVER_ASK)
    daemon.config.write_text(HEAD + watch)


def _counts(daemon: Daemon) -> dict[str, int]:
    counts: dict[str, int] = daemon.status()["watches"][0]["counts"]
    return counts


def _left(daemon: Daemon, names: list[str]) -> list[str]:
    return [name for name in names if (daemon.runs / name).exists()]
