"""The formats of checkpoints, one row each: to add a format, write its module and add its row.

Functions are named as `module:function` and imported where they are called, so that this table
can be read everywhere.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

GOLDEN_SUFFIX = ".golden.npz"
"""What is appended to the name of a file or a prefix for its golden record."""

GOLDEN_DIRECTORY, GOLDEN_NAME = "assets.extra", "golden.npz"
"""Where the golden record of a checkpoint that is a directory is, inside it."""


class Format(str):
    """How a checkpoint is laid out on disk, by the name that reports and metrics give it.

    There is one object for each name, so formats are compared with `is`.
    """

    __slots__ = ()

    SAVEDMODEL: ClassVar[Format]
    KERAS: ClassVar[Format]
    HDF5: ClassVar[Format]
    HDF5_WEIGHTS: ClassVar[Format]
    TF_CHECKPOINT: ClassVar[Format]
    UNKNOWN: ClassVar[Format]

    def __new__(cls, name: str) -> Format:  # noqa: PYI034 - the one object of that name
        """Return the format of a name.

        Raises:
            ValueError: no row has that name.
        """
        if name == _UNKNOWN:
            return cls.UNKNOWN
        for spec in FORMATS:
            if spec.name == name:
                return spec.name
        raise ValueError(f"{name!r} is not a valid Format")

    def __repr__(self) -> str:
        return f"<Format {self!s}>"

    def __reduce__(self) -> tuple[type[Format], tuple[str]]:
        return Format, (str(self),)

    def __copy__(self) -> Format:
        return self

    def __deepcopy__(self, _memo: object) -> Format:
        return self


def new_format(name: str) -> Format:
    """Make the one object of a format's name, for its row."""
    return str.__new__(Format, name)


@dataclass(frozen=True)
class FormatSpec:
    """One format.

    Attributes:
        name: in reports, metrics and the configuration.
        summary: what it is, for the documentation.
        recognised_by: what in a file or directory decides that it is of this format.
        complete_when: when its writer has finished.
        probe: `module:function` of `(found, storage) -> Probe`, which reads at most 4 KiB of a
            member.
        plan: `module:function` of `(path, generation) -> Plan`, which finds every tensor.
        endings: of names that promise this format, in lower case.
        signatures: with which a file of this format begins, whatever it is called.
        is_prefix: whether several files share a prefix, which is the checkpoint's path.
        directory_test: `module:function` of `(directory, entries, storage) -> bool`, where a
            directory can be such a checkpoint.
        parts: names at the top of such a directory that belong to the checkpoint.
        part_patterns: the same, as regular expressions, for names that promise no format.
        whole_model: whether it holds the model's structure, or weights alone.
        has_checksums: whether it stores checksums of its tensors.
        write_order: patterns of members' names, in the order in which they are written.
        deciding: a pattern of the member without which the others are not taken for one.
    """

    name: Format
    summary: str
    recognised_by: str
    complete_when: str
    probe: str
    plan: str
    endings: tuple[str, ...] = ()
    signatures: tuple[bytes, ...] = ()
    is_prefix: bool = False
    directory_test: str = ""
    parts: tuple[str, ...] = ()
    part_patterns: tuple[str, ...] = ()
    whole_model: bool = True
    has_checksums: bool = True
    write_order: tuple[str, ...] = ()
    deciding: str = ""


_UNKNOWN = "unknown"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"

Format.UNKNOWN = new_format(_UNKNOWN)
Format.SAVEDMODEL = new_format("savedmodel")
Format.KERAS = new_format("keras")
Format.HDF5 = new_format("hdf5")
Format.HDF5_WEIGHTS = new_format("hdf5_weights")
Format.TF_CHECKPOINT = new_format("tf_checkpoint")

FORMATS: list[FormatSpec] = [
    FormatSpec(
        name=Format.SAVEDMODEL,
        summary="SavedModel: TensorFlow 1 and 2, Keras 2, `export` of Keras 3",
        recognised_by="a directory with `saved_model.pb` or `saved_model.pbtxt`",
        complete_when=(
            "the footer of the variables' index and every shard are there with the sizes that the "
            "index names; `fingerprint.pb`, and `keras_metadata.pb` for Keras 2, have followed or "
            "are overdue"
        ),
        probe="checkpointd.formats.savedmodel:probe",
        plan="checkpointd.tensors.reading:plan_savedmodel",
        directory_test="checkpointd.formats.directories:is_savedmodel",
        parts=(
            *("variables", "assets", "assets.extra", "debug"),
            *("fingerprint.pb", "keras_metadata.pb", "saved_model.cpb"),
        ),
        part_patterns=(r"(?s)saved_model\.pb.*",),
        write_order=(
            r"(?s)/variables/variables\.data-\d{5}-of-\d{5}|/assets/.+",
            r"/variables/variables\.index",
            r"/saved_model\.pb(?:txt)?",
            r"/fingerprint\.pb",
            r"/keras_metadata\.pb",
        ),
        deciding=r"/saved_model\.pb(?:txt)?",
    ),
    FormatSpec(
        name=Format.KERAS,
        summary="`.keras` of Keras 3, zipped or as a directory (`zipped=False`); Keras 2.12 on",
        recognised_by="a zip archive, or a directory, with `config.json` and `metadata.json`",
        complete_when=(
            "the end of the archive's directory is there and every required member in it; in a "
            "directory `model.weights.h5` is whole"
        ),
        probe="checkpointd.formats.single_files:probe_keras",
        plan="checkpointd.tensors.reading:plan_keras",
        endings=(".keras",),
        signatures=(b"PK\x03\x04", b"PK\x05\x06"),
        directory_test="checkpointd.formats.directories:is_keras",
        parts=(
            *("config.json", "metadata.json", "model.weights.h5", "model.weights.npz"),
            *("assets", "assets.extra"),
        ),
        write_order=(r"/(?:metadata|config)\.json", r"/model\.weights\.(?:h5|npz)"),
        deciding=r"/config\.json",
    ),
    FormatSpec(
        name=Format.HDF5,
        summary="a whole model in HDF5: Keras 1, 2 and 3",
        recognised_by="an HDF5 file with the attribute `model_config`",
        complete_when="the superblock's end of file equals the file's size",
        probe="checkpointd.formats.single_files:probe_hdf5",
        plan="checkpointd.tensors.reading:plan_hdf5",
        endings=(".h5", ".hdf5"),
        signatures=(_SIGNATURE,),
        has_checksums=False,
    ),
    FormatSpec(
        name=Format.HDF5_WEIGHTS,
        summary="weights alone in HDF5 (`save_weights`), one file or sharded (`.weights.json`)",
        recognised_by="an HDF5 file with `layer_names`, or with Keras 3's groups `layers/…/vars`",
        complete_when="the superblock's end of file equals the file's size; every shard is there",
        probe="checkpointd.formats.single_files:probe_hdf5",
        plan="checkpointd.tensors.reading:plan_hdf5",
        endings=(".weights.h5", ".weights.json"),
        whole_model=False,
        has_checksums=False,
    ),
    FormatSpec(
        name=Format.TF_CHECKPOINT,
        summary="a checkpoint of `tf.train.Checkpoint`, or of TensorFlow 1's Saver",
        recognised_by="`PREFIX.index` and `PREFIX.data-*` with an object graph or named variables",
        complete_when="the index's footer and every shard are there with the sizes that it names",
        probe="checkpointd.formats.tf_checkpoint:probe",
        plan="checkpointd.tensors.reading:plan_tf_checkpoint",
        is_prefix=True,
        whole_model=False,
        write_order=(r"\.data-\d{5}-of-\d{5}", r"\.index", r"\.meta"),
        deciding=r"\.index",
    ),
]
"""Every format; a name promises the one with the longest ending that it has."""


def spec_of(format: Format) -> FormatSpec | None:
    """Return a format's row; None for `unknown`."""
    return next((spec for spec in FORMATS if spec.name is format), None)


def directory_specs() -> Iterable[FormatSpec]:
    """Return the formats whose checkpoints can be directories."""
    return (spec for spec in FORMATS if spec.directory_test)


@functools.cache
def function(reference: str) -> Callable[..., Any]:
    """Import what a row names.

    Args:
        reference: `module:function`.
    """
    module, _, name = reference.partition(":")
    imported: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return imported
