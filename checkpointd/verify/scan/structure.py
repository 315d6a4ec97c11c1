"""`structure`: every part is there and well-formed.

The probe has seen the edges of the members; here the whole index, directory or tree is read, and
every tensor must have a place of its own that lies within its file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from checkpointd.tensors.stream import opened
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.scan.saved_model.reading import (
    UncheckedError,
    described_in,
    encoded_text,
    graphs_in,
    graphs_of,
    leads_out,
)
from checkpointd.verify.suite import Context, Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Facts
    from checkpointd.formats.graph import SavedModelInfo
    from checkpointd.golden import Golden
    from checkpointd.tensors import Contents
    from checkpointd.verify.scan.findings import Finding
    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph

NAME = "structure"
_NO_MODEL = "an HDF5 file that holds no Keras model and no weights"
_ROTTEN = (
    " It was whole when it was read before, and nobody has touched any of its files since: the "
    "disk is going bad."
)


_UP_TO_THERE = "What it holds up to there was read; nobody knows if that is all."


@dataclass
class ScanContext(Context):
    """What the checks of the scan side share.

    `incomplete` says what its writer still owes, `unreadable` why its layout is not known here,
    `unclear` what was read whole and may still not be what it seems,
    `graphs` is what a SavedModel would run and `findings` what speaks against loading it, each
    None before anybody has looked.
    """

    planned: reading.ReadPlan | None = None
    contents: Contents | None = None
    golden: Golden | None = None
    incomplete: str = ""
    unreadable: str = ""
    unclear: str = ""
    graphs: list[MetaGraph] | None = None
    findings: tuple[Finding, ...] | None = None

    def laid_out(self) -> reading.ReadPlan | None:
        """What lies where, also where `structure` is switched off; None if that is not known."""
        if self.planned is None and not self.unreadable:
            check(self)
        return self.planned

    def read(self, *, with_crc32: bool = False) -> Contents:
        """What the one pass over the bytes gives; it is made when it is first asked for.

        Args:
            with_crc32: have it take zlib's CRC-32 of an HDF5 file, if it is made now.

        Raises:
            Stop: `structure` is switched off, and there is nothing whole to be read.
            OSError: it could not be read.
        """
        if self.planned is None:
            result = check(self)
            if self.planned is None:
                raise Stop(End.INCOMPLETE, result.message)
        if self.contents is None:
            self.contents = reading.read(self.planned, with_crc32=with_crc32)
        return self.contents


def check(context: ScanContext) -> CheckResult:
    """Read what the container says of itself, and nothing of the weights yet.

    Raises:
        Stop: it is no model; it is counted and left alone.
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
        if planned.archive is not None:  # its end was found, where a probe does not look
            context.incomplete = ""
        context.learn(**_facts(planned, context.facts))
        _check_savedmodel(context, planned)
        _check_meta_graph(context, planned)
        _look_for_doubt(context, planned)
    except FormatError as error:
        return _refused(context, error)
    specs = planned.specs
    size = sum(s.size_bytes for s in specs)
    return passed(
        NAME,
        f"{len(specs)} tensors, {size:,} bytes.",
        tensors=len(specs),
        tensor_bytes=size,
        unpacked_bytes=planned.unpacked_bytes,
    )


def _refused(context: ScanContext, error: FormatError) -> CheckResult:
    """What it means that a container was not read to its end."""
    if error.word == UNREADABLE:
        context.unreadable = error.message
        return skipped(NAME, f"Not known: {error.message}")
    if error.word in (TRUNCATED, MISSING_MEMBER):
        context.incomplete = error.message
    known = _ROTTEN if context.request.digest else ""
    return failed(NAME, error.word, error.message + known)


def _facts(planned: reading.ReadPlan, facts: Facts) -> dict[str, object]:
    weights = [replace(s, name=name) for name, s in model_tensors(planned.specs).items()]
    return {
        "format": planned.format,
        "writer": keras_config.writer_of(planned.path, planned.format) or facts.writer,
        "tensor_count": len(planned.specs),
        "tensors_digest": keras_config.digest_of_tensors(weights),
    }


def _check_savedmodel(context: ScanContext, planned: reading.ReadPlan) -> None:
    """Read what the graph says, and look for the assets that it names.

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
            info = described_in(data)
            context.graphs = graphs_in(data)
        else:
            return
    except UncheckedError:
        return  # `safety` says so
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
    """Read what the graph says of itself.

    Raises:
        FormatError: it is malformed; the sentence names the file.
    """
    try:
        return read_graph(path)
    except FormatError as error:
        said = error.message
        named = said if "saved_model.pb" in said else f"saved_model.pb is damaged: {said}"
        raise FormatError(error.word, named) from None


def _graphs(path: str, members: Mapping[str, int]) -> list[MetaGraph] | None:
    """Read what would be run; None if it cannot be looked through.

    Raises:
        FormatError: it is malformed, although the file is whole, as `read_graph` has seen.
    """
    try:
        return graphs_of(path, members)
    except UncheckedError:
        return None
    except FormatError as error:
        raise FormatError("malformed", f"saved_model.pb: {error.message}") from None


def _look_for_doubt(context: ScanContext, planned: reading.ReadPlan) -> None:
    for name, _ in planned.files:
        error = hdf5.surplus(member_path(planned.path, name), LOCAL)
        beyond = f"{error.message} {_UP_TO_THERE}" if error is not None else ""
        context.unclear = context.unclear or beyond
    for _, part in planned.bundles:
        context.unclear = context.unclear or bundle.sharing(part)


def _check_meta_graph(context: ScanContext, planned: reading.ReadPlan) -> None:
    """Walk over the graph that TensorFlow 1's Saver leaves beside a checkpoint.

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
