"""Lists the contents of a checkpoint for `checkpointd inspect`: no TensorFlow, nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, FormatError, ProbeState, generation_of, probe
from checkpointd.formats.graph import GRAPH, TEXT_GRAPH, SavedModelInfo, read_graph
from checkpointd.tensors import MODEL, OPTIMIZER
from checkpointd.tensors.reading import plan
from checkpointd.tensors.source import opened
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.scan.saved_model.outline import outline
from checkpointd.verify.scan.saved_model.reading import (
    UninspectableGraphError,
    encoded_text,
    metadata_of,
)


def inspect(path: str, format: Format) -> dict[str, Any]:
    """List what a checkpoint holds, without reading its weights.

    Args:
        path: of the checkpoint.
        format: that its name suggests.

    Returns:
        JSON-serialisable facts: `path`, `format`, `writer`, `size_bytes`, `members`, `tensors`
        (each `name`, `dtype`, `shape`, `bytes`, `role`, `decided_by`), `totals`, `signatures`,
        `graphs` (see `outline`), `custom_objects`, `golden_record`; and `problem` if it is not
        whole.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it could not be read.
    """
    generation = generation_of(path, format)
    seen = probe(Candidate(path, format, generation))
    facts: dict[str, Any] = {
        "path": path,
        "format": str(seen.format),
        "writer": "",
        "size_bytes": generation.size_bytes,
        "members": [{"name": m.name, "bytes": m.size} for m in generation.members],
        "tensors": [],
        "totals": {},
        "signatures": {},
        "graphs": [],
        "custom_objects": [],
        "golden_record": Path(golden.path_for(path, seen.format)).exists(),
        "problem": "" if seen.state is ProbeState.COMPLETE else seen.message,
    }
    if seen.state is ProbeState.UNKNOWN:
        return facts
    try:
        _add_contents(facts, path, seen.format)
    except FormatError as error:
        facts["problem"] = facts["problem"] or error.message
    return facts


def _add_contents(facts: dict[str, Any], path: str, format: Format) -> None:
    planned = plan(path, format, generation_of(path, format))
    planned.close()
    facts["format"] = str(planned.format)
    facts["tensors"] = [
        {
            "name": s.name,
            "dtype": s.dtype,
            "shape": list(s.shape),
            "bytes": s.size_bytes,
            "role": s.role,
            "decided_by": s.decided_by,
        }
        for s in planned.specs
    ]
    facts["totals"] = {
        "tensors": len(planned.specs),
        "bytes": sum(s.size_bytes for s in planned.specs),
        "model_bytes": sum(s.size_bytes for s in planned.specs if s.role == MODEL),
        "optimizer_bytes": sum(s.size_bytes for s in planned.specs if s.role == OPTIMIZER),
    }
    if format is Format.SAVEDMODEL:
        info = described(path)
        facts["signatures"] = dict(info.signatures)
        facts["writer"] = f"tensorflow {info.tensorflow_version}".strip()
        facts["graphs"] = _outlined(path)
        return
    config = keras_config.read(path, planned.format)
    facts["writer"] = f"keras {config.keras_version}" if config.keras_version else ""
    facts["custom_objects"] = list(config.custom_objects)


def _outlined(path: str) -> list[dict[str, Any]]:
    """List what each graph of a SavedModel offers; nothing where they are text.

    Raises:
        FormatError: they are malformed.
    """
    if not Path(path + GRAPH).exists():
        return []
    with opened(path + GRAPH) as source:
        return outline(
            lambda offset, size: source.read(offset, max(0, min(size, source.size - offset))),
            source.size,
        )


def described(path: str) -> SavedModelInfo:
    """Read the metadata of a SavedModel, binary or text.

    Raises:
        FormatError: it is malformed, or its text cannot be parsed.
    """
    text = Path(path + TEXT_GRAPH)
    if Path(path + GRAPH).exists() or not text.exists():
        return read_graph(path)
    try:
        return metadata_of(encoded_text(path, {TEXT_GRAPH: text.stat().st_size}))
    except UninspectableGraphError as error:
        raise FormatError("malformed", str(error)) from None
