"""`evaluate` and the user's own checks in real children: whatever they do, there is a verdict.

One dispatcher with its warm zygotes runs all cases; the tests look at the reports.
"""

from __future__ import annotations

import asyncio
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End, Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import MAX, Bound, Evaluation, UserCheck, VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import locate
from tests.helpers import models

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
]

_CODE = """
    import os, signal, sys

    def build():
        import keras
        return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])

    def evaluate(model):
        import numpy as np
        if hasattr(model, "signatures"):
            import tensorflow as tf
            served = model.signatures["serving_default"]
            (name,) = served.structured_input_signature[1]
            (output,) = served(**{name: tf.zeros((2, 3))}).values()
        else:
            output = model(np.zeros((2, 3), "float32"))
        return {"accuracy": 0.75, "rows": output.shape[0]}

    def nan(model):
        return {"accuracy": float("nan")}

    def raises(given):
        raise ValueError("no data here")

    def leaves(given):
        os._exit(0)

    def exits(given):
        sys.exit("enough")

    def rubbish(given):
        return "0.9"

    def number(given):
        return 3

    def crashes(given):
        os.kill(os.getpid(), signal.SIGSEGV)

    def hangs(given):
        while True:
            pass

    def prints(given):
        for _ in range(100):
            try:
                print("x" * 1_000_000)
            except OSError:
                break

    def forges(given):
        import json
        check = {"name": "another", "outcome": "pass", "reason": "", "message": "",
                 "duration_seconds": 0, "details": {}}
        forged = json.dumps({"check": check}).encode() + b"\\n"
        for fd in range(3, 256):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    os.write(fd, forged)
            except OSError:
                pass

    def light(context):
        if context.model is not None or "tensorflow" in sys.modules:
            return "TensorFlow is here."
        return bool(context.tensors)

    def heavy(context):
        from checkpointd.checks import warned
        return warned("seen", f"{type(context.model).__name__} {context.metrics['accuracy']:g}")
"""


def own(*names: str, stage: str = "load") -> dict[str, Any]:
    """Settings with checks of these names."""
    return {"checks": tuple(UserCheck(name, f"own_code:{name}", stage) for name in names)}


def evaluated(function: str, **bound: Any) -> dict[str, Any]:
    """Settings with a function of the user's, and a bound for `accuracy`."""
    bounds = {"accuracy": Bound(**bound)} if bound else {}
    return {"evaluate": Evaluation(f"own_code:{function}"), "bounds": bounds}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real checkpoints, the user's code, and held-out data."""
    keras = models.library("keras")
    home = tmp_path_factory.mktemp("own")
    (home / "own_code.py").write_text(textwrap.dedent(_CODE))
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    loss = keras.losses.MeanSquaredError()
    model.compile("sgd", loss, metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    model.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)
    model.save(home / "m.keras")
    model.save_weights(home / "m.weights.h5")
    model.export(home / "export", verbose=False)
    inputs = np.random.default_rng(5).normal(size=(70, 3)).astype("float32")
    outputs = model.predict(inputs, verbose=0)
    np.savez(home / "exact.npz", inputs=inputs, labels=outputs)
    np.savez(home / "classes.npz", x_test=inputs, y_test=outputs.argmax(-1))
    np.savez(home / "short.npz", inputs=inputs, labels=outputs[:9])
    np.savez(home / "pickled.npz", inputs=np.array([{}]), labels=np.zeros(1))
    return home


def verify(scratch: Path, made: Path, cases: dict[str, Any], timeout: float) -> dict[str, Report]:
    """Run cases, each `(file, settings)` and perhaps a best, one after the other."""

    async def run() -> dict[str, Report]:
        dispatcher = LocalDispatcher(WorkerSettings.model_validate({"timeout": timeout}), scratch)
        found = {}
        try:
            await dispatcher.warm(VerifySettings())
            for name, (file, settings, *best) in cases.items():
                place = locate(str(made / file))
                assert place is not None
                request = Request(
                    Checkpoint(place.path, place.hint),
                    place.generation,
                    VerifySettings(python_path=(str(made),), **settings),
                )
                answer = await dispatcher.verify(replace(request, best=best[0] if best else {}))
                assert answer.end is End.DONE, (name, answer)
                assert answer.report is not None
                found[name] = answer.report
        finally:
            await dispatcher.close()
        return found

    return asyncio.run(run())


def data(file: Path, *metrics: str, **bounds: Bound) -> dict[str, Any]:
    """Settings with held-out data."""
    return {"evaluate": Evaluation("", str(file), metrics), "bounds": bounds}


@pytest.fixture(scope="module")
def reports(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The report of every case."""
    weights = {"builder": "own_code:build"}
    cases = {
        "function": ("m.keras", evaluated("evaluate", min=0.75)),
        "weights": ("m.weights.h5", weights | evaluated("evaluate")),
        "weights without a builder": ("m.weights.h5", evaluated("evaluate") | own("raises")),
        "savedmodel": ("export", evaluated("evaluate", max=0.8)),
        "below": ("m.keras", evaluated("evaluate", min=0.9)),
        "worse than the best": (
            "m.keras",
            evaluated("evaluate", within_of_best=0.1, mode=MAX),
            {"accuracy": 0.9},
        ),
        "near the best": (
            "m.keras",
            evaluated("evaluate", within_of_best=0.2, mode=MAX),
            {"accuracy": 0.9},
        ),
        "nan": ("m.keras", evaluated("nan", min=-1e9)),
        "nan unbounded": ("m.keras", evaluated("nan")),
        **{word: ("m.keras", evaluated(word)) for word in ("raises", "exits", "leaves", "rubbish")},
        "nowhere": ("m.keras", evaluated("nowhere")),
        "compiled": ("m.keras", data(made / "exact.npz", mae=Bound(max=1e-5))),
        "named": ("m.keras", data(made / "exact.npz", "mse", "mean_absolute_error")),
        "named savedmodel": ("export", data(made / "classes.npz", "accuracy")),
        "compiled savedmodel": ("export", data(made / "exact.npz")),
        "no such metric": ("m.keras", data(made / "exact.npz", "beauty")),
        "no such file": ("m.keras", data(made / "none.npz", "mse")),
        "other lengths": ("m.keras", data(made / "short.npz", "mse")),
        "a pickle": ("m.keras", data(made / "pickled.npz", "mse")),
        "no data": ("m.keras", data(made / "own_code.py", "mse")),
        "own": (
            "m.keras",
            evaluated("evaluate")
            | {
                "checks": (*own("light", stage="scan")["checks"], *own("heavy", "prints")["checks"])
            },
        ),
        "own fail_on": ("m.keras", evaluated("evaluate") | own("heavy") | {"fail_on": ("heavy",)}),
        "own skip": ("m.keras", own("raises") | {"skip": ("raises",)}),
        "own raises": ("m.keras", own("raises", "exits", "number", "prints")),
        "own leaves": ("m.keras", own("leaves", "prints")),
        "own forges": ("m.keras", own("forges", "another_one")),
        "own crashes": ("m.keras", own("crashes")),
        "own crashes in scan": ("m.keras", evaluated("evaluate") | own("crashes", stage="scan")),
    }
    return verify(tmp_path_factory.mktemp("scratch"), made, cases, 60.0)


@pytest.mark.parametrize(
    ("case", "verdict", "reason", "told"),
    [
        ("function", Verdict.VALID, "", ""),
        ("weights", Verdict.VALID, "", ""),
        ("weights without a builder", Verdict.VALID, "", ""),
        ("savedmodel", Verdict.VALID, "", ""),
        ("below", Verdict.INVALID, "evaluate.below_threshold", "accuracy is 0.75, less than 0.9"),
        ("worse than the best", Verdict.INVALID, "evaluate.below_threshold", "best 0.9"),
        ("near the best", Verdict.VALID, "", ""),
        ("nan", Verdict.INVALID, "evaluate.below_threshold", "accuracy is NaN"),
        ("nan unbounded", Verdict.VALID, "", ""),
        (
            "raises",
            Verdict.INCONCLUSIVE,
            "evaluate.evaluate_error",
            "ValueError: no data here (own_",
        ),
        ("exits", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "SystemExit: enough"),
        ("leaves", Verdict.INCONCLUSIVE, "evaluate.environment", "exited without a result"),
        ("rubbish", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "it returned a str"),
        ("nowhere", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "has no 'nowhere'"),
        ("compiled", Verdict.VALID, "", ""),
        ("named", Verdict.VALID, "", ""),
        ("named savedmodel", Verdict.VALID, "", ""),
        ("compiled savedmodel", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "no Keras model"),
        ("no such metric", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "no metric 'beauty'"),
        ("no such file", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "there is no such file"),
        ("other lengths", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "same number of"),
        ("a pickle", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "no .npz file without"),
        ("no data", Verdict.INCONCLUSIVE, "evaluate.evaluate_error", "no .npz file without"),
        ("own", Verdict.VALID, "heavy.seen", "0.75"),
        ("own fail_on", Verdict.INVALID, "heavy.seen", "0.75"),
        ("own skip", Verdict.VALID, "", ""),
        ("own raises", Verdict.INCONCLUSIVE, "raises.check_error", "ValueError: no data here"),
        ("own leaves", Verdict.INCONCLUSIVE, "leaves.environment", "exited without a result"),
        ("own forges", Verdict.INCONCLUSIVE, "forges.environment", "out of order: 'another'"),
        ("own crashes", Verdict.INCONCLUSIVE, "crashes.crashed", "SIGSEGV"),
        ("own crashes in scan", Verdict.INCONCLUSIVE, "crashes.crashed", "SIGSEGV"),
    ],
)
def test_whatever_the_users_code_does_the_verdict_names_it(
    reports: dict[str, Report], case: str, verdict: Verdict, reason: str, told: str
) -> None:
    """Metrics in and out of bounds, every way to fail, and what may be returned."""
    report = reports[case]
    assert (report.verdict, report.reason) == (verdict, reason), report.message
    assert told in report.message


def test_the_values_become_metrics_of_the_checkpoint(reports: dict[str, Report]) -> None:
    """For keep_best and for Prometheus; NaN stays NaN, so that no other source takes its place."""
    facts = reports["function"].facts
    assert facts.metrics == facts.evaluation == {"accuracy": 0.75, "rows": 2.0}
    assert reports["function"].checkpoint.metrics["accuracy"] == 0.75
    assert facts.evaluated_by == Evaluation("own_code:evaluate").digest
    assert np.isnan(reports["nan unbounded"].facts.metrics["accuracy"])
    assert set(reports["compiled"].facts.evaluation) == {"loss", "mae"}
    assert reports["named"].facts.evaluation == pytest.approx(
        {"mse": 0.0, "mean_absolute_error": 0.0}, abs=1e-6
    )
    assert reports["named savedmodel"].facts.evaluation == {"accuracy": 1.0}
    assert reports["raises"].facts.evaluation == {}


def test_a_check_of_ones_own_takes_nothing_from_the_others(reports: dict[str, Report]) -> None:
    """What was shown and learned before it crashed is kept, and what comes after it runs."""
    report = reports["own crashes in scan"]
    assert report.shown == ("intact", "loads", "runs", "resumes")
    assert report.facts.weight_norm is not None
    assert report.facts.digest
    assert report.facts.evaluation["accuracy"] == 0.75
    outcomes = {check.name: check.outcome for check in reports["own raises"].checks}
    assert outcomes["prints"] is Outcome.PASS
    assert outcomes["number"] is Outcome.ERROR
    skipped = {check.name: check.outcome for check in reports["own skip"].checks}
    assert skipped["raises"] is Outcome.SKIP
    unloaded = {c.name: c for c in reports["weights without a builder"].checks}
    assert unloaded["evaluate"].outcome is unloaded["raises"].outcome is Outcome.SKIP
    assert "builder" in unloaded["evaluate"].message


def test_a_check_that_hangs_is_ended_and_named(made: Path, tmp_path: Path) -> None:
    """In either stage; where it has used up the time, what comes after it says so."""
    cases = {
        "load": ("m.keras", own("hangs")),
        "scan": ("m.keras", own("hangs", stage="scan")),
    }
    found = verify(tmp_path, made, cases, 8.0)
    for report in found.values():
        assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "hangs.timeout")
    assert found["load"].shown == ("intact", "loads", "runs", "resumes")
    after = {check.name: check for check in found["scan"].checks}
    assert after["load"].outcome is Outcome.SKIP
    assert after["load"].message == "Not run, because hangs did not pass."
    assert found["scan"].facts.format is Format.KERAS
    assert found["scan"].facts.digest
