"""The rows of the suite agree with each other, with the reasons and with the modules."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from checkpointd.core.reasons import loading, scanning
from checkpointd.core.reasons.reason import Basis, Reason, Severity
from checkpointd.core.suite import (
    CHECKS,
    LOAD_CHECKS,
    REASONS,
    SCAN_CHECKS,
    SPECS,
    SUITE,
    CheckSpec,
    checks_of,
    cure_of,
    with_needs,
)
from checkpointd.core.verify_settings import Evaluation, UserCheck, VerifySettings

_PACKAGES = {"scan": "checkpointd.verify.scan.", "load": "checkpointd.verify.load."}


def test_the_scan_comes_before_the_load_and_no_name_twice() -> None:
    """The order of the rows is the order in which the checks run."""
    assert (*SCAN_CHECKS, *LOAD_CHECKS) == CHECKS == tuple(spec.name for spec in SUITE)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_needs_only_checks_that_run_before_it(name: str) -> None:
    """So that what it needs has a result when it is its turn."""
    assert set(SPECS[name].needs) <= set(CHECKS[: CHECKS.index(name)])


@pytest.mark.parametrize("name", CHECKS)
def test_the_module_of_a_check_is_in_the_package_of_its_stage_and_has_its_function(
    name: str,
) -> None:
    """A stage's process imports the packages of that stage alone."""
    module = SPECS[name].module
    assert module.startswith(_PACKAGES[SPECS[name].stage])
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [len(node.args.args) for node in functions if node.name == "check"] == [1]


@pytest.mark.parametrize("name", CHECKS)
def test_the_summary_of_a_check_is_one_sentence(name: str) -> None:
    """It is a cell of a table."""
    summary = SPECS[name].summary
    assert summary[0].isupper()
    assert summary.endswith(".")
    assert "\n" not in summary


def test_each_dict_of_reasons_belongs_to_a_row() -> None:
    """A reason that no row reaches could not be given."""
    written = [
        value
        for module in (scanning, loading)
        for value in vars(module).values()
        if isinstance(value, dict) and all(isinstance(v, Reason) for v in value.values())
    ]
    assert len(written) == len(SUITE)
    assert {name for reasons in written for name in reasons} <= set(REASONS)
    assert set(REASONS) == {name for spec in SUITE for name in spec.reasons}


def test_a_row_with_the_reason_of_another_check_is_refused() -> None:
    """It fails at import."""
    reasons = {"other.word": Reason(Severity.WARN, "x.", Basis.FILE)}
    with pytest.raises(ValueError, match=r"'other\.word' is none of the check 'mine'"):
        CheckSpec("mine", "scan", "checkpointd.verify.scan.mine", "X.", reasons)


def test_what_a_check_borrows_or_calls_harmless_exists() -> None:
    """Names in a row are names of checks and of its own reasons."""
    for spec in SUITE:
        assert set(spec.borrows) <= set(CHECKS)
        assert {f"{spec.name}.{word}" for word in spec.harmless} <= set(spec.own_reasons)


def test_needs_are_followed_to_the_end() -> None:
    """In the order of the suite."""
    expected = ("structure", "integrity", "safety", "load", "predictions")
    assert with_needs(["predictions"]) == expected


@pytest.mark.parametrize("word", ["environment", "out_of_memory"])
def test_what_this_machine_lacks_is_an_error_only_for_checks_that_are_not_optional(
    word: str,
) -> None:
    """Elsewhere it is a note; an evaluation that the user asked for stays unanswered."""
    errors = {
        name.partition(".")[0]
        for name, reason in REASONS.items()
        if name.endswith(f".{word}") and reason.severity is Severity.ERROR
    }
    assert errors == {spec.name for spec in SUITE if not spec.optional}
    assert {"structure", "integrity", "load", "evaluate"} <= errors


@pytest.mark.parametrize("name", sorted(REASONS))
def test_each_reason_has_a_cure_in_one_plain_sentence(name: str) -> None:
    """It is printed below the verdict."""
    cure = REASONS[name].cure
    assert cure[0].isupper()
    assert cure.endswith((".", "?"))


def test_the_checks_of_a_stage_are_the_suites_and_then_the_users() -> None:
    """`evaluate` only where it is configured."""
    settings = VerifySettings(checks=(UserCheck("a", "m:a", "scan"), UserCheck("b", "m:b")))
    scan, load = (checks_of(stage, settings) for stage in ("scan", "load"))
    assert scan == (*SCAN_CHECKS, "a")
    assert load == (*(name for name in LOAD_CHECKS if name != "evaluate"), "b")
    evaluated = replace(settings, evaluate=Evaluation("m:e"))
    assert checks_of("load", evaluated)[-2:] == ("evaluate", "b")
    assert checks_of("inspect", settings) == ()


def test_a_users_check_that_was_ended_has_the_cure_of_its_word() -> None:
    """Where the word is the user's, only its message has a cure."""
    assert cure_of("mine.timeout") == cure_of("load.timeout")
    assert cure_of("mine.odd") == cure_of("odd") == cure_of("") == ""
