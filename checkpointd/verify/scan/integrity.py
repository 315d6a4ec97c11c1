"""`integrity`: every byte is read, and every stored checksum matches.

Checksums that the format stores (CRC32C of a bundle's tensors, CRC32 of a zip's members,
Fletcher32 in HDF5), `fingerprint.pb` with graph and variables, and the digests of the golden
record with the stored tensors, whatever their names.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from checkpointd import golden
from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.core.format_specs import Format, spec_of
from checkpointd.formats import FormatError
from checkpointd.golden import binding
from checkpointd.tensors import MODEL, baseline, keras_zip
from checkpointd.tensors.statistics import item_size
from checkpointd.verify import stored_digests
from checkpointd.verify.scan import fingerprint, safety, small_members
from checkpointd.verify.scan.signature import with_signature
from checkpointd.verify.scan.structure import contents_of, plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.report import Digest
    from checkpointd.golden import Golden
    from checkpointd.tensors import Contents, Problem, TensorStats
    from checkpointd.verify.scan.scan_context import ScanContext

NAME = "integrity"
_SHOWN = 3
_CHANGED_AROUND_WEIGHTS = (
    "The file is not the one that was saved: its weights are, and bytes beside them (names, types, "
    "configuration) have changed since."
)
_FLOATING = ("float", "bfloat", "complex")


def check(context: ScanContext) -> CheckResult:
    """Read the whole checkpoint once and compare it with every checksum.

    Raises:
        OSError: it could not be read.
    """
    planned = plan_of(context)
    if context.unreadable:
        return failed(
            NAME,
            "not_readable",
            f"{context.unreadable} Its values were not read here: the check load decides.",
        )
    unusable = safety.blocks_reading(context)
    if unusable:
        # What looks like an attack may be a flipped bit, which checksums find without reading more.
        broken = keras_zip.problems(planned.archive) if planned and planned.archive else ()
        if broken:
            return failed(NAME, broken[0].word, _several(broken))
        return skipped(NAME, f"Not read: {unusable}")
    if planned is not None and planned.filters:
        return _filtered(planned.filters)
    return with_signature(_read(context), context.request)


def _filtered(filters: tuple[str, ...]) -> CheckResult:
    return failed(
        NAME,
        "environment",
        f"Its values are packed by the HDF5 filter {', '.join(filters)}, which is a plug-in of its "
        "own, and no plug-in is ever loaded here: save it uncompressed or with gzip.",
        filters=list(filters),
    )


def _read(context: ScanContext) -> CheckResult:
    record, warning = _golden(context)
    contents = contents_of(context, with_crc32=bool(record and record.content))
    context.learn(
        digest=contents.digest,
        optimizer_tensors=stored_digests.of_optimizer(contents.tensors),
        other_tensors=stored_digests.of_others(contents.tensors),
        **_totals(contents),
    )
    if context.request.digest not in ("", contents.digest):
        return _bit_rot(contents)
    if contents.problems:
        return failed(NAME, contents.problems[0].word, _several(contents.problems))
    fingerprints = _missing_tensor(context) or _fingerprint(context)
    if isinstance(fingerprints, CheckResult):
        return fingerprints
    if record is not None:
        context.golden = record
        path = context.request.checkpoint.path
        difference = _difference(record, contents, _directory_checksum(path, context.facts.format))
        if difference is not None:
            return difference
        context.learn(has_golden=True, metrics=dict(record.metrics), step=record.step)
    context.learn(checksums=small_members.checksums(context.request, context.facts.format))
    details = {
        "bytes_read": context.request.generation.size_bytes,
        "fingerprints": list(fingerprints),
        "golden_digests": len(record.digests) if record else 0,
    }
    word, message = _warning(context, warning)
    if message:
        return failed(NAME, word, message, **details)
    is_file = not os.path.isdir(context.request.checkpoint.path)
    return passed(
        NAME, _summary(context.facts.format, fingerprints, record, is_file=is_file), **details
    )


def _missing_tensor(context: ScanContext) -> CheckResult | None:
    """Fail if a bundle lacks a tensor that its object graph lists."""
    bundles = context.planned.bundles if context.planned is not None else ()
    key = next((planned.absent for _, planned in bundles if planned.absent), "")
    if not key:
        return None
    return failed(
        NAME,
        "mixed_versions",
        f"Its graph of objects says that it holds {key!r}, and it does not: it was put together "
        "from parts, and cannot be restored whole.",
    )


def _warning(context: ScanContext, warning: str) -> tuple[str, str]:
    """Return word and message of a warning on content whose checksums all match; empty if none."""
    if context.uncertain:
        return "not_readable", context.uncertain
    return "golden_unbound", warning


def _bit_rot(contents: Contents) -> CheckResult:
    problems = f" {_several(contents.problems)}" if contents.problems else ""
    return failed(
        NAME,
        "bit_rot",
        "Its bytes differ from those that were read before, although none of its files was "
        f"written or touched since.{problems}",
    )


def _directory_checksum(path: str, format: Format) -> str:
    """Return the checksum of the JSON files of Keras's directory; empty for other formats."""
    is_directory = format is Format.KERAS and os.path.isdir(path)
    return binding.content_of(path, format) if is_directory else ""


def _difference(record: Golden, contents: Contents, text: str) -> CheckResult | None:
    """Fail if what is stored differs from what the golden record has; None if it does not."""
    missing = unmatched(record.digests, contents.tensors)
    if missing:
        return _digest_mismatch(missing, len(record.digests))
    if text and record.content not in ("", text):
        return failed(NAME, "checksum_mismatch", _CHANGED_AROUND_WEIGHTS)
    if contents.crc32 is not None and record.content != binding.named(contents.crc32):
        return failed(NAME, "checksum_mismatch", _CHANGED_AROUND_WEIGHTS)
    return None


def unmatched(digests: tuple[Digest, ...], tensors: tuple[TensorStats, ...]) -> tuple[Digest, ...]:
    """Find recorded variables that are not stored as often as they were recorded."""
    stored = Counter((t.dtype, t.shape, t.crc32) for t in tensors)
    missing = []
    for digest in digests:
        keys = [(kind, tuple(digest.shape), digest.crc32) for kind in _kinds(digest.dtype)]
        key = next((key for key in keys if stored[key]), None)
        if key is None:
            missing.append(digest)
        else:
            stored[key] -= 1
    return tuple(missing)


def _kinds(dtype: str) -> tuple[str, ...]:
    """Return how a type may be stored: HDF5 has no name for some, and keeps only their bytes."""
    size = item_size(dtype)
    return (dtype, f"void{8 * size}") if size and not hasattr(np, dtype) else (dtype,)


def _totals(contents: Contents) -> dict[str, object]:
    weights = [t for t in contents.tensors if t.role == MODEL]
    # An exported model keeps a variable under several paths: "dense/kernel (variables/0)".
    once = {(t.name.split(" (")[0], t.dtype, t.shape, t.crc32): t for t in weights}.values()
    squares = [
        t.sum_of_squares
        for t in once
        if t.sum_of_squares is not None and t.dtype.startswith(_FLOATING)
    ]
    return {
        "parameter_count": sum(t.count for t in once),
        "non_finite_values": sum(t.nan + t.inf for t in weights),
        "weight_norm": sum(squares) ** 0.5 if squares else None,
        "tensors": baseline.pack(contents.tensors),
    }


def _several(problems: Sequence[Problem]) -> str:
    shown = " ".join(p.message for p in problems[:_SHOWN])
    rest = len(problems) - _SHOWN
    return f"{shown} And {rest} more." if rest > 0 else shown


def _fingerprint(context: ScanContext) -> CheckResult | tuple[str, ...]:
    names = {m.name for m in context.request.generation.members}
    if context.facts.format is not Format.SAVEDMODEL or "/fingerprint.pb" not in names:
        return ()
    try:
        compared = fingerprint.compare(
            context.request.checkpoint.path, context.facts.writer.partition(" ")[2]
        )
    except FormatError as error:
        return failed(
            NAME,
            "checksum_mismatch",
            f"fingerprint.pb or saved_model.pb is damaged: {error.message}",
        )
    if "checkpoint_hash" in compared.differing:
        return failed(
            NAME,
            "mixed_versions",
            "The variables are not those that the model was saved with: variables/variables.index "
            "is not the one that fingerprint.pb was made for.",
            differing=list(compared.differing),
        )
    if compared.differing:
        return failed(
            NAME,
            "checksum_mismatch",
            "saved_model.pb is not the one that fingerprint.pb was made for: its bytes changed "
            "after the save, or it comes from another one.",
            differing=list(compared.differing),
        )
    return compared.matching


def _golden(context: ScanContext) -> tuple[Golden | None, str]:
    """Return the golden record if it belongs to this save, else a message why it is not used."""
    checkpoint = context.request.checkpoint
    where = golden.path_for(checkpoint.path, context.facts.format)
    if not os.path.isfile(where):  # a pipe would block; a name may be too long
        return None, ""
    try:
        record = golden.read(where)
    except FileNotFoundError:
        return None, ""
    except golden.GoldenError as error:
        return None, f"The golden record cannot be used: {error}"
    bound = golden.binding_of(checkpoint.path, context.facts.format)
    if not record.binding or record.binding != bound:
        return None, (
            "The golden record beside it belongs to another save and is not used: "
            "save through GoldenCheckpoint, or remove the record."
        )
    return record, ""


def _digest_mismatch(missing: tuple[Digest, ...], recorded: int) -> CheckResult:
    names = ", ".join(d.name for d in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return failed(
        NAME,
        "digest_mismatch",
        f"{names}{more}: not stored as the training job held it "
        f"({len(missing)} of {recorded} recorded variables).",
        missing=[d.name for d in missing],
    )


def _summary(
    format: Format,
    fingerprints: tuple[str, ...],
    record: Golden | None,
    *,
    is_file: bool,
) -> str:
    sentences = ["Every byte was read."]
    spec = spec_of(format)
    if (spec is None or spec.has_checksums) and (is_file or format is not Format.KERAS):
        sentences = ["Every stored checksum holds."]
    elif record is None or not record.digests:
        sentences.append("HDF5 stores no checksums: a golden record would show a flipped bit.")
    if fingerprints:
        sentences.append("The fingerprint matches.")
    if record is not None and record.digests:
        sentences.append(f"All {len(record.digests)} digests of the golden record match.")
    return " ".join(sentences)
