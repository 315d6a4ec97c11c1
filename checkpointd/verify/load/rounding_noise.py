"""How far the outputs of one model may differ in two environments: the noise of rounding.

Noise is the RMS of the difference of an output, divided by the RMS of what was recorded; that of
outputs which are no real numbers (classes, texts) is the share of values that differ. Expected is
`u * sqrt(n)`: `u` is the unit roundoff of the coarser of the two precisions, `n` the number of the
model's weights that are factors in products (of two dimensions and more), as errors of rounding
add up when they are independent (N. Higham, Accuracy and Stability of Numerical Algorithms, 2002,
2.8). Allowed is `margin` times that, and never less than `LEAST`; TF32 that cuts its operands off
instead of rounding them makes all products smaller alike, which adds up linearly.

Measured on a CPU with torch 2.13, where the operands of each product were rounded to TF32 or cut
off, and the results of bfloat16's operations moved to a neighbour, for 12 architectures (dense of
3 to 50 layers, convolutions, autoencoder, transformers of 6 and 12 blocks, GRU with LSTM, softmax
over 1000 classes) and ResNet50, EfficientNetB0, VGG16, Xception, at random weights and trained;
noise divided by `u * sqrt(n)`:

| precision | u | median | largest |
| --- | --- | --- | --- |
| float32, products summed up otherwise | 2^-20 | 0.15 | 0.3 |
| TF32, rounded | 2^-11 | 0.4 | 0.9 |
| TF32, cut off | 2^-11 | 1.5 | 11 (50 dense layers, nothing normalised) |
| bfloat16 | 2^-8 | 0.9 | 2.2 |
| TF32 on an H100, by JAX and torch: convolutions, autoencoder | 2^-11 | 0.13 | 0.17 |

The unit roundoff of float32 is 2^-24; the 16 times as much is for what sums are computed in blocks
and by other algorithms (Winograd's convolution). Single values differ by more than the RMS:
by up to 6 times the noise, relative to their own size and the RMS together.

numpy alone, Python 3.9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.golden import backends
from checkpointd.golden.arrays import Ragged
from checkpointd.verify.load.comparison import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS: Mapping[str, float] = {
    "float8": 2.0**-4,
    "int4": 2.0**-7,
    "int8": 2.0**-7,
    backends.BFLOAT16: 2.0**-8,
    "float16": 2.0**-11,
    backends.TF32: 2.0**-11,
    backends.FLOAT32: 2.0**-20,
}
"""Unit roundoffs by what a precision, policy or type is called, the coarsest first."""

MARGIN, COARSE_MARGIN = 4.0, 2.5
"""How many times the expected noise is allowed, and of 8 bits and less: there the noise of a deep
model is so large that more would hide a lost kernel."""

LEAST = 1e-3
"""The noise that is always allowed: other versions compute an exponential or a mean otherwise."""

MOST = 0.25
"""The noise beyond which outputs are not the same, whatever explains it."""

_SINGLE = 8.0
"""How many times the allowed noise a single value may differ, relative to its size and the RMS."""

_FEW = 8
"""Of this many classes or texts, one may fall on the other side of a near tie."""

_CUT_OFF = 0.5
"""By how many unit roundoffs a product that cuts off its operands makes outputs smaller."""

_UNKNOWN_PRODUCTS = 16
_IMPLIED = {"gpu": backends.TF32, "tpu": backends.BFLOAT16}
"""What products are computed in on a device, where an older record does not have it."""


@dataclass(frozen=True)
class Noise:
    """How far one output is from what was recorded.

    `found` is the noise; `single` the largest difference of one value, relative to its size and
    the RMS together; `size` counts the values, and `exact` marks classes and texts.
    """

    output: str
    found: float
    single: float
    size: int
    exact: bool = False


@dataclass(frozen=True)
class ExpectedNoise:
    """The noise to be expected of an output, and the most that is allowed."""

    precision: str
    expected: float
    allowed: float

    def explains(self, noise: Noise) -> bool:
        """Whether what was found is within what is allowed."""
        if noise.exact:
            tie = 1 / noise.size if noise.size >= _FEW else 0.0
            return noise.found <= max(self.allowed, tie)
        return noise.found <= self.allowed and noise.single <= _SINGLE * self.allowed

    def widened(self, measured: float) -> ExpectedNoise:
        """The same where the model itself was measured to make more of rounding errors."""
        allowed = max(self.allowed, min(margin(self.precision) * measured, MOST))
        return ExpectedNoise(self.precision, max(self.expected, measured), allowed)


def margin(precision: str) -> float:
    """How many times the expected noise of a precision is allowed."""
    return MARGIN if UNITS[precision] <= UNITS[backends.TF32] else COARSE_MARGIN


def coarsest(*names: str) -> str:
    """Choose the coarsest of precisions, policies and types, such as `mixed_bfloat16`."""
    text = " ".join(names)
    return next((name for name in UNITS if name in text), backends.FLOAT32)


def precision_of(environment: Mapping[str, str]) -> str:
    """What the products of a record were computed in, as far as its environment shows."""
    implied = _IMPLIED.get(environment.get("device", ""), "")
    return coarsest(environment.get("precision") or implied, environment.get("policy", ""))


def products_of(model: Any) -> int:
    """Count the weights of a model that are factors in products."""
    weights = getattr(model, "weights", None) or getattr(model, "variables", None) or ()
    if callable(weights):
        return _UNKNOWN_PRODUCTS
    shapes = [getattr(weight, "shape", ()) for weight in weights]
    return sum(len(shape) > 1 for shape in shapes) or _UNKNOWN_PRODUCTS


def expectation(precision: str, products: int) -> ExpectedNoise:
    """The noise to be expected of a model.

    Args:
        precision: the coarser of the two, as `UNITS` calls it.
        products: see `products_of`.
    """
    unit = UNITS[precision]
    expected = unit * math.sqrt(max(products, 1))
    cut_off = _CUT_OFF * unit * products if precision == backends.TF32 else 0.0
    allowed = min(max(margin(precision) * expected + cut_off, LEAST), MOST)
    return ExpectedNoise(precision, expected, allowed)


def measure(name: str, expected: Any, actual: Any, atol: float) -> Noise:
    """Measure the noise of one output.

    What is not finite in both, and the same, is equal; in one alone it is infinite noise, as is
    another shape.

    Args:
        name: of the output.
        expected: what was recorded.
        actual: what came now.
        atol: what counts as zero: an RMS below is taken for this.
    """
    if isinstance(expected, Ragged) and isinstance(actual, Ragged):
        same = len(expected.splits) == len(actual.splits) and all(
            np.array_equal(a, b) for a, b in zip(expected.splits, actual.splits)
        )
        if not same:
            return Noise(name, math.inf, math.inf, max(int(expected.values.size), 1))
        expected, actual = expected.values, actual.values
    before, now = _plain(expected), _plain(actual)
    if before.shape != now.shape:
        return Noise(name, math.inf, math.inf, max(before.size, 1))
    if not before.size:
        return Noise(name, 0.0, 0.0, 0)
    if before.dtype.kind not in "biufc" or now.dtype.kind not in "biufc":
        share = float(np.mean(texts(before) != texts(now)))
        return Noise(name, share, share, before.size, exact=True)
    exact = before.dtype.kind in "biu" and now.dtype.kind in "biu"
    found, single = _of_numbers(before, now, atol)
    if exact:  # a count or a pixel is rounded, a class falls on the other side
        found = min(found, float(np.mean(before != now)))
    return Noise(name, found, single, before.size, exact)


def _of_numbers(before: Any, now: Any, atol: float) -> tuple[float, float]:
    wide = np.complex128 if "c" in (before.dtype.kind, now.dtype.kind) else np.float64
    before, now = before.astype(wide), now.astype(wide)
    both = np.isfinite(before) & np.isfinite(now)
    alike = both | (before == now) | (np.isnan(before) & np.isnan(now))
    if not alike.all():
        return math.inf, math.inf
    before, now = np.where(both, before, 0), np.where(both, now, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        gap, size = np.abs(now - before), np.abs(before)
        scale = max(_rms(size), atol, np.finfo(np.float64).tiny)
        return _rms(gap) / scale, float((gap / (size + scale)).max())


def _rms(values: Any) -> float:
    """The root of the mean square, of values as large as float64 holds."""
    largest = float(values.max())
    if not 0 < largest < math.inf:
        return largest
    return largest * float(np.sqrt(np.mean(np.square(values / largest))))


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    narrow = array.dtype.kind == "V" or array.dtype.isbuiltin == 2  # noqa: PLR2004 - ml_dtypes'
    return array.astype(np.float32) if narrow else array


def percent(share: float) -> str:
    """Write a share as a reader takes it in: `0.21 %`."""
    return f"{100 * share:.2g} %" if share < 1 else f"{100 * share:.0f} %"


def describe(noise: Noise, expectation: ExpectedNoise) -> str:
    """Describe what was expected of one output and what was found."""
    text = f"{noise.output}: expected noise {percent(expectation.expected)}"
    if not math.isfinite(noise.found):
        return f"{text}, and it is not finite at the same places or has another shape"
    text += f", found {percent(noise.found)}"
    if expectation.explains(noise):
        return text
    if noise.found > expectation.allowed:
        times = noise.found / expectation.expected
        return f"{text} ({times:,.0f} times as much; {percent(expectation.allowed)} is allowed)"
    largest = percent(_SINGLE * expectation.allowed)
    return f"{text}, single values up to {percent(noise.single)} ({largest} is allowed)"
