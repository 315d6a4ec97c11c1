"""TensorFlow's `checkpoint` state file: which checkpoints a training job's manager keeps.

Source: `CheckpointState` in tensorflow/python/training/checkpoint_state.proto, as protobuf's text
format. What TensorFlow's own parser refuses is refused here too, but paths need not be UTF-8.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "checkpoint"
"""How the file is called, unless a Saver was given another `latest_filename`."""

_LATEST = b"model_checkpoint_path"
_ALL = b"all_model_checkpoint_paths"
_TIMES = b"all_model_checkpoint_timestamps"
_PRESERVED = b"last_preserved_timestamp"

_SPACE = rb"(?:[ \t\r\n\f\v\x1c-\x1f]|\#[^\n]*)*"
_TOKEN = re.compile(
    _SPACE
    + rb"""(?:
        (?P<string> "[^"\\\n]*(?:\\[^\n][^"\\\n]*)*" | '[^'\\\n]*(?:\\[^\n][^'\\\n]*)*' )
      | (?P<word> [A-Za-z0-9_+.-]+ )
      | (?P<mark> [\[\]:,;] )
      | (?P<end> \Z )
    )""",
    re.VERBOSE,
)
_FIRST_FIELD = re.compile(
    _SPACE
    + rb"(?:(?:all_)?model_checkpoint_(?:paths?|timestamps)|last_preserved_timestamp)\s*[:\[]"
)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f"}
_LETTERS.update({b"v": b"\v", b"\\": b"\\", b"'": b"'", b'"': b'"'})
_NUMBERED = re.compile(r"(?s)(.+-)[0-9]+\Z")
_OTHER_DATA = re.compile(
    rb"PK\x03\x04|\x89HDF\r\n|\x80[\x02-\x05]|\x93NUMPY|\x1f\x8b|\x28\xb5\x2f\xfd|\xfd7zXZ\x00|BZh"
)
"""How other things begin: zip (PyTorch, Keras), HDF5, pickle, NumPy, gzip, zstd, xz, bzip2."""


class StateFileError(ValueError):
    """A file is no state file, or has been cut off; the message says what is wrong."""


@dataclass(frozen=True)
class CheckpointState:
    """What a state file says, with the paths as they stand in it.

    `latest` is what training would resume from, `paths` everything that the job's manager keeps,
    oldest first; `timestamps` are their save times in seconds since the epoch, if it has them.
    `is_cut_off`: its end is missing, because TensorFlow writes the latest first, and once more at
    the end of the list.
    """

    latest: str
    paths: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()
    is_cut_off: bool = False


def parse(data: bytes) -> CheckpointState:
    """Parse the contents of a state file.

    Raises:
        StateFileError: TensorFlow would not resume from it.
    """
    latest, paths, times = "", list[str](), list[float]()
    latest_is_first = False
    for name, value in _fields(data):
        if name == _LATEST:
            latest = value
            latest_is_first = not paths
        elif name == _ALL:
            paths.append(value)
        else:
            times.append(value)
    if not latest:
        raise StateFileError("it is empty" if not data.strip() else "it names no latest one")
    is_cut_off = latest_is_first and bool(paths) and latest not in paths
    timestamps = tuple(times) if len(times) == len(paths) else ()
    return CheckpointState(latest, tuple(paths), timestamps, is_cut_off)


def begins_like_one(data: bytes) -> bool:
    """Whether data begins with a field of a state file, whatever comes after it."""
    return _FIRST_FIELD.match(data) is not None


def is_other_data(data: bytes) -> bool:
    """Whether a file of this name is clearly no state file, as its first bytes show."""
    return _OTHER_DATA.match(data) is not None


def stems(data: bytes) -> frozenset[str]:
    """What the names of the listed checkpoints begin with, up to the number: `weights-`.

    This is how the job itself declares `weights-7` and `weights-12` to be versions of one model.
    Of a file that is cut off, what is before that counts.
    """
    names_of_state = set[str]()
    try:
        for name, value in _fields(data):
            if name in (_LATEST, _ALL) and (match := _NUMBERED.match(os.path.basename(value))):
                names_of_state.add(match[1])
    except StateFileError:
        pass
    return frozenset(names_of_state)


def _fields(data: bytes) -> Iterator[tuple[bytes, Any]]:
    """Each value of the fields that are known, with the field's name, in the file's order."""
    tokens = _Tokens(data)
    while tokens.kind != "end":
        name = tokens.take("word")
        tokens.take("mark", b":")
        if name in (_LATEST, _ALL):
            for value in tokens.values(_string, is_list=name == _ALL):
                yield name, value
        elif name == _TIMES:
            for number in tokens.values(_number, is_list=True):
                yield name, number
        elif name == _PRESERVED:
            _number(tokens)
        else:
            raise StateFileError(f"it has a field that is not known: {os.fsdecode(name)!r}")
        if tokens.kind == "mark" and tokens.text in (b",", b";"):
            tokens.advance()


class _Tokens:
    """The tokens of a file; `kind` and `text` are those of the next one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = 0
        self.kind = ""
        self.text = b""
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self._data, self._end)
        if match is None or match.lastgroup is None:
            line = self._data.count(b"\n", 0, self._end) + 1
            raise StateFileError(f"it is not in protobuf's text format (line {line})")
        self._end = match.end()
        self.kind = match.lastgroup
        self.text = match[self.kind]

    def take(self, kind: str, text: bytes | None = None) -> bytes:
        taken = self.text
        if self.kind != kind or text not in (None, taken):
            line = self._data.count(b"\n", 0, self._end) + 1
            cut = "ends in the middle of a field" if self.kind == "end" else "is not valid"
            raise StateFileError(f"it {cut} (line {line})")
        self.advance()
        return taken

    def is_mark(self, text: bytes) -> bool:
        return self.kind == "mark" and self.text == text

    def values(self, take: Any, *, is_list: bool) -> Iterator[Any]:
        """The values after a colon: one, or several in brackets."""
        if not (is_list and self.is_mark(b"[")):
            yield take(self)
            return
        self.advance()
        if self.is_mark(b"]"):
            self.advance()
            return
        while True:
            yield take(self)
            if self.is_mark(b"]"):
                self.advance()
                return
            self.take("mark", b",")


def _string(tokens: _Tokens) -> str:
    """A string; several one after the other are one."""
    parts = [tokens.take("string")[1:-1]]
    while tokens.kind == "string":
        parts.append(tokens.take("string")[1:-1])
    return os.fsdecode(b"".join(_ESCAPE.sub(_unescape, p) if b"\\" in p else p for p in parts))


def _number(tokens: _Tokens) -> float:
    text = tokens.take("word").lower()
    try:
        return float(text[:-1] if text.endswith(b"f") and text[-3:] != b"inf" else text)
    except ValueError:
        raise StateFileError("a time stamp is not a number") from None


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, short, unicode4, unicode8, other = match.groups()
    if other is not None and other not in b"xuUN":
        return _LETTERS.get(other, b"\\" + other)
    try:
        if octal is not None or short is not None:
            return bytes([int(octal, 8) if octal else int(short, 16)])
        return chr(int(unicode4 or unicode8, 16)).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, OverflowError):
        raise StateFileError("a string has an escape that stands for no character") from None
