"""Verdicts on artifacts that nobody here made, held against what the real loaders say of them.

The artifacts lie in `../shared/wild`, outside the repository; in a clone without it these tests
skip. `make wild` adds the models that some packages on PyPI ship.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.cli import ROOT
from tests.helpers.oracle.asking import answers
from tests.helpers.oracle.loaders import LOADS, READS, RUNS
from tests.helpers.oracle.verifying import verify

if TYPE_CHECKING:
    from collections.abc import Callable

WILD = ROOT.parent / "shared" / "wild"

pytestmark = [
    pytest.mark.slow(75),
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not WILD.is_dir(), reason="there is no ../shared/wild beside this clone: nothing to try"
    ),
]

REVIEWED: dict[str, str] = {}
"""Invalid although a loader loads and runs it: why that is right. None is."""

OTHERWISE = {
    "tensorflow+probability/tensorflow_probability/python/internal/testdata/"
    "auto_composite_tensor": "valid",
    "tensorflow+serving/tensorflow_serving/session_bundle/testdata/half_plus_two/00000123/"
    "export-00000-of-00001": "inconclusive",
    "tensorflow+tfx/tfx/benchmarks/datasets/chicago_taxi/model/tft_saved_model": "valid",
    "tensorflow+tfx/tfx/benchmarks/datasets/chicago_taxi/model/trained_saved_model": "valid",
}
"""Where we say otherwise than the table. The first runs in a session, as TensorFlow Serving runs
it, although TensorFlow 2's loader lacks a library for it. A checkpoint in TensorFlow's V1 format is
named for what it is, and not read. The two others load, and this TensorFlow lacks a kernel of their
signatures, which keeps neither `intact` nor `loads` from being shown: by the rule, a note."""

GPU = {
    "gpu/jax/ae_float32.keras": ("valid", True),
    "gpu/jax/ae_mixed_bfloat16.keras": ("valid", True),
    "gpu/jax/conv_float32.keras": ("valid", True),
    "gpu/jax/rnn_float32.keras": ("inconclusive", False),
    "gpu/torch/conv_float32.keras": ("valid", True),
}
"""Records taken on an H100 by JAX and torch: the verdict, and whether `predicts` is shown."""

SENTENCES = {
    "auto_composite_tensor": r"session loader.*tfp\.bijectors",
    "model/tft_saved_model": r"kernel.*BoostedTreesBucketize|BoostedTreesBucketize.*kernel",
    "keras/simple/lstm_tf_model.h5": r"Keras 1",
    "pre_pr22362_nested_container.keras": r"NestedDenseModel.*custom_objects",
    "keras/safe_model.h5": r"model_weights|no weights",
    "00000123/export-00000-of-00001": r"V1|TensorFlow 1",
    "jax/rnn_float32.keras": r"noise",
}
"""What has to be said of one artifact of a kind, by the end of its path."""


@dataclass(frozen=True)
class Row:
    """One artifact: its path below WILD, the table's row, what the loaders say and what we say."""

    name: str
    listed: dict[str, str]
    loaders: dict[str, Any]
    report: dict[str, Any]

    @property
    def verdict(self) -> str:
        """Ours."""
        return self.report.get("verdict") or "no checkpoint"

    @property
    def runs(self) -> bool:
        """Whether a real loader makes of it all that it is for."""
        return bool(self.loaders[RUNS] or "tf_train" in self.loaders[READS])


def _listed() -> dict[str, dict[str, str]]:
    with (WILD / "public.tsv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    found = {f"public/{row['path'].removesuffix('.index')}": row for row in rows}
    return {**found, **{name: {"right_verdict": verdict} for name, (verdict, _) in GPU.items()}}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, show: Callable[[str], None]) -> dict[str, Row]:
    """Every artifact through the command line, and the table of agreement shown."""
    home = tmp_path_factory.mktemp("wild_corpus")
    listed = _listed()
    loaders = answers(WILD, sorted(listed), home)
    reports = verify([str(WILD / name) for name in sorted(listed)], home)
    found = {
        name: Row(name, row, loaders[name], reports.get(str(WILD / name), {}))
        for name, row in listed.items()
    }
    show(_table(found))
    return found


def _table(rows: dict[str, Row]) -> str:
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    for row in rows.values():
        of = row.report.get("format") or row.listed.get("format", "")
        for key in (("format", of), ("source", row.name.split("/")[1])):
            total[key] += 1
            right[key] += row.verdict == _wanted(row)
    lines = [
        f"  {kind:7} {of:60} {right[kind, of]:3} of {n:3}"
        for (kind, of), n in sorted(total.items())
    ]
    agreed = sum(row.verdict == _wanted(row) for row in rows.values())
    return "\n".join(
        [f"Artifacts that nobody here made: {agreed} of {len(rows)} verdicts agree.", *lines]
    )


def _wanted(row: Row) -> str:
    right = OTHERWISE.get(row.name.removeprefix("public/"), row.listed["right_verdict"])
    found = re.match(r"valid|invalid|inconclusive|no checkpoint", right)
    assert found, right
    allowed = {found[0]} | ({"no checkpoint"} if "no checkpoint" in right else set())
    allowed |= {"inconclusive"} if "or inconclusive" in right else set()
    return row.verdict if row.verdict in allowed else found[0]


def test_what_a_real_loader_loads_and_runs_is_never_invalid(rows: dict[str, Row]) -> None:
    """A verifier that cries wolf is switched off."""
    wrong = {
        name: row.report.get("message")
        for name, row in rows.items()
        if row.runs and row.verdict == "invalid" and name not in REVIEWED
    }
    assert wrong == {}


def test_what_no_loader_loads_is_never_valid(rows: dict[str, Row]) -> None:
    """Whole models alone: weights without a model are read, and loaded by nobody."""
    wrong = {
        name: row.loaders["refused"]
        for name, row in rows.items()
        if row.report.get("format") in ("savedmodel", "keras", "hdf5")
        and not row.loaders[RUNS]
        and not row.loaders[LOADS]
        and row.verdict == "valid"
    }
    assert wrong == {}


def test_each_verdict_is_the_one_that_a_person_gave(rows: dict[str, Row]) -> None:
    """The table's, unless the rule says otherwise."""
    wrong = {
        name: (row.verdict, row.report.get("reason"), row.report.get("message"), _wanted(row))
        for name, row in rows.items()
        if row.verdict != _wanted(row)
    }
    assert wrong == {}


def test_records_of_other_devices_are_compared_within_their_noise(rows: dict[str, Row]) -> None:
    """`predicts` is shown for what was recorded on a GPU by another backend."""
    shown = {name: "predicts" in rows[name].report["shown"] for name in GPU}
    assert shown == {name: predicts for name, (_, predicts) in GPU.items()}


def test_the_sentence_names_the_cause(rows: dict[str, Row]) -> None:
    """One artifact of each kind, whose cause a person has to read in what is printed."""
    silent = {}
    for end, cause in SENTENCES.items():
        row = next(row for name, row in rows.items() if name.endswith(end))
        checks = row.report.get("checks", ())
        said = [row.report.get("message", ""), *(check["message"] for check in checks)]
        if not re.search(cause, " ".join(said)):
            silent[end] = said
    assert silent == {}


def test_no_sentence_holds_what_only_a_program_would_write(rows: dict[str, Row]) -> None:
    """No escape codes, no backslash-n, and no check that failed by itself."""
    odd = re.compile(r"\\x1b|\x1b|\\n|The check itself failed|Traceback")
    wrong = {
        (name, check["name"]): check["message"]
        for name, row in rows.items()
        for check in row.report.get("checks", ())
        if odd.search(check["message"])
    }
    assert wrong == {}
