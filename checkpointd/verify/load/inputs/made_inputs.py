"""Inputs that fit a model: made from its spec and from what its graph requires of them.

Several are made, from the likeliest on, because a model may rightly refuse some: what runs on any
of them runs. The graph is read when the first of them were refused, or one is a string.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.verify.load.inputs.feeding import Feed
from checkpointd.verify.load.inputs.graph_values import limits_of
from checkpointd.verify.load.inputs.limits import InputLimits
from checkpointd.verify.load.inputs.made_texts import WORDS, text_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.verify.load.inputs.limits import ExampleFeature
    from checkpointd.verify.load.loaded import ArraySpec, Signature

ON = "made inputs"

_SEED = 7
_MOST_VALUES = 4 << 20
"""Values of an input whose size the model leaves open; a fixed size is taken as it is."""

_RANKS: tuple[tuple[int, ...], ...] = ((1,), (), (1, 1), (1, 8), (1, 32, 32, 3))
"""What is tried for an input of unknown rank."""

_FIRST_SIZES = (8, 32, 224)
"""What is tried first for a size that a model leaves open, the batch aside: words, patches,
pixels."""

_MORE_SIZES = (1, 2, 4, 16, 64, 128, 256, 512)
_LONG_SIZES = (1024, 4096, 16000, 48000)
"""Sounds; tried where one size is open."""

_MATRIX = 2
_WHOLE = ("int", "uint", "qint", "quint")
_LENGTHS = ("len", "num_frames", "duration")


class CannotMakeError(Exception):
    """Such an input cannot be made; the message names it and explains why."""


@dataclass(frozen=True)
class Style:
    """How values are chosen.

    `whole`: "one", "zero", or "range" (what the graph allows). `real`: "unit" (between 0 and 1),
    "one", "zero", "byte" (0 to 255), "normal", or "near" (about what the graph compares with).
    """

    whole: str = "one"
    real: str = "unit"
    size: int = _FIRST_SIZES[0]
    rank: tuple[int, ...] = _RANKS[0]
    batch: int = 1


@dataclass
class _Maker:
    """Makes the inputs of one signature."""

    signature: Signature
    limits: Mapping[str, InputLimits] = field(default_factory=dict)

    def feed(self, style: Style) -> Feed | None:
        """Make inputs in one style; None where they would be too large."""
        parts = parts_of(self.signature)
        arrays: dict[str, Any] = {}
        for spec in self.signature.inputs:
            shape = _shape(spec, style, self.limits.get(spec.name))
            if math.prod(shape) > _MOST_VALUES and None in (spec.shape or (None,))[1:]:
                return None
            arrays[spec.name] = self.one(spec, shape, style, parts.get(spec.name, ""))
        return Feed(arrays, ON, proven=False)

    def one(self, spec: ArraySpec, shape: tuple[int, ...], style: Style, part: str) -> Any:
        """Make one input; `part` is its part of a ragged or a sparse one."""
        limits = self.limits.get(spec.name, InputLimits())
        if part == "splits":
            return np.arange(shape[0] + 1, dtype=spec.dtype)
        if part == "indices":
            return np.zeros((1, *shape[1:]), spec.dtype)
        if part == "shape":
            sizes = np.ones(shape, spec.dtype)
            sizes[-1:] = limits.columns
            return sizes
        if _is_length(spec):
            return np.full(shape, self.length(style), spec.dtype)
        return self.values(spec.dtype, shape, limits, style, mask="mask" in spec.name.lower())

    def length(self, style: Style) -> int:
        """The length of what a number of steps may belong to."""
        long = [s for s in self.signature.inputs if s.shape is not None and len(s.shape) > 1]
        return next((_shape(s, style)[1] for s in long), 1)

    def values(
        self, dtype: str, shape: tuple[int, ...], limits: InputLimits, style: Style, *, mask: bool
    ) -> Any:
        """Make values of a type that keep to the limits."""
        if dtype == "string":
            return self.texts(shape, limits, style)
        if dtype == "bool":
            return np.full(shape, style.whole != "zero")
        if dtype.startswith(_WHOLE):
            known = dtype if hasattr(np, dtype) else "int32"
            if limits.words and isinstance(limits.words[0], (int, np.integer)):
                return np.resize(np.array(limits.words), shape).astype(known)
            return _whole(shape, limits, style, mask=mask).astype(known)
        wide = dtype if dtype in ("float16", "float64", "complex64", "complex128") else "float32"
        return _real(shape, limits, style, mask=mask).astype(wide)

    def texts(self, shape: tuple[int, ...], limits: InputLimits, style: Style) -> Any:
        """Make strings."""
        plain = {"zero": b"", "one": WORDS}.get(style.whole, b"1")

        def fill(feature: ExampleFeature) -> Any:
            sizes = (1,) if feature.shape is None else tuple(n or 1 for n in feature.shape)
            return self.values(feature.dtype, sizes, feature.limits, style, mask=False)

        made = np.empty(shape, object)
        made[...] = text_for(limits, fill, plain=plain)
        return made


def tries(signature: Signature) -> Iterator[Feed]:
    """Make inputs of one signature, from the likeliest on.

    Raises:
        CannotMakeError: one of its inputs cannot be made.
    """
    for spec in signature.inputs:
        _assert_makeable(spec)
    maker = _Maker(signature)
    known = any(spec.dtype == "string" or spec.shape is None for spec in signature.inputs)
    if known:
        maker.limits = _limits(signature)
        _assert_no_files(maker.limits)
    seen: set[Style] = set()
    for style in _styles(signature):
        if style.whole == "range" and not known:
            known, maker.limits = True, _limits(signature)
        if style not in seen:
            seen.add(style)
            feed = maker.feed(style)
            if feed is not None:
                yield feed


def _limits(signature: Signature) -> Mapping[str, InputLimits]:
    if signature.source is None:
        return {}
    try:
        return limits_of(signature.source())
    except Exception:  # noqa: BLE001 - a graph like none before: nothing is known then
        return {}


def _styles(signature: Signature) -> Iterator[Style]:
    shapes = [spec.shape for spec in signature.inputs]
    axes = max((len([n for n in shape[1:] if n is None]) for shape in shapes if shape), default=0)
    ranks = _RANKS if None in shapes else _RANKS[:1]
    first = _FIRST_SIZES if axes else _FIRST_SIZES[:1]
    more = (*_MORE_SIZES, *(_LONG_SIZES if axes == 1 else ())) if axes else ()
    for size in first:
        yield Style(size=size)
        yield Style("zero", size=size)
    for rank in ranks:
        likely = Style("range", rank=rank)
        yield Style(rank=rank)
        yield likely
        yield replace(likely, real="near")
    for size in (*first, *more):
        yield Style("range", size=size)
    for size in first:
        for real in ("one", "zero", "byte", "normal"):
            yield Style("range", real, size)
    for rank in ranks:
        yield Style("range", "one", rank=rank)
    yield Style("range", batch=2)
    yield Style("one", "one", batch=2)


def parts_of(signature: Signature) -> dict[str, str]:
    """Name the inputs that are parts of a ragged or a sparse one: splits, indices, a shape.

    TensorFlow names the parts of `x` `x`, `x_1`, ...; TFX `x_indices`, `x_values`, and
    `x_dense_shape` or `x_shape`.
    """
    shapes = {spec.name: spec.shape for spec in signature.inputs}
    whole = {spec.name for spec in signature.inputs if spec.dtype in ("int32", "int64")}
    parts: dict[str, str] = {}
    for name, shape in shapes.items():
        rank = (shape or (None, None))[1] if shape and len(shape) == _MATRIX else None
        stem = name[: -len("indices")] if name.endswith("indices") else f"{name}_"
        for one in (f"{name}_2", f"{stem}shape", f"{stem}dense_shape"):
            if name in whole and one in whole and rank and shapes[one] == (rank,):
                parts[name], parts[one] = "indices", "shape"
        first, _, number = name.rpartition("_")
        ragged = signature.in_parts and shape == (None,) and number.isdigit() and first in shapes
        if ragged and name in whole and name not in parts:
            parts[name] = "splits"
    return {name: part for name, part in parts.items() if not _is_value(name, parts)}


def _is_value(name: str, found: Mapping[str, str]) -> bool:
    """Whether it is the values of a sparse input, which stand between indices and shape."""
    return name.endswith("_1") and found.get(name[:-2]) == "indices"


def _assert_makeable(spec: ArraySpec) -> None:
    if spec.shape is None and spec.dtype.endswith("ArraySpec"):
        raise CannotMakeError(f"its input {spec.name!r} is a {spec.dtype}")
    if not spec.dtype.startswith((*_WHOLE, "float", "bfloat16", "string", "bool", "complex")):
        raise CannotMakeError(f"its input {spec.name!r} is of the type {spec.dtype}")


def _assert_no_files(limits: Mapping[str, InputLimits]) -> None:
    name = next((name for name, one in limits.items() if "file" in one.kinds), None)
    if name is not None:
        raise CannotMakeError(f"its input {name!r} is the name of a file")


def _is_length(spec: ArraySpec) -> bool:
    """Whether an input is the length of another: a whole number for each row."""
    named = any(word in spec.name.lower() for word in _LENGTHS)
    each = spec.shape is not None and spec.shape[1:] in ((), (1,))
    return named and each and spec.dtype in ("int32", "int64")


def _shape(spec: ArraySpec, style: Style, limits: InputLimits | None = None) -> tuple[int, ...]:
    """The shape of an input; what the graph requires of an open size comes before the style's."""
    known = limits.shape if limits is not None and style.whole != "zero" else None
    if spec.shape is None and known is None:
        return tuple(style.batch if axis == 0 else n for axis, n in enumerate(style.rank))
    sizes = known if spec.shape is None else spec.shape
    hints = (
        known if known is not None and len(known) == len(sizes or ()) else [None] * len(sizes or ())
    )
    return tuple(
        next(n for n in (size, hint, style.batch if axis == 0 else style.size) if n is not None)
        for axis, (size, hint) in enumerate(zip(sizes or (), hints))
    )


def _whole(shape: tuple[int, ...], limits: InputLimits, style: Style, *, mask: bool) -> Any:
    low, high = limits.least, limits.below
    if style.whole != "range" or mask:
        value = {"zero": 0}.get(style.whole, 1)
        most = value if high is None else max(low, high - 1)
        return np.full(shape, min(max(value, low), most))
    if style.real == "near":
        above, under = _interval(limits)
        low = max(low, math.floor(above) + 1)
        high = min(math.ceil(under), high or math.ceil(under)) if math.isfinite(under) else high
    elif high is not None and high - low > 1:
        low = max(low, 1)  # 0 is padding, where it is anything special
    high = max(low + 1, high if high is not None else low + 2)
    return np.random.default_rng(_SEED).integers(low, high, shape)


def _interval(limits: InputLimits) -> tuple[float, float]:
    """The constants between which a value is, where it is compared with any."""
    above, under = max(limits.above, default=-1.0), min(limits.under, default=math.inf)
    return (above, under) if above < under else (above, math.inf)


def _real(shape: tuple[int, ...], limits: InputLimits, style: Style, *, mask: bool) -> Any:
    rng = np.random.default_rng(_SEED)
    if mask and style.real != "zero":
        return np.ones(shape)
    if style.real == "near":
        above, under = _interval(limits)
        width = under - above if math.isfinite(under) else max(1.0, abs(above))
        return above + width * rng.uniform(0.05, 0.95, shape)
    fixed = {"one": 1.0, "zero": 0.0}.get(style.real)
    if fixed is not None:
        return np.full(shape, fixed)
    if style.real == "normal":
        return rng.normal(size=shape)
    return rng.uniform(0.05, 0.95, shape) * (255.0 if style.real == "byte" else 1.0)
