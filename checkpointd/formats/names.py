"""What names mean: temporary names of known writers, companions, and hints about the format.

Only a writer's exact pattern is ignored. A user's folder called `tmp` is a folder.
"""

from __future__ import annotations

import re

from checkpointd.core.format_specs import FORMATS, GOLDEN_SUFFIX, Format, spec_of
from checkpointd.formats import state_file

TRASH = ".checkpointd-trash"
"""Where pruned checkpoints wait; never walked."""

FORMER_VAULT = ".checkpointd-vault"
"""Where older versions kept copies of paths that are overwritten; never walked."""

ROOT_RECORDS = ".checkpointd"
"""Where a root holds copies of its pins, whose ledger it has, and the vault; never walked."""

OWN_DIRECTORIES = (TRASH, FORMER_VAULT, ROOT_RECORDS)
"""What checkpointd itself keeps in a root."""

GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
"""What makes a directory a SavedModel: TF 1 and 2, TF 1's text form, TF 2's image format."""

BUNDLE_PART = re.compile(r"(?s)(?P<prefix>.*)\.(?:index|data-(?P<shard>\d{5})-of-(?P<of>\d{5}))")
"""One file of a tensor bundle (tensorflow/core/util/tensor_bundle/naming.cc)."""

CALLED_SO = re.compile(r"(?i)ckpt|checkpoint|^variables$|^cp[-_.]?\d")
"""How prefixes of checkpoints are called, and hardly anything else."""

KERAS_CONFIG, KERAS_METADATA = "config.json", "metadata.json"
KERAS_WEIGHTS = ("model.weights.h5", "model.weights.npz")
"""What `save(path, zipped=False)` of Keras 3 puts into its directory, beside `assets/`."""

STATE_FILE = state_file.NAME
"""What a training job's manager writes beside its checkpoints."""

META_GRAPH = ".meta"
"""What TF 1's Saver adds to a prefix after its index: the graph; part of the checkpoint."""

WEIGHTS_MAP = ".weights.json"
"""The end of the name of Keras 3's map of sharded weights."""

_TEMPORARY_FILES = re.compile(
    r"""(?sx)
      .+\.tempstate\d+                                # tensor bundle: a shard or an index
    | .+\.tmp[0-9a-f]{32}                             # TensorFlow: graph, fingerprint, state file
    | \.checkpointd-tmp-.+                            # checkpointd.training
    | \.goutputstream-[A-Za-z0-9]{6}                  # GIO
    | \..+\.[A-Za-z0-9]{6}                            # rsync
    | .+\.[0-9a-z]{8}\.partial                        # rclone
    | .+_\.gstmp                                      # gsutil
    | \.nfs[0-9a-f]{16,}                              # NFS: removed while open
    | \.fuse_hidden[0-9a-f]{16,}                      # FUSE: the same
    """
)
_TEMPORARY_DIRECTORIES = re.compile(
    r"""(?sx)
      .+\.orbax-checkpoint-tmp(?:-\d+)?               # Orbax
    | \.checkpointd-tmp-.+                            # checkpointd.training
    | \.~tmp~                                         # rsync --delay-updates
    | \.rsync-partial
    """
)
_BUNDLE_TEMPORARY_DIRECTORY = re.compile(r"(?s).+_temp(?:_[0-9a-f]{32})?")
_BUNDLE_TEMPORARY_PART = re.compile(r"part-\d{5}-of-\d{5}(?:\..+)?")
_KERAS_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}")
_PERHAPS_TEMPORARY = re.compile(r"\A(?:\.|part-|model\.)|tmp|\.tempstate|\.partial\Z")
"""What every name of a temporary file has: one test for the very many that are none."""


def belongs(name: str, format: Format) -> bool:
    """Return whether a name at the top of a checkpoint's directory is a part of that checkpoint.

    Everything else there is somebody else's: another checkpoint, or a file of the user's.

    Args:
        name: the base name of a file or directory.
        format: the checkpoint's, one that can be a directory.
    """
    spec = spec_of(format)
    if spec is None or name in spec.parts:
        return spec is not None
    patterns = spec.part_patterns if hint_of(name) is Format.UNKNOWN else ()
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def is_temporary_member(name: str, directory: str) -> bool:
    """Return whether a known writer uses such a name inside a checkpoint that it has not finished.

    Args:
        name: the file's base name.
        directory: the base name of the directory that contains it.
    """
    if _TEMPORARY_FILES.fullmatch(name):
        return True
    if _BUNDLE_TEMPORARY_PART.fullmatch(name):
        return _BUNDLE_TEMPORARY_DIRECTORY.fullmatch(directory) is not None
    return False


def is_temporary_file(name: str, directory: str) -> bool:
    """Do the same for a file among checkpoints, where Keras 3 leaves its temporary files.

    A low-memory save makes a file called as Python's `tempfile` does, a low-memory load unpacks
    the weights into a directory called so. Inside a SavedModel such a name is a user's asset.
    """
    if _PERHAPS_TEMPORARY.search(name) is None:
        return False
    if is_temporary_member(name, directory) or _KERAS_TEMPORARY.fullmatch(name):
        return True
    return name == "model.weights.h5" and _KERAS_TEMPORARY.fullmatch(directory) is not None


def is_temporary_directory(name: str) -> bool:
    """Return whether a directory is checkpointd's, or a known writer's that is not finished."""
    return name in OWN_DIRECTORIES or _TEMPORARY_DIRECTORIES.fullmatch(name) is not None


def is_left_out(name: str, directory: str, *, is_directory: bool) -> bool:
    """Return whether something below a part of a SavedModel belongs to no generation of it.

    Every other regular file, and every link to one, is a member where `belongs` is true of what
    contains it; so code that compares a directory with a generation leaves out exactly what these
    two name, and treats nothing else as foreign.

    A sub-directory is left out with all below it when its base name is, as a whole and with the
    case that is written here (X+ is any text that is not empty, newlines included):

    - `.checkpointd`, `.checkpointd-trash`, `.checkpointd-vault`, `.checkpointd-tmp-X+`,
    - `X+.orbax-checkpoint-tmp` or `X+.orbax-checkpoint-tmp-<digits>` (Orbax),
    - `.~tmp~` or `.rsync-partial` (rsync).

    Anything else (file, link, pipe) is left out when its base name is

    - `X+.tempstate<digits>` or `X+.tmp<32 of 0-9a-f>` (TensorFlow),
    - `.checkpointd-tmp-X+`,
    - `.goutputstream-<6 of A-Za-z0-9>` (GIO),
    - `.X+.<6 of A-Za-z0-9>` (rsync),
    - `X+.<8 of 0-9a-z>.partial` (rclone),
    - `X+_.gstmp` (gsutil),
    - `.nfs<16 or more of 0-9a-f>` (NFS), `.fuse_hidden<16 or more of 0-9a-f>` (FUSE),
    - `part-<5 digits>-of-<5 digits>`, with or without `.` and one line of text after it, where
      the containing directory is called `X+_temp` or `X+_temp_<32 of 0-9a-f>` (TensorFlow).

    Pipes, sockets, devices, links to directories and links that lead nowhere are no members
    either, whatever they are called.

    Args:
        name: its base name.
        directory: the base name of the directory that contains it; at the top the SavedModel's.
        is_directory: whether it is a directory itself, and no link to one.
    """
    if is_directory:
        return is_temporary_directory(name)
    return is_temporary_member(name, directory)


def is_companion(name: str) -> bool:
    """Whether a file belongs to checkpoints without being one: a state file or a golden record."""
    return name == STATE_FILE or name.endswith(GOLDEN_SUFFIX)


def hint_of(name: str) -> Format:
    """Return what the extension promises; UNKNOWN when it promises nothing."""
    lowered = name.lower()
    for ending, promised in _ENDINGS.get(lowered[lowered.rfind(".") :], ()):
        if lowered.endswith(ending):
            return promised
    return Format.UNKNOWN


def _endings() -> dict[str, list[tuple[str, Format]]]:
    """The endings of names with the format that each promises, the longest first.

    By what follows the last dot: there may be very many names.
    """
    by_ending: dict[str, list[tuple[str, Format]]] = {}
    for ending, promised in ((end, spec.name) for spec in FORMATS for end in spec.endings):
        by_ending.setdefault(ending[ending.rfind(".") :], []).append((ending, promised))
    return {last: sorted(pairs, key=lambda p: -len(p[0])) for last, pairs in by_ending.items()}


_ENDINGS = _endings()
