"""JSON to facts and back: what was written is read, and anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core import decode
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import FORMATS, Format
from checkpointd.core.report import MAX_PACKED, Digest, Facts
from checkpointd.core.request import Former, Previous, Request
from checkpointd.core.verify_settings import (
    MAX_METRICS,
    Bound,
    DriftLimits,
    Evaluation,
    UserCheck,
    VerifySettings,
)

names = st.text(max_size=20) | st.binary(max_size=20).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
counts = st.integers(0, 2**62)
members = st.builds(Member, names, counts, counts, counts, counts, counts)
generations = st.builds(Generation, st.lists(members, max_size=4).map(tuple))
checkpoints = st.builds(
    Checkpoint,
    path=names,
    format=st.sampled_from([*(spec.name for spec in FORMATS), Format.UNKNOWN]),
    watch=names,
    series=names,
    version=names,
    step=st.none() | counts,
    metrics=st.dictionaries(names, st.floats(allow_nan=False), max_size=3),
)
facts = st.builds(
    Facts,
    format=st.sampled_from([*(spec.name for spec in FORMATS), Format.UNKNOWN]),
    writer=names,
    step=st.none() | counts,
    digest=names,
    tensor_count=counts,
    weight_norm=st.none() | st.floats(allow_nan=False),
    weight_change_ratio=st.none() | st.floats(allow_nan=False),
    tensors=st.text(max_size=20),
    has_golden=st.booleans(),
    evaluation=st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:@-]{0,9}", fullmatch=True),
        st.floats(allow_nan=False),
        max_size=3,
    ),
    evaluated_by=names,
    environment=st.dictionaries(names, names, max_size=2),
    checksums=st.dictionaries(names, names, max_size=2),
    optimizer_step=st.none() | counts,
    optimizer_tensors=st.none()
    | st.lists(
        st.builds(Digest, names, names, st.lists(counts, max_size=3).map(tuple), counts), max_size=2
    ).map(tuple),
)
optional = st.none() | st.floats(allow_nan=False)
settings = st.builds(
    VerifySettings,
    custom_objects=st.dictionaries(names, names, max_size=2),
    drift=st.builds(DriftLimits, st.floats(1, 100)),
    evaluate=st.builds(
        Evaluation,
        names,
        names,
        st.lists(names, max_size=2).map(tuple),
        st.dictionaries(names, names, max_size=2),
    ),
    bounds=st.dictionaries(
        names, st.builds(Bound, optional, optional, optional, st.sampled_from(["", "min", "max"]))
    ),
    checks=st.lists(st.builds(UserCheck, names, names, names), max_size=2).map(tuple),
)
requests = st.builds(
    Request,
    checkpoints,
    generations,
    settings,
    st.none() | st.builds(Previous, names, facts, st.none() | counts),
    overdue=st.booleans(),
    idle=st.booleans(),
    copied=st.booleans(),
    digest=names,
    best=st.dictionaries(names, st.floats(allow_nan=False), max_size=2),
    former=st.none() | st.builds(Former, generations, facts),
)


@given(requests)
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    """Also with names that are not UTF-8."""
    line = json.dumps(to_json(request)).encode()
    assert decode.request(json.loads(line)) == request


def test_facts_of_an_older_ledger_are_read() -> None:
    """Keys that the row does not have are unknown."""
    row = to_json(Facts(step=3))
    for name in ("optimizer_step", "optimizer_tensors"):
        del row[name]
    assert decode.facts(row) == Facts(step=3)


def test_facts_of_a_report_from_before_drift_and_evaluate_are_read() -> None:
    """Verdicts stay valid across an upgrade."""
    old = to_json(Facts(writer="keras 3"))
    for key in ("tensors", "weight_change_ratio", "evaluation", "evaluated_by"):
        del old[key]
    assert decode.facts(old) == Facts(writer="keras 3")


@pytest.mark.parametrize(
    "forged",
    [
        {"tensors": "x" * (MAX_PACKED + 1)},
        {"evaluation": {f"m{n}": 1.0 for n in range(MAX_METRICS + 1)}},
        {"evaluation": {'a" or "b': 1.0}},
        {"evaluation": {"a": "1"}},
        {"evaluation": []},
        {"evaluated_by": 3},
    ],
)
def test_facts_that_would_fill_the_ledger_or_the_metrics_are_refused(
    forged: dict[str, Any],
) -> None:
    """A child may send anything."""
    with pytest.raises(decode.DecodeError):
        decode.facts({**to_json(Facts()), **forged})
