"""What norms say about the checkpoint before: alarms where they belong, and nowhere else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.check_result import Outcome
from checkpointd.core.report import MAX_PACKED, Facts
from checkpointd.core.request import Previous
from checkpointd.tensors import TensorStats, baseline
from checkpointd.verify.scan import drift
from checkpointd.verify.scan.scan_stage import scan
from tests.helpers.scan import request_for, write_weights

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.check_result import CheckResult
    from checkpointd.tensors.baseline import Baseline


def stats(
    name: str = "dense/kernel",
    rms: float | None = 0.5,
    shape: tuple[int, ...] = (4, 8),
    *,
    crc32: int = 0,
    key: str = "",
    role: str = "model",
    dtype: str = "float32",
) -> TensorStats:
    """A tensor whose values have the given root mean square."""
    squares = None if rms is None else rms * rms * math.prod(shape)
    return TensorStats(name, key or name, role, dtype, shape, 1, 0, 0, squares, crc32)


def kept(*tensors: TensorStats) -> Baseline:
    """What the ledger would give back of tensors."""
    found = baseline.unpack(baseline.pack(tensors))
    assert found is not None
    return found


def judged(before: list[TensorStats], now: list[TensorStats], **more: Any) -> CheckResult:
    """Compare and decide with the default limits."""
    ignore = more.pop("ignore", ())
    return drift.judge(drift.compare(kept(*before), now, ignore), 10.0, path="/w/a", **more)


sizes = st.just(0.0) | st.floats(1e-140, 1e6)  # below, the sum of squares is not a normal number
shapes = st.lists(st.integers(1, 64), max_size=4).map(tuple)
tensors = st.lists(
    st.builds(
        stats,
        name=st.text(max_size=12),
        rms=st.none() | sizes,
        shape=shapes,
        crc32=st.integers(0, 2**32 - 1),
        dtype=st.sampled_from(["float32", "bfloat16", "int8", "complex64"]),
    ),
    max_size=8,
    unique_by=lambda t: t.name.split(" (")[0],
)


@given(tensors)
def test_what_is_kept_comes_back(found: list[TensorStats]) -> None:
    """Names of any characters, types with and without norms, in their order."""
    back = kept(*found)
    assert list(back.weights) == [t.name.split(" (")[0] for t in found]
    for tensor, weight in zip(found, back.weights.values(), strict=True):
        assert (weight.dtype, weight.shape, weight.crc32) == (
            tensor.dtype,
            tensor.shape,
            tensor.crc32,
        )
        floating = not tensor.dtype.startswith("int") and tensor.sum_of_squares is not None
        assert (weight.norm is not None) == floating
        if weight.norm is not None and tensor.sum_of_squares is not None:
            assert weight.norm == pytest.approx(math.sqrt(tensor.sum_of_squares), rel=1e-8)


@given(tensors)
def test_a_checkpoint_held_against_itself_is_unchanged_and_nothing_else(
    found: list[TensorStats],
) -> None:
    """Whatever its sizes, it has not moved; if no value is a number, there is no ratio."""
    result = judged(found, found)
    numbers = [t for t in found if t.sum_of_squares is not None and t.dtype != "int8"]
    assert result.reason == ("drift.unchanged" if numbers else "")
    assert judged(found, found, steps=(7, 7)).outcome is Outcome.PASS


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), shapes)
def test_a_tensor_explodes_exactly_where_its_size_and_its_growth_are_beyond_the_limit(
    before: float, now: float, shape: tuple[int, ...]
) -> None:
    """Growth that ends small is no explosion: biases and some kernels start at zero."""
    result = judged([stats(rms=before, shape=shape)], [stats(rms=now, shape=shape, crc32=1)])
    floor = 0.1 if len(shape) >= 2 else 1.0
    grown = now / max(before, floor)
    if abs(grown - 10) > 1e-6:
        assert (result.reason == "drift.exploding") == (grown > 10)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_reported_change_is_never_more_than_the_real_one(
    pairs: list[tuple[float, float]], random: Any
) -> None:
    """The norms alone give a lower bound of the relative change, for any vectors that have them."""
    before, now, olds, news = [], [], [], []
    for number, (old, new) in enumerate(pairs):
        rng = np.random.default_rng(random.getrandbits(32))
        vectors = [rng.normal(size=9) for _ in range(2)]
        a, b = (v / np.linalg.norm(v) * s * 3 for v, s in zip(vectors, (old, new), strict=True))
        before.append(stats(f"w{number}", float(np.sqrt((a @ a) / 9)), (9,)))
        now.append(stats(f"w{number}", float(np.sqrt((b @ b) / 9)), (9,), crc32=1))
        olds.append(a)
        news.append(b)
    norm = float(np.linalg.norm(np.concatenate(olds)))
    ratio = drift.compare(kept(*before), now).ratio
    if ratio is None:
        assert norm == pytest.approx(0, abs=1e-100)
        return
    real = float(np.linalg.norm(np.concatenate(news) - np.concatenate(olds))) / norm
    assert ratio <= real * (1 + 1e-6) + 1e-6


def test_other_tensors_are_named() -> None:
    """What is gone, what is new, and what has another shape or type."""
    before = [stats("a"), stats("b"), stats("c")]
    now = [stats("a"), stats("b", shape=(4, 9)), stats("d")]
    result = judged(before, now)
    assert (result.outcome, result.reason) == (Outcome.WARN, "drift.shape_changed")
    assert result.message == (
        "It has other tensors than '/w/a': b was float32 [4, 8] and is float32 [4, 9]; c is gone; "
        "d is new."
    )


def test_layers_that_are_only_numbered_otherwise_are_the_same_tensors() -> None:
    """A job that builds its model a second time calls its layers dense_2, dense_3."""
    before = [stats("dense/vars/0", 0.5), stats("dense_1/vars/0", 0.5, (8, 2))]
    now = [stats("dense_2/vars/0", 50.0), stats("dense_3/vars/0", 0.5, (8, 2))]
    result = judged(before, now)
    assert result.reason == "drift.exploding"
    assert "dense_2/vars/0" in result.message
    assert judged([stats("left")], [stats("right")]).reason == "drift.shape_changed"


def test_layers_are_in_the_order_of_their_numbers_however_long_these_are() -> None:
    """dense_9 comes before dense_10; Python makes no number of more than 4300 digits."""
    long = "9" * 5000
    before = [stats("dense_9/vars/0", 0.5), stats("dense_10/vars/0", 0.5, (8, 2))]
    now = [stats("dense_10/vars/0", 0.5, crc32=1), stats(f"dense_{long}/vars/0", 0.5, (8, 2))]
    assert judged(before, now).outcome is Outcome.PASS


def test_a_kernel_that_died_is_reported_and_a_bias_that_is_zero_is_not() -> None:
    """Biases start at zero and may stay there."""
    bias = stats("bias", 0.0, (8,))
    result = judged([stats(rms=0.5), bias], [stats(rms=0.0, crc32=1), bias])
    assert result.reason == "drift.dead"
    assert result.message == "All zero now: dense/kernel."
    assert result.details["dead_tensors"] == ["dense/kernel", "bias"]
    fresh = judged([stats(rms=0.0), bias], [stats(rms=0.0), stats("bias", 0.1, (8,), crc32=1)])
    assert fresh.outcome is Outcome.PASS


def test_a_kernel_of_nan_has_not_died() -> None:
    """The norm is that of its finite values: of none. What `finite` reports is not zero."""
    now = replace(stats(rms=0.0, crc32=1), nan=32)
    result = judged([stats(rms=0.5), stats("b", 0.5)], [now, stats("b", 0.5, crc32=1)])
    assert result.outcome is Outcome.PASS
    assert result.details["dead_tensors"] == []
    assert result.details["weight_change_ratio"] == 0.0


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"], "bn/{}"),
        ([f"bn_one/vars/{n}" for n in range(4)], "layers/batch_normalization_3/vars/{}"),
        ([f"norm/vars/{n}" for n in range(4)], "norm/vars/{}"),
    ],
)
def test_running_statistics_have_the_scale_of_the_inputs(names: list[str], key: str) -> None:
    """A variance that settles at 10 000 is no explosion, whatever its file calls it."""
    before = [stats(n, 1.0, (16,), key=key.format(i)) for i, n in enumerate(names)]
    now = [replace(t, sum_of_squares=1e4**2 * 16, crc32=1) for t in before]
    assert judged(before, [*before[:2], *now[2:]]).outcome is Outcome.PASS
    assert judged(before, now).reason == "drift.exploding"


def test_a_new_run_is_compared_by_its_shapes_alone() -> None:
    """The step fell: the job was started again, its norms are those of a beginning."""
    result = judged([stats(rms=0.5)], [stats(rms=0.0)], steps=(900, 10))
    assert (result.outcome, result.reason) == (Outcome.PASS, "")
    assert "new run" in result.message
    other = judged([stats()], [stats(shape=(5, 8))], steps=(900, 10))
    assert other.reason == "drift.shape_changed"


def test_what_ignore_tensors_names_is_not_looked_at() -> None:
    """Neither gone nor grown."""
    before = [stats("a"), stats("table/rows"), stats("table/old")]
    now = [stats("a", 0.6, crc32=1), stats("table/rows", 500.0, crc32=1)]
    assert judged(before, now).reason == "drift.shape_changed"
    assert judged(before, now, ignore=("table/*",)).outcome is Outcome.PASS


def test_optimizers_do_not_count() -> None:
    """Their slots grow as they like, come and go."""
    before = [stats(), stats("adam/m", role="optimizer")]
    now = [stats(rms=0.51, crc32=1), stats("adam/m", 1e6, role="optimizer")]
    assert judged(before, now).outcome is Outcome.PASS
    assert judged(before, now[:1]).outcome is Outcome.PASS


def test_the_second_list_of_variables_in_an_export_is_left_out() -> None:
    """Keras 3 numbers it anew in each process; what only lies there is kept."""
    first = stats("k (variables/0)", key="variables/0/.ATTRIBUTES/VARIABLE_VALUE")
    again = stats("k (_all_variables/7)", key="_all_variables/7/.ATTRIBUTES/VARIABLE_VALUE")
    alone = stats("seed", key="_all_variables/3/.ATTRIBUTES/VARIABLE_VALUE")
    moved = replace(again, name="k (_all_variables/1)", key="_all_variables/1/.ATTRIBUTES/V")
    assert list(kept(first, again, alone).weights) == ["k", "seed"]
    assert kept(first, again) == kept(moved, first)


def test_a_record_of_very_many_tensors_keeps_the_largest() -> None:
    """It costs the ledger no more than a bound; what it lacks is neither new nor unchanged."""
    rng = np.random.default_rng(1)
    many = [
        stats(
            f"encoder/{rng.integers(1 << 60):x}/layer_{n}/kernel",
            float(rng.random()),
            (2, n + 1),
            crc32=int(rng.integers(1 << 32)),
        )
        for n in range(12_000)
    ]
    packed = baseline.pack(many)
    assert len(packed) <= MAX_PACKED
    back = baseline.unpack(packed)
    assert back is not None
    assert 0 < len(back.weights) < len(many)
    assert len(back.weights) + back.left_out == len(many)
    assert many[-1].name in back.weights
    result = drift.judge(drift.compare(back, many), 10.0, partial=back.left_out)
    assert result.outcome is Outcome.PASS
    assert result.details["not_compared"] == back.left_out


@pytest.mark.parametrize("text", ["", "x", "\x00", "é", baseline.pack([stats()])[:-3]])
def test_a_record_that_cannot_be_read_is_as_good_as_none(text: str) -> None:
    """An old report, or one that a child made up."""
    assert baseline.unpack(text) is None


def test_the_check_compares_with_what_the_ledger_kept(tmp_path: Path) -> None:
    """Through the scan of real files: first nothing, then an explosion, then the limit raised."""
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(16, 16)).astype("float32")
    facts = Facts()
    outcomes = []
    for scale, limit in ((1, 10.0), (20, 10.0), (20, 100.0)):
        path = tmp_path / f"m{len(outcomes)}.weights.h5"
        write_weights(path, {"dense": kernel * scale})
        request = request_for(path)
        settings = replace(
            request.settings, drift=replace(request.settings.drift, max_norm_ratio=limit)
        )
        previous = Previous("/w/first", facts) if outcomes else None
        results: list[CheckResult] = []
        _, found, _ = scan(replace(request, settings=settings, previous=previous), results.append)
        facts = facts if outcomes else found
        outcomes.extend((r.name, r.outcome, r.reason) for r in results if r.name == "drift")
        ratio = found.weight_change_ratio
    assert outcomes == [
        ("drift", Outcome.SKIP, ""),
        ("drift", Outcome.WARN, "drift.exploding"),
        ("drift", Outcome.PASS, ""),
    ]
    assert ratio == pytest.approx(19, rel=1e-5)
