"""`structure`: every part is there and well-formed.

The probe has read the edges of the members; here the whole index, directory or tree is read, and
every tensor must have a range of bytes that is within its file and that no other tensor has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End
from checkpointd.formats import (
    LOCAL,
    Candidate,
    FormatError,
    ProbeState,
    hdf5,
    member_path,
    names,
    probe,
)
from checkpointd.formats import tf_checkpoint as bundles
from checkpointd.formats.facts import MISSING_MEMBER, NOT_A_CHECKPOINT, TRUNCATED, UNREADABLE
from checkpointd.formats.graph import (
    GRAPH,
    IMAGE_GRAPH,
    TEXT_GRAPH,
    check_variables,
    read_graph,
)
from checkpointd.formats.protobuf import walk
from checkpointd.tensors import bundle, reading
from checkpointd.tensors.baseline import model_tensors
from checkpointd.tensors.source import opened
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.keras_files.model_digest import digest_of_model
from checkpointd.verify.scan.saved_model.reading import (
    UninspectableGraphError,
    encoded_text,
    graphs_of,
    graphs_of_bytes,
    leads_out,
    metadata_of,
)
from checkpointd.verify.suite import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Facts
    from checkpointd.formats.graph import SavedModelInfo
    from checkpointd.tensors import Contents
    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph
    from checkpointd.verify.scan.scan_context import ScanContext

NAME = "structure"
_NO_MODEL = "an HDF5 file that holds no Keras model and no weights"
_BIT_ROT = (
    " It was whole when it was read before, and none of its files was touched since: the disk is "
    "going bad."
)


_REST_UNKNOWN = "What it holds up to there was read; whether that is all is not known."


def check(context: ScanContext) -> CheckResult:
    """Read the metadata of the container, and none of the weights yet.

    Raises:
        Stop: it is not a model; it is counted, and there is no verdict.
        OSError: it could not be read.
    """
    checkpoint, generation = context.request.checkpoint, context.request.generation
    seen = probe(Candidate(checkpoint.path, checkpoint.format, generation))
    if seen.state is ProbeState.UNKNOWN:
        raise Stop(End.UNKNOWN, seen.message or "It is no model that checkpointd knows.")
    context.learn(format=seen.format)
    if seen.state is ProbeState.INCOMPLETE:
        context.incomplete = seen.message
        if not seen.surplus:
            return failed(NAME, seen.reason.partition(".")[2], seen.message)
    try:
        planned = reading.plan(checkpoint.path, seen.format, generation)
        if planned.format is Format.UNKNOWN:
            if names.hint_of(checkpoint.path) is Format.KERAS:
                return failed(NAME, NOT_A_CHECKPOINT, f"It is {_NO_MODEL}.")
            raise Stop(End.UNKNOWN, f"{_NO_MODEL[0].upper()}{_NO_MODEL[1:]}.")
        if any(not bundles.is_model(p.index) for _, p in planned.bundles if p.index.entries):
            raise Stop(End.UNKNOWN, "A bundle of tensors without names: a cache of tf.data.")
        context.planned = planned
        if planned.archive is not None:  # its end was found, which a probe does not search for
            context.incomplete = ""
        context.learn(**_facts(planned, context.facts))
        _check_savedmodel(context, planned)
        _check_meta_graph(context, planned)
        _find_uncertainty(context, planned)
    except FormatError as error:
        return _format_failure(context, error)
    specs = planned.specs
    size = sum(s.size_bytes for s in specs)
    return passed(
        NAME,
        f"{len(specs)} tensors, {size:,} bytes.",
        tensors=len(specs),
        tensor_bytes=size,
        unpacked_bytes=planned.unpacked_bytes,
    )


def plan_of(context: ScanContext) -> reading.ReadPlan | None:
    """Return where everything is in the files, also where `structure` is switched off.

    Returns:
        None if that is not known.
    """
    if context.planned is None and not context.unreadable:
        check(context)
    return context.planned


def contents_of(context: ScanContext, *, with_crc32: bool = False) -> Contents:
    """Return the result of the one pass over the bytes, which the first caller starts.

    Args:
        context: of this verification.
        with_crc32: compute zlib's CRC-32 of an HDF5 file too, if the pass starts now.

    Raises:
        Stop: `structure` is switched off, and there is nothing whole to be read.
        OSError: it could not be read.
    """
    if context.planned is None:
        result = check(context)
        if context.planned is None:
            raise Stop(End.INCOMPLETE, result.message)
    if context.contents is None:
        context.contents = reading.read(context.planned, with_crc32=with_crc32)
    return context.contents


def _format_failure(context: ScanContext, error: FormatError) -> CheckResult:
    """Return the result for a container that was not read to its end."""
    if error.word == UNREADABLE:
        context.unreadable = error.message
        return skipped(NAME, f"Not known: {error.message}")
    if error.word in (TRUNCATED, MISSING_MEMBER):
        context.incomplete = error.message
    known = _BIT_ROT if context.request.digest else ""
    return failed(NAME, error.word, error.message + known)


def _facts(planned: reading.ReadPlan, facts: Facts) -> dict[str, object]:
    weights = [replace(s, name=name) for name, s in model_tensors(planned.specs).items()]
    config = keras_config.read(planned.path, planned.format)
    return {
        "format": planned.format,
        "writer": config.writer or facts.writer,
        "model_digest": digest_of_model(config.model),
        "tensor_count": len(planned.specs),
        "tensors_digest": keras_config.digest_of_tensors(weights),
    }


def _check_savedmodel(context: ScanContext, planned: reading.ReadPlan) -> None:
    """Read the metadata of the graph, and check that the assets that it names are there.

    Raises:
        FormatError: `saved_model.pb` is malformed, or an asset is missing.
    """
    if planned.format is not Format.SAVEDMODEL:
        return
    members = {m.name: m.size for m in context.request.generation.members}
    try:
        if GRAPH in members:
            info = _described(planned.path)
            context.graphs = _graphs(planned.path, members)
        elif TEXT_GRAPH in members and IMAGE_GRAPH not in members:
            data = encoded_text(planned.path, members)
            info = metadata_of(data)
            context.graphs = graphs_of_bytes(data)
        else:
            return
    except UninspectableGraphError:
        return  # `safety` reports it
    if info.tensorflow_version and not context.facts.writer:
        context.learn(writer=f"tensorflow {info.tensorflow_version}")
    context.learn(signatures=dict(info.signatures))
    missing = check_variables(info, members)
    if missing is not None:
        raise missing
    for asset in info.assets:
        if f"/assets/{asset}" not in members and not leads_out(asset):
            raise FormatError(
                "missing_member", f"The graph names the asset {asset!r}, which is not in assets/."
            )


def _described(path: str) -> SavedModelInfo:
    """Read the metadata of `saved_model.pb`.

    Raises:
        FormatError: it is malformed; the message names the file.
    """
    try:
        return read_graph(path)
    except FormatError as error:
        message = error.message
        if "saved_model.pb" not in message:
            message = f"saved_model.pb is damaged: {message}"
        raise FormatError(error.word, message) from None


def _graphs(path: str, members: Mapping[str, int]) -> list[MetaGraph] | None:
    """Read the graphs; None if they are in a format that cannot be inspected.

    Raises:
        FormatError: they are malformed, although the file is whole, as `read_graph` has checked.
    """
    try:
        return graphs_of(path, members)
    except UninspectableGraphError:
        return None
    except FormatError as error:
        raise FormatError("malformed", f"saved_model.pb: {error.message}") from None


def _find_uncertainty(context: ScanContext, planned: reading.ReadPlan) -> None:
    for name, _ in planned.files:
        error = hdf5.surplus(member_path(planned.path, name), LOCAL)
        beyond = f"{error.message} {_REST_UNKNOWN}" if error is not None else ""
        context.uncertain = context.uncertain or beyond
    for _, part in planned.bundles:
        context.uncertain = context.uncertain or bundle.sharing(part)


def _check_meta_graph(context: ScanContext, planned: reading.ReadPlan) -> None:
    """Check that the graph that TensorFlow 1's Saver leaves beside a checkpoint is whole.

    Raises:
        FormatError: it ends within a field.
    """
    graph = next((m for m in context.request.generation.members if m.name == ".meta"), None)
    if graph is None or planned.format is not Format.TF_CHECKPOINT:
        return
    with opened(planned.path + graph.name) as source:

        def read(offset: int, size: int) -> bytes:
            return source.read(offset, max(0, min(size, source.size - offset)))

        try:
            whole = [span.number for span in walk(read, 0, source.size)]
        except FormatError as error:
            raise FormatError(
                TRUNCATED, f"The graph in the .meta file is damaged: {error.message}"
            ) from None
    if not whole:
        raise FormatError(TRUNCATED, "The .meta file is empty: the save was cut short.")
