"""One row of the suite declares a check: worker, config, CLI, metrics and manual read it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import checkpointd
from checkpointd.core.suite import LOAD_CHECKS
from tests.helpers.cli import World, environment
from tests.helpers.scan import write_weights

_MODULE = '''
from checkpointd.core.check_result import failed, passed

NAME = "crowded"


def check(context):
    """Warn about more than eight values."""
    count = sum(tensor.count for tensor in context.read().tensors)
    if count > 8:
        return failed(NAME, "too_many", f"It holds {count} values.", count=count)
    return passed(NAME)
'''
_REASONS = """

CROWDED = {
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
_BEFORE = '    CheckSpec(\n        name="load",\n'

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
def world(tmp_path: Path) -> World:
    """A copy of the package with the row, its module and its reasons; a checkpoint of 16 values."""
    package = tmp_path / "src" / "checkpointd"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(checkpointd.__file__).parent, package, ignore=ignored)
    (package / "verify" / "scan" / "crowded.py").write_text(_MODULE)
    with (package / "core" / "reasons" / "scanning.py").open("a") as reasons:
        reasons.write(_REASONS)
    suite = package / "core" / "suite.py"
    rows = suite.read_text()
    assert rows.count(_BEFORE) == 1
    suite.write_text(rows.replace(_BEFORE, _ROW + _BEFORE))
    world = World(tmp_path)
    write_weights(world.runs / "m.weights.h5", {"dense": np.ones((4, 4), np.float32)})
    return world


def _python(world: World, *command: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        env=environment(world.home, PYTHONPATH=str(world.home / "src")),
        cwd=world.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def _configure(world: World, skip: tuple[str, ...], fail_on: tuple[str, ...] = ()) -> None:
    watch = world.config.read_text().partition("[watch.verify]")[0]
    verify = f"skip = {json.dumps(skip)}\nfail_on = {json.dumps(fail_on)}\n"
    world.config.write_text(f"{watch}[watch.verify]\n{verify}")


def test_a_row_adds_a_check_to_the_worker_the_verdict_and_the_config(world: World) -> None:
    """It runs in a child, warns, fails where `fail_on` names it, and can be skipped."""
    verify = ("-m", "checkpointd", "--config", str(world.config), "verify")
    _configure(world, LOAD_CHECKS)
    (line,) = _python(world, *verify, "--json", "runs").splitlines()
    report = json.loads(line)
    checks = {check["name"]: check for check in report["checks"]}
    assert list(checks)[5] == "crowded"
    assert (report["verdict"], report["reason"]) == ("valid", "crowded.too_many")
    assert checks["crowded"]["details"] == {"count": 16}
    assert checks["crowded"]["outcome"] == "warn"

    _configure(world, LOAD_CHECKS, ("crowded",))
    printed = _python(world, *verify, "runs", code=1)
    assert "crowded.too_many  It holds 16 values." in printed
    assert "What to do: Make the model smaller." in printed

    _configure(world, ("crowded", *LOAD_CHECKS))
    report = json.loads(_python(world, *verify, "--json", "runs"))
    assert (report["verdict"], report["reason"]) == ("valid", "")


def test_a_row_adds_a_check_to_the_metrics_and_the_manual(world: World) -> None:
    """Labels of its own, a line in the table of checks and one for each of its reasons."""
    exposed = _python(world, "-c", _METRICS)
    labels = '{check="crowded",reason="crowded.too_many",watch="a"}'
    assert f"checkpointd_check_warnings_total{labels} 1.0\n" in exposed
    assert 'checkpointd_check_duration_seconds_count{check="crowded"} 1.0\n' in exposed
    manual = _python(world, "-c", _MANUAL)
    assert "| `crowded` | without TensorFlow | It holds few values. | `small` |" in manual
    assert "| `crowded.too_many` | valid, with a warning | Make the model smaller. |" in manual
