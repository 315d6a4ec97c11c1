"""Users' checks: what they may return, and what becomes of everything else."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import checks
from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Previous, Request
from checkpointd.core.verify_settings import UserCheck, VerifySettings
from checkpointd.golden import Golden
from checkpointd.tensors import baseline
from checkpointd.verify import user_checks
from checkpointd.verify.load.context import LoadContext
from checkpointd.verify.load.loaded import Loaded
from tests.unit.verify.scan.test_drift import stats

if TYPE_CHECKING:
    from pathlib import Path


def context(*asked: UserCheck, python_path: tuple[str, ...] = (), **settings: Any) -> LoadContext:
    """The load side with something loaded, a golden record and a previous checkpoint."""
    facts = Facts(format=Format.KERAS, metrics={"loss": 0.3}, tensors=baseline.pack([stats()]))
    request = Request(
        Checkpoint("/w/m_07.keras", Format.KERAS, step=7, metrics={"val_loss": 0.4}),
        Generation(()),
        VerifySettings(checks=asked, python_path=python_path, **settings),
        Previous("/w/m_06.keras", facts, 6),
    )
    made = LoadContext(request, facts)
    made.loaded = Loaded("the model", None, {})
    made.record = Golden(inputs={"input": np.zeros(2)}, outputs={"output": np.ones(2)})
    return made


def run(*asked: UserCheck, stage: str = "load", **more: Any) -> dict[str, CheckResult]:
    """Run checks of a stage; the results by name."""
    found: dict[str, CheckResult] = {}

    def emit(result: CheckResult) -> None:
        found[result.name] = result

    user_checks.run_user_checks(context(*asked, **more), stage, emit, lambda _facts: None, {})
    return found


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of the user's with the source that the test gives; the name of it."""
    (tmp_path / "mychecks.py").write_text(request.param)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "mychecks", raising=False)
    return "mychecks"


@pytest.mark.parametrize(
    ("returned", "outcome", "reason", "message"),
    [
        (None, Outcome.PASS, "", ""),
        (True, Outcome.PASS, "", ""),
        (np.bool_(True), Outcome.PASS, "", ""),
        ("", Outcome.PASS, "", ""),
        (False, Outcome.FAIL, "mine.failed", "The check 'mine' returned False."),
        ("It leans.", Outcome.FAIL, "mine.failed", "It leans."),
        ({"outcome": "pass"}, Outcome.PASS, "", ""),
        ({"outcome": "skip", "message": "Not today."}, Outcome.SKIP, "", "Not today."),
        ({"outcome": "warn", "word": "odd", "message": "Odd."}, Outcome.WARN, "mine.odd", "Odd."),
        (checks.passed("Well."), Outcome.PASS, "", "Well."),
        (checks.warned("odd", "Odd."), Outcome.WARN, "mine.odd", "Odd."),
        (checks.failed("bad", "Bad."), Outcome.FAIL, "mine.bad", "Bad."),
        (checks.unknown("dark", "Dark."), Outcome.ERROR, "mine.dark", "Dark."),
    ],
)
def test_what_a_check_may_return(
    returned: Any, outcome: Outcome, reason: str, message: str
) -> None:
    """With and without an import of ours."""
    result = user_checks.result_of("mine", returned)
    assert (result.name, result.outcome, result.reason, result.message) == (
        "mine",
        outcome,
        reason,
        message,
    )


@pytest.mark.parametrize(
    "returned",
    [
        3,
        [],
        object(),
        {},
        {"outcome": "splendid"},
        {"outcome": ["pass"]},
        {"outcome": "fail", "reason": "x"},
        {"outcome": "fail", "word": "Not a word"},
        {"outcome": "fail", "word": "load.nan"},
        {"outcome": "fail", "message": 3},
        {"outcome": "pass", "details": [1]},
        checks.Result("fail", "x" * 41),
    ],
)
def test_any_other_return_value_is_an_error_that_lists_what_is_accepted(returned: Any) -> None:
    """Never a pass by mistake."""
    with pytest.raises(user_checks.UserCodeError, match="has to return True, False, None"):
        user_checks.result_of("mine", returned)


def test_details_become_what_json_holds_and_end_somewhere() -> None:
    """Arrays and numbers of numpy, NaN, objects; of limited length."""
    result = user_checks.result_of(
        "mine",
        checks.passed(n=np.float32(2), a=np.arange(3), nan=float("nan"), o=user_checks.Outcome),
    )
    assert result.details["n"] == 2.0
    assert result.details["a"] == [0, 1, 2]
    assert result.details["nan"] == "NaN"
    long = user_checks.result_of("mine", checks.passed(text="x" * 100_000))
    assert list(long.details) == ["left_out"]
    endless: dict[str, Any] = {}
    endless["self"] = endless
    assert list(user_checks.result_of("mine", checks.passed(**endless)).details) == ["left_out"]


_LOOKS = """
def looks(context):
    assert context.path == "/w/m_07.keras" and context.format == "keras"
    assert context.step == 7 and context.metrics == {"val_loss": 0.4, "loss": 0.3}
    kernel = context.tensors["dense/kernel"]
    assert kernel.shape == (4, 8) and kernel.dtype == "float32" and kernel.norm > 0
    assert context.model == "the model"
    assert context.inputs["input"].shape == context.outputs["output"].shape == (2,)
    assert context.previous.path == "/w/m_06.keras" and context.previous.step == 6
    assert context.previous.tensors["dense/kernel"].crc32 == kernel.crc32

def raises(context):
    raise ValueError("two\\nlines")

def exits(context):
    import sys
    sys.exit(3)

def interrupts(context):
    raise KeyboardInterrupt

number = 3
"""


@pytest.mark.parametrize("module", [_LOOKS], indirect=True)
def test_a_check_is_given_what_is_known(module: str) -> None:
    """The context holds what its documentation says."""
    result = run(UserCheck("looks", f"{module}:looks"))["looks"]
    assert (result.outcome, result.message) == (Outcome.PASS, "")


@pytest.mark.parametrize("module", [_LOOKS], indirect=True)
def test_whatever_a_check_does_is_an_error_of_that_check(module: str) -> None:
    """And the next one runs; the sentence names the place in the user's code."""
    names = ("raises", "exits", "interrupts", "number", "nothing", "looks")
    found = run(*(UserCheck(name, f"{module}:{name}") for name in names))
    assert list(found) == list(names)
    for name in names[:-1]:
        assert (found[name].outcome, found[name].reason) == (Outcome.ERROR, f"{name}.check_error")
    assert found["looks"].outcome is Outcome.PASS
    assert "ValueError: two lines (mychecks.py, line 13)" in found["raises"].message
    assert "of type int: name a function" in found["number"].message
    assert "has no 'nothing': correct the name" in found["nothing"].message


@pytest.mark.parametrize("module", [_LOOKS], indirect=True)
def test_skip_and_what_failed_before_hold_for_user_checks_too(module: str) -> None:
    """Nothing loaded, nothing to look at; and other stages' checks are not run."""
    asked = (UserCheck("a", f"{module}:raises"), UserCheck("b", f"{module}:raises", "scan"))
    assert run(*asked, skip=("a",))["a"].outcome is Outcome.SKIP
    found: list[CheckResult] = []
    user_checks.run_user_checks(
        context(*asked), "load", found.append, lambda _facts: None, {"load": Outcome.FAIL}
    )
    assert [(r.name, r.outcome, r.message) for r in found] == [
        ("a", Outcome.SKIP, "Not run, because load did not pass.")
    ]
    nothing = context(*asked)
    nothing.loaded, nothing.nothing_loaded = None, "Weights only."
    found.clear()
    user_checks.run_user_checks(
        nothing, "load", found.append, lambda _facts: None, {"load": Outcome.SKIP}
    )
    assert [(r.outcome, r.message) for r in found] == [(Outcome.SKIP, "Weights only.")]


def test_an_entry_point_is_taken_where_the_config_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package offers a check; one that nobody offers is told with those that are."""
    (tmp_path / "offering.py").write_text("def fine(context):\n    return 'Seen.'\n")
    info = tmp_path / "offering-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[checkpointd.checks]\nfine = offering:fine\nbroken = offering:nothing\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    found = run(UserCheck("fine"), UserCheck("broken"), UserCheck("other"))
    assert (found["fine"].reason, found["fine"].message) == ("fine.failed", "Seen.")
    assert found["broken"].reason == "broken.check_error"
    assert "cannot be imported" in found["broken"].message
    assert "offered: broken, fine" in found["other"].message
