"""The file of a golden record.

It is an uncompressed `.npz` file without pickle: a `meta` array (UTF-8 JSON as uint8) and one
array for each input and output; strings of any length are two arrays, their bytes and the offsets
between them, a ragged array is its flat values and the splits between its rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zipfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.core.report import Digest
from checkpointd.golden.arrays import Array, ArrayError, pack, unpack
from checkpointd.golden.record import DICT, LIST, SINGLE, Golden, GoldenError, SignatureRun

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
"""Raised when a reader of the version before could not understand a record."""

_RAGGED_VERSION = 2
"""What a record with a ragged array in it has; all others stay readable to older readers."""


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
            raise _damaged(path, "it is compressed")  # noqa: TRY301 - reported like the others
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
            str(name): SignatureRun(
                _unpacked(arrays, run["inputs"]), _unpacked(arrays, run["outputs"])
            )
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
