"""One checkpoint of any format: chooses the container, and reads every member once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, function, spec_of
from checkpointd.formats import FormatError, keras_directory, member_path, sharded, tf1_format
from checkpointd.formats.facts import UNSUPPORTED
from checkpointd.formats.names import KERAS_CONFIG, KERAS_METADATA
from checkpointd.tensors import Contents, MemberDigest, MembersRead, TensorSpec, bundle, combine

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation
    from checkpointd.tensors import TensorStats, hdf5, keras_zip

VARIABLES = "/variables/variables"
"""Where a SavedModel's bundle is in its directory."""

_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True)
class ReadPlan:
    """A checkpoint ready to be read.

    `format` is what its content is: HDF5 or HDF5_WEIGHTS, and UNKNOWN for what is no model's.
    `others` are the members that hold no tensors; their bytes count for the digest.
    `arrays_bytes` is what arrays of NumPy among them unpack to.
    """

    path: str
    format: Format
    bundles: tuple[tuple[str, bundle.BundlePlan], ...] = ()
    files: tuple[tuple[str, hdf5.HDF5Plan], ...] = ()
    archive: keras_zip.ArchivePlan | None = None
    others: tuple[str, ...] = ()
    arrays_bytes: int = 0

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors in it."""
        found = [s for _, p in self.bundles for s in p.specs]
        found += [s for _, p in self.files for s in p.specs]
        return (*found, *(self.archive.specs if self.archive else ()))

    @property
    def layouts(self) -> tuple[tuple[str, hdf5.Layout], ...]:
        """What the HDF5 files in it hold, each with its name, empty for the checkpoint itself."""
        inside = self.archive.inside if self.archive else ()
        return (
            *((name.removeprefix("/../").lstrip("/"), p.layout) for name, p in self.files),
            *((i.member.name, i.layout) for i in inside),
        )

    @property
    def unpacked_bytes(self) -> int:
        """What it would take in memory: its tensors, and what its archive unpacks to."""
        tensors = sum(s.size_bytes for s in self.specs)
        tensors += self.arrays_bytes
        return max(tensors, self.archive.unpacked_bytes if self.archive else 0)

    @property
    def filters(self) -> tuple[str, ...]:
        """The HDF5 filters that would have to be loaded to read its values."""
        return tuple(sorted({name for _, layout in self.layouts for name in layout.filters}))

    def close(self) -> None:
        """Delete the temporary files; the plan cannot be read any more."""
        if self.archive is not None:
            self.archive.close()


def plan(path: str, format: Format, generation: Generation) -> ReadPlan:
    """Find out where every tensor of a checkpoint is.

    Args:
        path: of the checkpoint.
        format: as names and the probe have it; what is unknown is read as HDF5.
        generation: its members.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    spec = spec_of(format)
    if spec is None:
        return plan_hdf5(path, generation)
    planned: ReadPlan = function(spec.plan)(path, generation)
    return planned


def plan_savedmodel(path: str, generation: Generation) -> ReadPlan:
    """Plan a SavedModel: the bundle of its variables, if it has any.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    return _with_bundle(path, Format.SAVEDMODEL, VARIABLES, generation)


def plan_tf_checkpoint(path: str, generation: Generation) -> ReadPlan:
    """Plan a bundle of tensors.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    if tf1_format.is_alone(generation):
        raise FormatError(UNSUPPORTED, tf1_format.MESSAGE)
    return _with_bundle(path, Format.TF_CHECKPOINT, "", generation)


def plan_keras(path: str, generation: Generation) -> ReadPlan:
    """Plan a `.keras` archive, or Keras's directory.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    if keras_directory.is_one(generation):
        return _of_directory(path, tuple(m.name for m in generation.members))
    from checkpointd.tensors import keras_zip

    return ReadPlan(path, Format.KERAS, archive=keras_zip.plan(path))


def plan_hdf5(path: str, generation: Generation) -> ReadPlan:
    """Plan HDF5 files: the content decides whether it is a model, weights, or neither.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    from checkpointd.tensors import hdf5

    names = tuple(m.name for m in generation.members)
    places = _shards_of(path, names) if path.endswith(sharded.EXTENSION) else {}
    files = tuple(
        (name, hdf5.plan(member_path(path, name)))
        for name in names
        if not member_path(path, name).endswith(".json")
    )
    for name, planned in files:
        _check_shard(name.removeprefix("/../"), planned, places)
    kinds = {p.layout.kind for _, p in files}
    kind = Format.HDF5_WEIGHTS if kinds else Format.UNKNOWN
    if kinds == {"model"}:
        kind = Format.HDF5
    elif "" in kinds:
        kind = Format.UNKNOWN
    taken = {name for name, _ in files}
    return ReadPlan(path, kind, files=files, others=tuple(n for n in names if n not in taken))


def _of_directory(path: str, names: tuple[str, ...]) -> ReadPlan:
    """Plan to read what Keras saved with `zipped=False`; arrays of NumPy are not looked into.

    Raises:
        FormatError: a part of it is broken.
        OSError: it could not be read.
    """
    for name in (KERAS_CONFIG, KERAS_METADATA):
        keras_directory.read_json(path, name)
    weights = f"/{keras_directory.weights_of(name[1:] for name in names)}"
    others = tuple(name for name in names if name != weights)
    if weights.endswith(".npz"):
        from checkpointd.tensors import npz
        from checkpointd.tensors.source import opened
        from checkpointd.tensors.window import Window

        with opened(path + weights) as source:
            unpacked = npz.array_bytes(Window(source, 0, source.size), weights[1:])
        return ReadPlan(path, Format.KERAS, others=names, arrays_bytes=unpacked)
    from checkpointd.tensors import hdf5

    files = ((weights, hdf5.plan(path + weights)),)
    return ReadPlan(path, Format.KERAS, files=files, others=others)


def _shards_of(path: str, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return what a map gives to each shard; a probe cannot read a long one.

    Raises:
        FormatError: a shard is missing, or the map is none.
    """
    places = sharded.read_places(path)
    for name in sorted(places):
        if not sharded.leaves(name) and f"/../{name}" not in names:
            raise FormatError("missing_member", f"The shard {name!r} is not there.")
    return places


def _check_shard(name: str, planned: hdf5.HDF5Plan, places: dict[str, list[str]]) -> None:
    """See that a shard holds any of what the map gives to it: Keras looks nowhere else.

    Raises:
        FormatError: it holds tensors, and none of these.
    """
    expected = places.get(name, [])
    held = [spec.key.strip("/") for spec in planned.specs]
    if not expected or not held:
        return
    if not any(key == place or key.startswith(f"{place}/") for key in held for place in expected):
        raise FormatError(
            "malformed",
            f"The shard {name!r} holds none of the weights that the map gives to it, such as "
            f"{expected[0]!r}, but {held[0]!r}: it was exchanged with another shard, or is of "
            "another save. Copy the map and all its shards again, from one save.",
        )


def read(planned: ReadPlan, *, with_crc32: bool = False) -> Contents:
    """Read every member of a checkpoint, once.

    Args:
        planned: what is where.
        with_crc32: take zlib's CRC-32 of a checkpoint that is one HDF5 file.

    Raises:
        OSError: it could not be read.
    """
    tensors: list[TensorStats] = []
    founds: list[MembersRead] = []
    for prefix, part in planned.bundles:
        stats, found = bundle.read(part, prefix)
        tensors.extend(stats)
        founds.append(found)
    if planned.files:
        from checkpointd.tensors import hdf5

        for name, file in planned.files:
            stats, found = hdf5.read(file, name, with_crc32=with_crc32)
            tensors.extend(stats)
            founds.append(found)
    if planned.archive is not None:
        from checkpointd.tensors import keras_zip

        stats, found = keras_zip.read(planned.archive)
        tensors.extend(stats)
        founds.append(found)
    members: list[MemberDigest] = [m for f in founds for m in f.members]
    members += [
        bundle.checksum_of(member_path(planned.path, name), name) for name in planned.others
    ]
    problems = tuple(p for f in founds for p in f.problems)
    alone = members[0].crc32 if len(members) == 1 else None
    return Contents(tuple(tensors), combine(members), problems, alone)


def _with_bundle(path: str, format: Format, prefix: str, generation: Generation) -> ReadPlan:
    sizes: dict[int, dict[int, int]] = {}  # by how many shards a save has: an older one's may stay
    read_by_bundle = set()
    for member in generation.members:
        rest = member.name[len(prefix) :] if member.name.startswith(prefix) else ""
        shard = _SHARD.fullmatch(rest)
        if shard is not None:
            sizes.setdefault(int(shard.group(2)), {})[int(shard.group(1))] = member.size
            read_by_bundle.add(member.name)
        elif rest == ".index":
            read_by_bundle.add(member.name)
    if not read_by_bundle:
        if format is Format.TF_CHECKPOINT:
            raise FormatError("missing_member", "The checkpoint's .index file is not there.")
        return ReadPlan(path, format, others=tuple(m.name for m in generation.members))
    planned = bundle.plan(path + prefix, sizes)
    named = {f"{prefix}.index"} | {
        f"{prefix}.data-{i:05d}-of-{planned.index.num_shards:05d}"
        for i in range(planned.index.num_shards)
    }
    others = tuple(m.name for m in generation.members if m.name not in named)
    return ReadPlan(path, format, bundles=((prefix, planned),), others=others)
