"""The training job's own interpreter: an older TensorFlow with Keras 2, an older Python.

One job, with nothing of ours but the wheel without its dependencies, saves in every way; what it
saved is verified under its own interpreter, where nothing of ours is, and under this one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.request import Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.watch.scan import find_checkpoints
from tests.helpers import runtimes

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report

pytestmark = pytest.mark.timeout(300)

WHOLE = ("called/1", "called_epoch_01.h5", "called_epoch_01.keras")
GOLDEN = (*WHOLE, "golden_dir", "golden.h5", "golden.keras")
GOLDEN_WEIGHTS = ("called_epoch_01.weights.h5", "golden.weights.h5", "golden-1")
PLAIN = ("plain_dir", "plain.h5", "plain.keras", "plain-weights", "plain-train")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What the job saved, and what it said of itself."""
    home = tmp_path_factory.mktemp("job")
    python = runtimes.with_checkpointd(home)
    saved = home / "runs"
    saved.mkdir()
    script = runtimes.ROOT / "tests" / "helpers" / "keras2_job.py"
    done = subprocess.run(
        [str(python), str(script), str(saved)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return saved, json.loads(done.stdout.splitlines()[-1])


def verify(saved: Path, names: tuple[str, ...], scratch: Path, python: str) -> dict[str, Report]:
    """Verify checkpoints under an interpreter, one after the other."""
    settings = VerifySettings(
        python=python,
        builder="keras2_job:build",
        python_path=(str(runtimes.ROOT / "tests" / "helpers"),),
    )
    reports: dict[str, Report] = {}

    async def run() -> None:
        dispatcher = LocalDispatcher(WorkerSettings(), scratch)
        try:
            for name in names:
                ((checkpoint, generation),) = find_checkpoints(str(saved / name))
                answer = await dispatcher.verify(Request(checkpoint, generation, settings))
                assert answer.report is not None, answer
                reports[name] = answer.report
        finally:
            await dispatcher.close()

    asyncio.run(run())
    return reports


def summary(reports: dict[str, Report]) -> dict[str, tuple[str, ...]]:
    """What was shown of each, in the suite's order; the reason where it is not simply valid."""
    return {
        name: report.shown
        if report.verdict is Verdict.VALID and not report.reason
        else (str(report.verdict), report.reason, report.message)
        for name, report in reports.items()
    }


def shown_of(name: str) -> tuple[str, ...]:
    """A whole model with its optimizer can also be trained on; an exported one cannot."""
    proved = ("intact", "loads", "runs", "predicts")
    return (*proved, "resumes") if name.endswith((".h5", ".keras")) else proved


def test_training_needs_our_wheel_alone(job: tuple[Path, dict[str, Any]]) -> None:
    """Without a dependency of the daemon, in an old Python, the job saves in every format."""
    saved, job_facts = job
    assert job_facts["tensorflow"].startswith("2.15.")
    assert job_facts["keras"].startswith("2.")
    assert not job_facts["strangers"]
    packages = {name.split(".")[1] for name in job_facts["ours"]}
    assert packages == {"core", "golden", "training"}
    assert (saved / "called_epoch_01.keras.golden.npz").exists()


def test_nothing_of_ours_is_in_the_other_interpreter() -> None:
    """What follows is no accident of an installation."""
    done = subprocess.run(
        [str(runtimes.keras2()), "-I", "-c", "import checkpointd"], capture_output=True, check=False
    )
    assert b"No module named 'checkpointd'" in done.stderr


def test_every_format_is_verified_under_the_jobs_own_interpreter(
    job: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """They load, run, predict what they predicted, and the report says where."""
    saved, job_facts = job
    python = str(runtimes.keras2())
    reports = verify(saved, (*GOLDEN, *GOLDEN_WEIGHTS, *PLAIN), tmp_path, python)
    summaries = summary(reports)
    proved = ("intact", "loads", "runs", "predicts")
    assert {name: summaries[name] for name in GOLDEN} == {name: shown_of(name) for name in GOLDEN}
    assert {name: summaries[name] for name in GOLDEN_WEIGHTS} == dict.fromkeys(
        GOLDEN_WEIGHTS, proved
    )
    assert {name: summaries[name] for name in PLAIN} == {
        name: tuple(word for word in shown_of(name) if word != "predicts") for name in PLAIN
    }
    for report in reports.values():
        environment = report.facts.environment
        assert {key: environment[key] for key in ("tensorflow", "keras", "python")} == {
            key: job_facts[key] for key in ("tensorflow", "keras", "python")
        }
        assert environment["interpreter"] == python
        outcomes = {check.name: check.outcome for check in report.checks}
        assert outcomes["signatures"] is Outcome.PASS


def test_the_same_checkpoints_are_verified_under_this_interpreter(
    job: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """With tf-keras beside a newer TensorFlow they are valid, and predict within rounding."""
    saved, _ = job
    summaries = summary(verify(saved, GOLDEN, tmp_path, ""))
    assert summaries == {name: shown_of(name) for name in GOLDEN}


def test_a_checkpoint_of_a_newer_keras_names_the_line_to_mend(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Keras 3 wrote it, the interpreter has Keras 2: inconclusive, nobody's data is blamed."""
    import keras

    saved = tmp_path_factory.mktemp("newer")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(saved / "newer.keras")
    report = verify(saved, ("newer.keras",), tmp_path, str(runtimes.keras2()))["newer.keras"]
    assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "load.environment")
    assert "set python in [watch.verify] to one that has Keras 3" in report.message
