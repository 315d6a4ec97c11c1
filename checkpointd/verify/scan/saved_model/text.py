"""`saved_model.pbtxt` to the bytes of `saved_model.pb`: as much of it as `meta_graph` reads.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. TensorFlow loads such a file, so
it is looked through by the same rules. Fields that nobody asks for are left out; whatever is not
understood is refused rather than guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checkpointd.formats.dtypes import dtype_number
from checkpointd.formats.protobuf import LENGTH, VARINT, encode_varint
from checkpointd.verify.scan.saved_model.text_fields import (
    BOOLEAN,
    COUNTED,
    OTHERS,
    SAVED_MODEL,
    STRING,
    TYPE,
    VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.verify.scan.saved_model.text_fields import Kind, Schema

_MAX_DEPTH = 100
_TOKEN = re.compile(
    rb"""(?:\s|\#[^\n]*(?:\n|\Z))*(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<word>[A-Za-z_][\w]*)
    |(?P<number>\d[\w.+]*(?:(?<=[eE])-\d+)?|\.\d[\w.+]*(?:(?<=[eE])-\d+)?)
    |(?P<mark>[{}<>\[\]:;,./-])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"} | {
    b"v": b"\v"
}
_OPEN = {b"{": b"}", b"<": b">", b"[": b"]"}


_HEAD = 4096
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


class NotUnderstoodError(ValueError):
    """The text is no SavedModel, or uses a form that is not known here."""


class CutShortError(NotUnderstoodError):
    """The text ends within a message."""


def refused(text: bytes) -> str:
    """Say what a text is that is certainly no SavedModel; empty for any other."""
    if not text.strip():
        return "empty"
    if _CONTROL.search(text[:_HEAD]):
        return "no text: a binary SavedModel is called saved_model.pb"
    try:
        name = _Reader(text).name()
    except NotUnderstoodError:
        return "no text of a protocol buffer"
    if name in OTHERS:
        return OTHERS[name]
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "no text in UTF-8, and TensorFlow reads no other"
    known = name in SAVED_MODEL or name == VERSION
    return "" if known else f"no SavedModel: one has no field {name[:40]!r}"


def encode(text: bytes) -> bytes:
    """Encode a SavedModel's text.

    Raises:
        CutShortError: it ends too early.
        NotUnderstoodError: it cannot be read with certainty.
    """
    reader = _Reader(text)
    try:
        return reader.message(SAVED_MODEL, b"", 0)
    except NotUnderstoodError as error:
        if reader.kind == "end":
            raise CutShortError("it ends within a message") from error
        raise


class _Reader:
    """Reads one token after the other; `kind` and `token` are the one at hand."""

    def __init__(self, text: bytes) -> None:
        self._tokens = self._split(text)
        self.kind, self.token = next(self._tokens)

    @staticmethod
    def _split(text: bytes) -> Iterator[tuple[str, bytes]]:
        at = 0
        while True:
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise NotUnderstoodError(f"there is no token at byte {at}")
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()

    def take(self) -> bytes:
        """Give the token at hand, and go on."""
        token = self.token
        if self.kind == "end":
            raise NotUnderstoodError("it ends within a message")
        self.kind, self.token = next(self._tokens)
        return token

    def message(self, schema: Schema, end: bytes, depth: int) -> bytes:
        """Read fields until `end`, which is taken too; empty for the end of the text."""
        if depth > _MAX_DEPTH:
            raise NotUnderstoodError("its messages are nested too deeply")
        parts: list[bytes] = []
        while not (self.kind == "end" if not end else self.token == end and self.kind == "mark"):
            field = schema.get(self.name())
            if field is None:
                self._skip_value()
            else:
                parts.extend(self._values(*field, depth))
            if self.kind == "mark" and self.token in (b";", b","):
                self.take()
        if end:
            self.take()
        return b"".join(parts)

    def name(self) -> str:
        """Take the name of a field; that of an extension or of a kind of message in brackets."""
        if self._is(b"["):
            parts = [self.take()]
            while parts[-1] != b"]":
                parts.append(self.take())
            return b"".join(parts).decode("utf-8", "replace")
        if self.kind != "word":
            raise NotUnderstoodError(f"{self.token[:40]!r} stands where a name should")
        return self.take().decode()

    def _values(self, number: int, kind: Kind, depth: int) -> Iterator[bytes]:
        """Encode the value, or the list of values, of a field."""
        if self._is(b":"):
            self.take()
        if not self._is(b"["):
            yield self._value(number, kind, depth)
            return
        self.take()
        while not self._is(b"]"):
            yield self._value(number, kind, depth)
            if self._is(b","):
                self.take()
        self.take()

    def _value(self, number: int, kind: Kind, depth: int) -> bytes:
        if not isinstance(kind, str):
            if not (self._is(b"{") or self._is(b"<")):
                raise NotUnderstoodError(f"{self.token[:40]!r} stands where a message should")
            content = self.message(kind, _OPEN[self.take()], depth + 1)
        elif kind == STRING:
            content = self._string()
        else:
            return encode_varint(number << 3 | VARINT) + encode_varint(self._number(kind))
        return encode_varint(number << 3 | LENGTH) + encode_varint(len(content)) + content

    def _string(self) -> bytes:
        if self.kind != "string":
            raise NotUnderstoodError(f"{self.token[:40]!r} stands where a string should")
        pieces = []
        while self.kind == "string":
            pieces.append(_ESCAPE.sub(_unescape, self.take()[1:-1]))
        return b"".join(pieces)

    def _number(self, kind: str) -> int:
        negative = self._is(b"-")
        if negative:
            self.take()
        if self.kind not in ("number", "word"):
            raise NotUnderstoodError(f"{self.token[:40]!r} stands where a number should")
        word = self.take().decode()
        if kind == COUNTED:
            return 0
        if kind == BOOLEAN:
            return int(word in ("true", "True", "t", "1"))
        known = dtype_number(word) if kind == TYPE else None
        try:
            value = int(word, 8 if re.fullmatch("0[0-7]+", word) else 0) if known is None else known
        except ValueError:
            raise NotUnderstoodError(f"{word[:40]!r} stands where a number should") from None
        return (-value if negative else value) & ((1 << 64) - 1)

    def _is(self, mark: bytes) -> bool:
        return self.kind == "mark" and self.token == mark

    def _skip_brackets(self) -> None:
        """Go on behind the bracket that closes the one at hand."""
        closing = []
        while True:
            token, kind = self.token, self.kind
            self.take()
            if kind == "mark" and token in _OPEN:
                closing.append(_OPEN[token])
            elif kind == "mark" and token in _OPEN.values() and token != closing.pop():
                raise NotUnderstoodError("its brackets do not match")
            if not closing:
                return

    def _skip_value(self) -> None:
        """Go on behind the value of a field that nobody asks for."""
        if self._is(b":"):
            self.take()
        if self.kind == "mark" and self.token in _OPEN:
            self._skip_brackets()
        elif self.kind == "string":
            self._string()
        else:
            if self._is(b"-"):
                self.take()
            if self.kind not in ("number", "word"):
                raise NotUnderstoodError(f"{self.token[:40]!r} stands where a value should")
            self.take()


def _unescape(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short, long, letter = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF:  # noqa: PLR2004 - the last character there is
            raise NotUnderstoodError("a string has an escape that is no character")
        return chr(code).encode("utf-8", "surrogatepass")
    return _LETTERS.get(letter, letter)
