"""The file of a golden record.

It is an uncompressed `.npz` file without pickle: a `meta` array (UTF-8 JSON as uint8) and one
array for each input and output; strings of any length are two arrays, their bytes and the offsets
between them, a ragged array is its flat values and the splits between its rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import sys
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.core.report import Digest
from checkpointd.golden.arrays import Array, ArrayError, array_of, flattened, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
"""Raised when a reader of the version before could not understand a record."""

_RAGGED_VERSION = 2
"""What a record with a ragged array in it has; all others stay readable to older readers."""

SINGLE, LIST, DICT = "single", "list", "dict"
"""How inputs are fed and outputs come: one array, several in order, or several by name."""


class GoldenError(Exception):
    """A golden record that cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class Run:
    """What one signature of a SavedModel was given, by argument name, and what it gave."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


@dataclass(frozen=True)
class Golden:
    """Inputs, the outputs that the model gave for them, and what was true at that moment.

    `compiled` says how the outputs were computed: by `predict` with the inputs as one batch, or
    by an eager call. `input_structure` and `output_structure` are SINGLE, LIST or DICT.
    `binding` is what `binding_of` must give for the checkpoint that the record belongs to, and
    `content` what `content_of` gave when it was saved, empty in older records.
    `labels` and `sample_weights` are what the job trains against, empty where it did not say;
    `optimizer` is its optimizer's `class_name` and `config`, as Keras gives them, or empty.
    `stochastic` says that two runs in a row from the same state gave different outputs.
    `signatures` holds what single signatures of a SavedModel were given and gave.
    """

    inputs: Mapping[str, Array] = field(default_factory=dict)
    outputs: Mapping[str, Array] = field(default_factory=dict)
    labels: Mapping[str, Array] = field(default_factory=dict)
    sample_weights: Mapping[str, Array] = field(default_factory=dict)
    compiled: bool = False
    digests: tuple[Digest, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    binding: str = ""
    content: str = ""
    input_structure: str = SINGLE
    output_structure: str = SINGLE
    label_structure: str = SINGLE
    weight_structure: str = SINGLE
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    stochastic: bool = False
    signatures: Mapping[str, Run] = field(default_factory=dict)


def digest_of(name: str, values: np.ndarray[Any, Any]) -> Digest:
    """Take the digest of one variable's values."""
    values = np.asarray(values)
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("<"))
    checksum = zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return Digest(name, str(values.dtype), tuple(int(n) for n in values.shape), checksum)


def feed(inputs: Any) -> tuple[dict[str, Array], str]:
    """Name the arrays of what a model is given: one array, several in order, or by name.

    Returns:
        The arrays by name, and SINGLE, LIST or DICT.

    Raises:
        GoldenError: it is none of these.
    """
    return _named(inputs, "input")


def named(outputs: Any) -> tuple[dict[str, Array], str]:
    """Name the arrays of what a model gave; the same as `feed` for outputs.

    Structures within structures become one, by names such as `state/0`.

    Raises:
        GoldenError: it is neither one array, nor several in order, nor by name.
    """
    return _named(flattened(outputs), "output")


def assemble(arrays: Mapping[str, Any], structure: str) -> Any:
    """Put named arrays together as a model is given them: the inverse of `feed`."""
    if structure == DICT:
        return dict(arrays)
    values = list(arrays.values())
    return values if structure == LIST else values[0]


def optional(value: Any, word: str) -> tuple[dict[str, Array], str]:
    """Name the arrays of labels or sample weights; the same as `feed`, and None is no array.

    Raises:
        GoldenError: it is neither one array, nor several in order, nor by name.
    """
    return ({}, SINGLE) if value is None else _named(value, word)


def _named(value: Any, word: str) -> tuple[dict[str, Array], str]:
    if hasattr(value, "items") and not hasattr(value, "shape"):
        arrays = {str(name): _array(item, str(name)) for name, item in value.items()}
        structure = DICT
    elif isinstance(value, (list, tuple)) and value and all(hasattr(v, "shape") for v in value):
        arrays = {f"{word}_{i}": _array(item, f"{word}_{i}") for i, item in enumerate(value)}
        structure = LIST
    else:
        arrays, structure = {word: _array(value, word)}, SINGLE
    if not arrays:
        raise GoldenError(f"There is no {word} at all: give at least one array.")
    return arrays, structure


def _array(value: Any, name: str) -> Array:
    try:
        return array_of(value, name)
    except ArrayError as error:
        raise GoldenError(str(error)) from error


def environment(
    library: str, version: str, policy: str, place: Mapping[str, str]
) -> dict[str, str]:
    """Say what outputs depend on besides the model, for a record or for its replay.

    Args:
        library: `keras`, `tf_keras` or empty.
        version: the library's version.
        policy: the model's precision policy, such as `mixed_float16`; empty for float32.
        place: what it runs on, as `backends.place` describes it.
    """
    tensorflow = getattr(sys.modules.get("tensorflow"), "__version__", "")
    return {
        "tensorflow": str(tensorflow),
        "keras": f"{library} {version}".strip(),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "policy": policy or "float32",
        **{key: value for key, value in place.items() if value},
    }


def _cpu() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def write(path: str, golden: Golden) -> None:
    """Write a record under its final name in one step, and make it durable.

    Raises:
        GoldenError: an array holds Python objects that are no strings.
        OSError: it cannot be written.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    try:
        inputs = _packed(arrays, "input", golden.inputs)
        outputs = _packed(arrays, "output", golden.outputs)
        labels = _packed(arrays, "label", golden.labels)
        weights = _packed(arrays, "sample_weight", golden.sample_weights)
        signatures = {
            name: {
                "inputs": _packed(arrays, f"signature{i}.input", run.inputs),
                "outputs": _packed(arrays, f"signature{i}.output", run.outputs),
            }
            for i, (name, run) in enumerate(golden.signatures.items())
        }
    except ArrayError as error:
        raise GoldenError(str(error)) from error
    ragged = any(".splits" in key for key in arrays)
    meta: dict[str, Any] = {
        "format_version": _RAGGED_VERSION if ragged else FORMAT_VERSION,
        "inputs": inputs,
        "outputs": outputs,
        "labels": labels,
        "sample_weights": weights,
        "signatures": signatures,
        "stochastic": golden.stochastic,
        "compiled": golden.compiled,
        "digests": [asdict(digest) for digest in golden.digests],
        "metrics": dict(golden.metrics),
        "step": golden.step,
        "environment": dict(golden.environment),
        "binding": golden.binding,
        "content": golden.content,
        "input_structure": golden.input_structure,
        "output_structure": golden.output_structure,
        "label_structure": golden.label_structure,
        "weight_structure": golden.weight_structure,
        "optimizer": dict(golden.optimizer),
    }
    text = json.dumps(meta).encode("ascii")
    arrays["meta"] = np.frombuffer(text, np.uint8)
    directory = os.path.dirname(os.path.abspath(path))
    temporary = os.path.join(directory, f".checkpointd-tmp-{secrets.token_hex(8)}.npz")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub mixes up its flags
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _packed(
    arrays: dict[str, np.ndarray[Any, Any]], key: str, named: Mapping[str, Array]
) -> list[dict[str, Any]]:
    return [pack(arrays, f"{key}{i}", *item) for i, item in enumerate(named.items())]


def read(path: str) -> Golden:
    """Read a record.

    Raises:
        FileNotFoundError: there is none.
        GoldenError: it is damaged, or of a version that this program does not know.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            compressed = any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist())
        if compressed:  # nothing that we wrote, and it could unpack to any size
            raise _damaged(path, "it is compressed")  # noqa: TRY301 - said like the others
        with np.load(path, allow_pickle=False) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            if meta["format_version"] not in (FORMAT_VERSION, _RAGGED_VERSION):
                raise _unknown_version(path, meta["format_version"])  # noqa: TRY301 - the same
            return _from_meta(meta, arrays)
    except (GoldenError, OSError):
        raise
    except Exception as error:
        raise _damaged(path, f"{error}"[:200]) from error


def _damaged(path: str, why: str) -> GoldenError:
    return GoldenError(
        f"The golden record {path!r} is damaged ({why}): save the checkpoint once more."
    )


def _unknown_version(path: str, version: object) -> GoldenError:
    return GoldenError(
        f"The golden record {path!r} has format version {version!r} and this program knows "
        f"{FORMAT_VERSION} and {_RAGGED_VERSION}: use the same checkpointd in the training job."
    )


def _from_meta(meta: dict[str, Any], arrays: Mapping[str, np.ndarray[Any, Any]]) -> Golden:
    return Golden(
        inputs=_unpacked(arrays, meta["inputs"]),
        outputs=_unpacked(arrays, meta["outputs"]),
        labels=_unpacked(arrays, meta.get("labels", ())),  # an older record has none of these
        sample_weights=_unpacked(arrays, meta.get("sample_weights", ())),
        compiled=bool(meta["compiled"]),
        digests=tuple(
            Digest(str(d["name"]), str(d["dtype"]), tuple(map(int, d["shape"])), int(d["crc32"]))
            for d in meta["digests"]
        ),
        metrics={str(k): float(v) for k, v in meta["metrics"].items()},
        step=None if meta["step"] is None else int(meta["step"]),
        environment={str(k): str(v) for k, v in meta["environment"].items()},
        binding=str(meta["binding"]),
        content=str(meta.get("content", "")),
        input_structure=_structure(meta["input_structure"]),
        output_structure=_structure(meta["output_structure"]),
        label_structure=_structure(meta.get("label_structure", SINGLE)),
        weight_structure=_structure(meta.get("weight_structure", SINGLE)),
        optimizer=dict(meta.get("optimizer", {})),
        stochastic=bool(meta.get("stochastic", False)),
        signatures={
            str(name): Run(_unpacked(arrays, run["inputs"]), _unpacked(arrays, run["outputs"]))
            for name, run in meta.get("signatures", {}).items()
        },
    )


def _unpacked(
    arrays: Mapping[str, np.ndarray[Any, Any]], entries: list[dict[str, Any]]
) -> dict[str, Array]:
    return {str(entry["name"]): unpack(arrays, entry) for entry in entries}


def _structure(value: Any) -> str:
    if value not in (SINGLE, LIST, DICT):
        raise ValueError(f"unknown structure {value!r}")
    return str(value)


def policy_of(model: Any) -> str:
    """The name of the precision policy that a model computes with; `float32` when plain."""
    for layer in (model, *(getattr(model, "layers", None) or ())):
        policy = getattr(layer, "dtype_policy", None)
        name = str(getattr(policy, "name", policy) or "")
        if name and name != "float32":
            return name
    return "float32"
