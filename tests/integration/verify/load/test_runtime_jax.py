"""A training job on JAX where TensorFlow is not installed, and what it saved, verified.

It is verified under its own interpreter, which has Keras 3 on JAX, and under this one, which has
TensorFlow.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd import golden
from checkpointd.core.verdict import Verdict
from tests.helpers import runtimes
from tests.integration.verify.load.test_runtime_keras2 import summary, verify

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

WHOLE = ("called-02.keras", "saved.keras", "bfloat16.keras")
SHOWN = ("intact", "loads", "runs", "predicts", "resumes")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What the job saved, and what it said of itself."""
    python = runtimes.jax()
    saved = tmp_path_factory.mktemp("job")
    script = runtimes.ROOT / "tests" / "helpers" / "jax_job.py"
    done = subprocess.run(
        [str(python), str(script), str(saved)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(runtimes.ROOT), "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    return saved, json.loads(done.stdout.splitlines()[-1])


def test_a_job_without_tensorflow_saves_with_records(job: tuple[Path, dict[str, Any]]) -> None:
    """Without a warning, and training goes on as it would have without us."""
    saved, job_facts = job
    assert job_facts["warnings"] == []
    assert job_facts["undisturbed"]
    assert not job_facts["tensorflow"]
    called = ("called-01.keras", "called-01.weights.h5", "called-02.weights.h5")
    records = {path.name for path in saved.glob("*.golden.npz")}
    assert records == {f"{name}.golden.npz" for name in (*called, "saved.h5", *WHOLE)}


def test_what_tensorflow_alone_writes_is_refused_with_the_cure(
    job: tuple[Path, dict[str, Any]],
) -> None:
    """And nothing is left behind."""
    saved, job_facts = job
    assert "TensorFlow is not installed here" in job_facts["savedmodel"]
    assert "save as .keras, .h5 or .weights.h5" in job_facts["tf_checkpoint"]
    assert not [p for p in saved.iterdir() if not p.name.endswith((".keras", ".h5", ".npz"))]


def test_the_record_holds_what_the_outputs_depend_on(job: tuple[Path, dict[str, Any]]) -> None:
    """Backend and its version, device, the precision of products, the policy."""
    saved, _ = job
    plain = golden.read(str(saved / "saved.keras.golden.npz")).environment
    assert plain["backend"].startswith("jax 0.")
    assert (plain["device"], plain["precision"], plain["policy"]) == ("cpu", "float32", "float32")
    assert plain["keras"].startswith("keras 3.")
    assert plain["tensorflow"] == ""
    mixed = golden.read(str(saved / "bfloat16.keras.golden.npz")).environment
    assert mixed["policy"] == "mixed_bfloat16"


def test_it_is_verified_under_the_jobs_own_interpreter(
    job: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Keras runs on JAX there, in the sandbox, and trains on."""
    saved, _ = job
    reports = verify(saved, WHOLE[1:], tmp_path, str(runtimes.jax()))
    assert summary(reports) == dict.fromkeys(WHOLE[1:], SHOWN)
    for report in reports.values():
        assert report.facts.environment["backend"].startswith("jax 0.")
        assert report.facts.environment["tensorflow"] == ""
        predictions = next(c for c in report.checks if c.name == "predictions")
        assert predictions.message.startswith("Equal to the original")


def test_it_is_verified_under_tensorflow(job: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """JAX's step counter is of another type: the optimizer is the same, and trains on."""
    saved, _ = job
    reports = verify(saved, (*WHOLE, "saved.h5"), tmp_path, "")
    summaries = summary(reports)
    assert {name: summaries[name] for name in WHOLE} == dict.fromkeys(WHOLE, SHOWN)
    assert reports["saved.h5"].verdict is Verdict.VALID
    assert "predicts" in reports["saved.h5"].shown
