"""`[watch.verify]`: drift, evaluate, bounds and user checks, from TOML to the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd import config
from checkpointd.config.dump import dump
from checkpointd.core.verify_settings import MAX, MIN, Bound, DriftLimits, Evaluation, UserCheck
from tests.unit.config.test_validate import problems, watch

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[watch.verify]
drift = { max_norm_ratio = 4 }
evaluate = { data = "held_out.npz", metrics = ["accuracy", "loss", "width"] }
bounds = { accuracy = { within_of_best = 0.02 }, loss = { max = 1, within_of_best = 0.1 } }
skip = ["drift", "light"]
fail_on = ["heavy"]
"""
CHECKS = """
[[watch.verify.checks]]
name = "light"
function = "mylib.checks:light"
stage = "scan"
[[watch.verify.checks]]
name = "heavy"
"""


def loaded(tmp_path: Path, text: str) -> config.Config:
    """A config as it is read."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load(path)


def test_everything_arrives_as_it_travels_to_the_workers(tmp_path: Path) -> None:
    """Relative to the file, defaults filled in, the direction of each metric known."""
    settings = loaded(tmp_path, watch(GOOD, CHECKS)).watch[0].verify.to_settings()
    assert settings.drift == DriftLimits(4.0)
    data = str(tmp_path / "held_out.npz")
    assert settings.evaluate == Evaluation("", data, ("accuracy", "loss", "width"))
    assert settings.bounds == {
        "accuracy": Bound(within_of_best=0.02, mode=MAX),
        "loss": Bound(max=1.0, within_of_best=0.1, mode=MIN),
    }
    assert settings.checks == (
        UserCheck("light", "mylib.checks:light", "scan"),
        UserCheck("heavy", "", "load"),
    )


def test_a_text_names_the_function(tmp_path: Path) -> None:
    """The short form and the table mean the same."""
    short = loaded(tmp_path, watch('verify.evaluate = "a.b:c"'))
    long = loaded(tmp_path, watch('verify.evaluate = { function = "a.b:c" }'))
    assert short == long
    assert short.watch[0].verify.to_settings().evaluate == Evaluation("a.b:c")


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    """Tables within tables, and arrays of them."""
    first = loaded(tmp_path, watch(GOOD, CHECKS))
    assert loaded(tmp_path, dump(first)) == first


@pytest.mark.parametrize(
    "change",
    [
        "drift = { max_norm_ratio = 20.0 }",
        'evaluate = "a:b"',
        'evaluate = { data = "x.npz" }',
        'evaluate = { data = "x", features = { inputs = "int64[]", labels = "int64[]" } }',
        'evaluate = "a:b"\nbounds = { loss = { max = 1 } }',
        'checks = [{ name = "x" }]',
        'checks = [{ name = "x", stage = "scan" }]',
    ],
)
def test_a_change_of_any_of_it_has_what_was_not_valid_verified_again(
    tmp_path: Path, change: str
) -> None:
    """The digest of the settings is another one."""
    before = loaded(tmp_path, watch("[watch.verify]")).watch[0].verify.to_settings()
    after = loaded(tmp_path, watch("[watch.verify]", change)).watch[0].verify.to_settings()
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("drift = { max_norm_ratio = 1 }", "drift.max_norm_ratio: must be more than 1, got 1"),
        ("drift = { max_nrm_ratio = 2 }", "did you mean 'max_norm_ratio'?"),
        ("drift = 3", "drift: expected a table"),
        ('evaluate = "mylib"', 'evaluate: expected "package.module:name"'),
        ("evaluate = {}", 'evaluate: expected "package.module:name", or { data'),
        ('evaluate = { data = "x", function = "a:b" }', "evaluate: expected"),
        ('evaluate = { function = "a:b", metrics = ["x"] }', "metrics goes with data"),
        ('evaluate = { data = "x", metrics = ["a b"] }', "metrics[0]: is not a metric"),
        ('evaluate = { data = "x", features = 3 }', "evaluate.features: expected a table"),
        (
            'evaluate = { data = "x", features = { sample_weight = "int64[]" } }',
            "features: has no inputs; expected",
        ),
        (
            'evaluate = { data = "x", features = { labels = "int64[]", imputs = "int64[]" } }',
            "features.imputs: is not an array of held-out data; choose from inputs",
        ),
        (
            'evaluate = { data = "x", features = { inputs = "float32", labels = "int64[]" } }',
            "watch[0].verify.evaluate.features.inputs: expected a dtype and a shape",
        ),
        (
            'evaluate = { data = "x", features = { inputs = { a = 3 }, labels = "int64[]" } }',
            "features.inputs.a: expected text in quotes",
        ),
        (
            'evaluate = { function = "a:b", features = { inputs = "int64[]" } }',
            "features: goes with data",
        ),
        (
            'evaluate = { data = "x.npz", features = { inputs = "int64[]" } }',
            "features: goes with a TFRecord",
        ),
        (
            'evaluate = { data = "x", features = { inputs = "int64[]", "inputs.a" = "int64[]" } }',
            "features: has both inputs and inputs.a",
        ),
        ('evaluate = { data = "x.tfrecord.gz" }', "data: a TFRecord does not describe its content"),
        ("bounds = { loss = { max = 1 } }", "bounds: nothing computes these metrics: set evaluate"),
        (
            'evaluate = { data = "x", metrics = ["auc"] }\nbounds = { acc = { min = 0 } }',
            "bounds.acc: evaluate does not compute 'acc', it computes auc",
        ),
        (
            'evaluate = "a:b"\nbounds = { width = { within_of_best = 1 } }',
            "line 6: watch[0].verify.bounds.width.within_of_best: the name 'width' does not show",
        ),
        ('evaluate = "a:b"\nbounds = { loss = {} }', "bounds.loss: needs at least one of min"),
        ('evaluate = "a:b"\nbounds = { loss = { mn = 1 } }', "did you mean 'min'?"),
        (
            'evaluate = "a:b"\nbounds = { loss = { min = 2, max = 1 } }',
            "bounds.loss: min 2 is above max 1",
        ),
        ('evaluate = "a:b"\nbounds = { loss = { max = nan } }', "expected a finite number"),
        ('evaluate = "a:b"\nbounds = { "a b" = { max = 1 } }', "is not a metric"),
        ('evaluate = "a:b"\nbounds = { loss = { within_of_best = -1 } }', "must be at least 0"),
        ('skip = ["drfit"]', "(did you mean 'drift'?), got \"drfit\""),
        ('fail_on = ["mine"]', "fail_on[0]: is not a check; choose from structure, integrity"),
        ('checks = [{ name = "load" }]', "'load' is a built-in check: choose another name"),
        ('checks = [{ name = "Mine" }]', "may contain only a-z, 0-9 and _"),
        ('checks = [{ name = "a" }, { name = "a" }]', "checks[1].name: 'a' is also the name of"),
        ('checks = [{ name = "a", function = "b" }]', '"package.module:name"'),
        ('checks = [{ name = "a", stage = "late" }]', "must be 'scan' or 'load', got \"late\""),
        ("checks = [{}]", "checks[0].name: is missing"),
        ("checks = [3]", "checks[0]: expected a table"),
    ],
)
def test_each_mistake_gets_a_sentence_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    """Wrong by themselves, or between each other: reported at once, never a traceback."""
    found = problems(tmp_path, watch("[watch.verify]", text))
    assert any(expected in line for line in found), found


RECORDS = """
[watch.verify]
evaluate.data = "x.tfrecord"
evaluate.features = { inputs.image = "raw:uint8[28,28] from image/raw", labels = "int64[]" }
"""


def test_features_by_name_arrive_flat_and_can_be_shown_and_read_again(tmp_path: Path) -> None:
    """`inputs.image` without quotes is a table to TOML; it means the same as with them."""
    first = loaded(tmp_path, watch(RECORDS))
    features = {"inputs.image": "raw:uint8[28,28] from image/raw", "labels": "int64[]"}
    evaluation = first.watch[0].verify.to_settings().evaluate
    assert evaluation == Evaluation("", str(tmp_path / "x.tfrecord"), (), features)
    assert loaded(tmp_path, dump(first)) == first


def test_all_mistakes_in_features_are_reported_at_once(tmp_path: Path) -> None:
    """Each by itself, and what is wrong between the keys."""
    text = 'evaluate = { data = "x.npz", features = { inputs = "float[2]", label = "int64[]" } }'
    found = "\n".join(problems(tmp_path, watch("[watch.verify]", text)))
    for part in (
        "'float' is no dtype",
        "label: is not an array",
        "an .npz describes",
        "has no labels",
    ):
        assert part in found


def test_values_are_comparable_only_with_the_same_features() -> None:
    """The digest changes with them, but not with their order, and is the old one without them."""
    plain = Evaluation("", "x", ("m",))
    one = Evaluation("", "x", ("m",), {"inputs": "int64[]", "labels": "int64[]"})
    same = Evaluation("", "x", ("m",), {"labels": "int64[]", "inputs": "int64[]"})
    other = Evaluation("", "x", ("m",), {"inputs": "int64[2]", "labels": "int64[]"})
    assert one.digest == same.digest
    assert len({plain.digest, one.digest, other.digest}) == 3


def test_the_names_of_own_checks_are_names_of_checks(tmp_path: Path) -> None:
    """`skip` and `fail_on` take them, and a mistake is reported with them in the list."""
    (error,) = problems(tmp_path, watch("[watch.verify]", 'skip = ["hevy"]', CHECKS))
    assert "light, heavy (did you mean 'heavy'?)" in error
