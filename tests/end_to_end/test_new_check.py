"""One row of the suite declares a check: worker, config, CLI, metrics and manual read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.core.suite import LOAD_CHECKS
from tests.helpers.cli import World
from tests.helpers.extended import Extended
from tests.helpers.scan import write_weights

if TYPE_CHECKING:
    from pathlib import Path

_MODULE = '''
from checkpointd.core.check_result import failed, passed
from checkpointd.verify.scan.structure import contents_of

NAME = "crowded"


def check(context):
    """Warn about more than eight values."""
    count = sum(tensor.count for tensor in contents_of(context).tensors)
    if count > 8:
        return failed(NAME, "too_many", f"It holds {count} values.", count=count)
    return passed(NAME)
'''
_REASONS = """CROWDED = {
    "crowded.too_many": Reason(_W, "Make the model smaller.", _FILE),
}

"""
_ROW = """    CheckSpec(
        name="crowded",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.crowded",
        summary="It holds few values.",
        own_reasons=scanning.CROWDED,
        needs=("integrity", "safety"),
        shows="small",
        optional=True,
    ),
"""
_METRICS = """
import sys
from prometheus_client import generate_latest
from checkpointd.core import decode
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.check_result import failed
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verdict import decide

checks = (failed("crowded", "too_many", "x."),)
checkpoint = Checkpoint("m.h5", Format.HDF5_WEIGHTS, "a")
metrics = Metrics(Snapshot)
metrics.reported(
    Report(checkpoint, Generation(()), *decide(checks), checks, Facts(), 0.0, "", 0.0)
)
print(generate_latest(metrics.registry).decode())
"""
_MANUAL = """
from checkpointd.cli.manual import tables
print(tables.checks())
print(tables.reasons())
"""


@pytest.fixture
def extended(tmp_path: Path) -> Extended:
    """The package with the row, its module and its reasons."""
    package = Extended(tmp_path)
    package.write("verify/scan/crowded.py", _MODULE)
    package.insert("core/reasons/scanning.py", "FINITE = {", _REASONS)
    package.insert("core/suite.py", '    CheckSpec(\n        name="load",', _ROW)
    return package


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A checkpoint of 16 values, in a watch."""
    world = World(tmp_path)
    write_weights(world.runs / "m.weights.h5", {"dense": np.ones((4, 4), np.float32)})
    return world


def _run(extended: Extended, world: World, *arguments: str, code: int = 0) -> str:
    done = extended.run(*arguments, home=world.home)
    assert done.returncode == code, done.stderr
    return done.stdout


def _configure(world: World, skip: tuple[str, ...], fail_on: tuple[str, ...] = ()) -> None:
    watch = world.config.read_text().partition("[watch.verify]")[0]
    verify = f"skip = {json.dumps(skip)}\nfail_on = {json.dumps(fail_on)}\n"
    world.config.write_text(f"{watch}[watch.verify]\n{verify}")


def test_a_row_adds_a_check_to_the_worker_the_verdict_and_the_config(
    extended: Extended, world: World
) -> None:
    """It runs in a child, warns, fails where `fail_on` names it, and can be skipped."""
    verify = ("-m", "checkpointd", "--config", str(world.config), "verify")
    _configure(world, LOAD_CHECKS)
    (line,) = _run(extended, world, *verify, "--json", "runs").splitlines()
    report = json.loads(line)
    checks = {check["name"]: check for check in report["checks"]}
    assert list(checks)[5] == "crowded"
    assert (report["verdict"], report["reason"]) == ("valid", "crowded.too_many"), checks["crowded"]
    assert checks["crowded"]["details"] == {"count": 16}
    assert checks["crowded"]["outcome"] == "warn"

    _configure(world, LOAD_CHECKS, ("crowded",))
    printed = _run(extended, world, *verify, "runs", code=1)
    assert "crowded.too_many  It holds 16 values." in printed
    assert "What to do: Make the model smaller." in printed

    _configure(world, ("crowded", *LOAD_CHECKS))
    report = json.loads(_run(extended, world, *verify, "--json", "runs"))
    assert (report["verdict"], report["reason"]) == ("valid", "")


def test_a_row_adds_a_check_to_the_metrics_and_the_manual(extended: Extended, world: World) -> None:
    """Labels of its own, a line in the table of checks and one for each of its reasons."""
    exposed = _run(extended, world, "-c", _METRICS)
    labels = '{check="crowded",reason="crowded.too_many",watch="a"}'
    assert f"checkpointd_check_warnings_total{labels} 1.0\n" in exposed
    assert 'checkpointd_check_duration_seconds_count{check="crowded"} 1.0\n' in exposed
    manual = _run(extended, world, "-c", _MANUAL)
    assert "| `crowded` | without TensorFlow | It holds few values. | `small` |" in manual
    assert "| `crowded.too_many` | valid, with a warning | Make the model smaller. |" in manual
