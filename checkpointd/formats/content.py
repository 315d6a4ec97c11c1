"""What a file is whose name promises a checkpoint and whose content is something else.

Sources of the first bytes: the formats' own specifications, file(1)'s magic, Git LFS's pointer
file, onnx.proto, tensorflow/core/framework/graph.proto.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable

from checkpointd.formats.facts import NOT_A_CHECKPOINT, PROBE_BYTES, TRUNCATED, FormatError
from checkpointd.formats.protobuf import read_varint

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.formats.storage import Storage

HEAD_BYTES = 512
"""How many bytes of a file are enough to recognise it."""

APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""What the files `._NAME` begin with that macOS leaves beside NAME on foreign disks."""

_FETCH = "the file itself was not fetched"
_PACKED = "unpack it"
_DOWNLOAD = "download the file again"
_UNQUOTED = "a text, which is not shown: it is behind a symbolic link"
_FIRST_BYTES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", f"packed by gzip: {_PACKED}"),
    (b"BZh", f"packed by bzip2: {_PACKED}"),
    (b"\xfd7zXZ\x00", f"packed by xz: {_PACKED}"),
    (b"\x28\xb5\x2f\xfd", f"packed by Zstandard: {_PACKED}"),
    (b"\x04\x22\x4d\x18", f"packed by LZ4: {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive: {_PACKED}"),
    (b"Rar!\x1a\x07", f"a RAR archive: {_PACKED}"),
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"GGUF", "a GGUF model of llama.cpp"),
    (b"PAR1", "a Parquet file"),
    (b"CDF\x01", "a NetCDF file"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x7fELF", "a program (ELF)"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"%PDF-", "a PDF document"),
    (APPLE_DOUBLE, "what macOS keeps beside a file (AppleDouble), not the file itself"),
)
_TFLITE = b"TFL3"
_TAR, _TAR_AT = b"ustar", 257
_PICKLES = (b"\x02", b"\x03", b"\x04", b"\x05")
_MAX_HEADER = 100 << 20
_LFS = ("version https://git-lfs.github.com/", "version https://hawser.github.com/")
_MARKUP = ("<!doctype html", "<html", "<head", "<body")
_TEXTS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (
        lambda text: text.startswith(_LFS),
        f"a Git LFS pointer, {_FETCH}: run `git lfs pull`",
    ),
    (
        lambda text: "annex/objects/" in text and "\n" not in text,
        f"a git-annex pointer, {_FETCH}: run `git annex get`",
    ),
    (
        lambda text: text.startswith("outs:") and "md5:" in text,
        f"a DVC file, {_FETCH}: run `dvc pull`",
    ),
    (
        lambda text: text.startswith(_MARKUP) or (text.startswith("<?xml") and "<html" in text),
        "an HTML page, as a server sends when it wants a login or has no more downloads to give: "
        + _DOWNLOAD,
    ),
    (
        lambda text: text.startswith(("<?xml", "<error")),
        f"an XML document, as an object store sends to report an error: {_DOWNLOAD}",
    ),
)
_ERRORS = ('"error', '"message"', '"detail"')
_REFUSALS = ("not found", "invalid username", "denied", "forbidden", "unauthorized", "too many re")
_ARCHIVES: tuple[tuple[Callable[[list[str]], bool], str], ...] = (
    (lambda names: any(n.rpartition("/")[2] == "data.pkl" for n in names), "a PyTorch file"),
    (lambda names: "[Content_Types].xml" in names, "a document of an office suite"),
    (lambda names: all(n.endswith(".npy") for n in names), "a NumPy archive (.npz)"),
)
_MODELS = (".keras", "saved_model.pb", ".h5", ".hdf5", ".index", ".onnx", ".tflite")
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")
_SHOWN = 60


@dataclass(frozen=True)
class Content:
    """What a file is: a clause after "it is", empty if nothing is known of its beginning.

    `stand_in`: it is in the place of a file that was not fetched, whatever that file was.
    """

    description: str = ""
    stand_in: bool = False


def of(head: bytes, path: str = "") -> Content:
    """Return what a file is by its first bytes.

    Args:
        head: HEAD_BYTES of it, or all of a shorter one.
        path: the file. Text behind a symbolic link is not quoted: whoever made the link may not
            be allowed to read it.
    """
    text = _text(head)
    if text is not None:
        content = _of_text(text)
        return replace(content, description=_UNQUOTED) if _is_quoted(content, path) else content
    description = next(
        (description for magic, description in _FIRST_BYTES if head.startswith(magic)), ""
    )
    return Content(description or _by_place(head) or _of_message(head))


def of_file(path: str, storage: Storage, read: int = 0) -> Content:
    """Return what a file is by its first bytes, which are read here.

    Args:
        path: the file.
        storage: where it is stored.
        read: how many bytes a probe has read of it already.

    Raises:
        OSError: it cannot be read.
    """
    return of(storage.pread(path, 0, max(0, min(HEAD_BYTES, PROBE_BYTES - read))), path)


def explain_unreadable(error: FormatError, path: str, called: str, storage: Storage) -> FormatError:
    """Explain why a part of a checkpoint cannot be read as what its name promises.

    Args:
        error: why it could not be read: it is kept where the content explains nothing better.
        path: the part.
        called: what to call it.
        storage: where it is stored.

    Raises:
        OSError: it cannot be read.
    """
    head = storage.pread(path, 0, HEAD_BYTES)
    if head and not head.strip(b"\0"):
        return FormatError(
            TRUNCATED,
            f"{called} begins with {len(head)} bytes of zero: it is not written yet, or a crash of "
            "the machine lost it.",
        )
    content = of(head, path)
    return not_a_checkpoint(called, content) if content.description else error


def not_a_checkpoint(called: str, content: Content) -> FormatError:
    """Return the error about something that is not what its name promises."""
    return FormatError(NOT_A_CHECKPOINT, f"{called} is {content.description}.")


def of_archive(names: Collection[str]) -> str:
    """Return what a zip archive is that is no Keras model, by the names in it; as in `Content`."""
    files = sorted(n for n in names if not n.endswith("/") and not n.startswith("__MACOSX/"))
    for is_meant, description in _ARCHIVES:
        if files and is_meant(files):
            return description
    deep = next((n for n in files if n.endswith("/config.json")), "")
    folder = deep.rpartition("/")[0]
    if deep and any(n.startswith(f"{folder}/model.weights.") for n in files):
        return (
            f"a zip archive that holds the model one folder too deep, in {folder + '/'!r}: zip "
            "what is in that folder, not the folder"
        )
    held = next((n for ending in _MODELS for n in files if n.endswith(ending)), "")
    if held:
        return f"a zip archive around {held[-_SHOWN:]!r}: {_PACKED}"
    more = f" and {len(files) - 2} more" if len(files) > 2 else ""  # noqa: PLR2004 - two are named
    shown = ", ".join(repr(n[-_SHOWN:]) for n in files[:2])
    return f"a zip archive of other files ({shown or 'none'}{more})"


def _by_place(head: bytes) -> str:
    """Return what a file is by marks other than its first bytes."""
    header = int.from_bytes(head[:8], "little")
    marks = (
        (head[4:8] == _TFLITE, "a TensorFlow Lite model, which only TensorFlow Lite runs"),
        (head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR, f"a tar archive: {_PACKED}"),
        (head[8:10] == b'{"' and header < _MAX_HEADER, "a safetensors file"),
        (
            head[:1] == b"\x80" and head[1:2] in _PICKLES,
            "a Python pickle, which no loader of TensorFlow or Keras reads",
        ),
    )
    return next((description for applies, description in marks if applies), "")


def _text(head: bytes) -> str | None:
    """Read the beginning of a text; None if it is none, or empty."""
    if not _CONTROL.isdisjoint(head):
        return None
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character is cut
            return None
        text = head[: error.start].decode("utf-8-sig")
    return text.strip() or None


def _is_quoted(content: Content, path: str) -> bool:
    """Whether the description of a text quotes what is behind a symbolic link."""
    fixed = any(content.description == description for _, description in _TEXTS)
    return not fixed and os.path.islink(path)


def _of_text(text: str) -> Content:
    """Return which text it is, and whether it stands for a file that was not fetched."""
    lowered = text.lower()
    for is_meant, description in _TEXTS:
        if is_meant(lowered):
            return Content(description, stand_in=True)
    shown = repr(text.splitlines()[0][:_SHOWN])
    if text[0] in "{[":
        failed = any(word in lowered for word in _ERRORS)
        why = f", as a server sends to report an error: {_DOWNLOAD}" if failed else ""
        return Content(f"a JSON text ({shown}){why}", stand_in=failed)
    if "\n" not in text and len(text) <= _SHOWN and any(word in lowered for word in _REFUSALS):
        why = f"as a server sends to report an error: {_DOWNLOAD}"
        return Content(f"a line of text ({shown}), {why}")
    return Content(f"a text that begins with {shown}")


def _of_message(head: bytes) -> str:
    """Return which protocol buffer it is, by its first two fields."""
    first = _field(head, 0)
    if first is None:
        return ""
    number, inside, end = first
    if number == 1 and inside is not None and _is_node(inside):
        return (
            "a graph without variables (a frozen GraphDef), no SavedModel: convert it with "
            "tf.compat.v1.saved_model, or load it with tf.compat.v1.import_graph_def"
        )
    second = _field(head, end)
    if number == 1 and inside is None and second is not None:
        number, name, _ = second
        if number == 2 and name and name.isascii() and name.decode("ascii").isprintable():  # noqa: PLR2004 - ModelProto.producer_name
            return "an ONNX model"
    return ""


def _is_node(message: bytes) -> bool:
    """Whether a message begins as a NodeDef does: with its name, then its op."""
    name = _field(message, 0)
    op = _field(message, name[2]) if name is not None else None
    if name is None or op is None or (name[0], op[0]) != (1, 2):
        return False
    return all(part and part.isascii() and part.decode().isprintable() for part in (name[1], op[1]))


def _field(data: bytes, at: int) -> tuple[int, bytes | None, int] | None:
    """Read a field of at most 15: its number, its content if it has a length, and where it ends."""
    if at >= len(data) or data[at] >= 0x80 or data[at] & 7 not in (0, 2):  # noqa: PLR2004 - varint, length
        return None
    number, kind = data[at] >> 3, data[at] & 7
    try:
        value, at = read_varint(data, at + 1)
    except FormatError:
        return None
    return (number, data[at : at + value], at + value) if kind else (number, None, at)
