"""Unpacks what a zip archive may hold, piece by piece, whatever it claims to unpack to.

The methods are those of Python's zipfile, which Keras reads with: stored, deflate, bzip2 and LZMA
(PKWARE APPNOTE.TXT 6.3.10, 4.4.5 and 5.8). Any other is for a newer Python to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.formats.facts import ENVIRONMENT, MALFORMED, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14

_PIECE = 1 << 20
_LZMA_HEADER = 9
_LZMA_PROPERTIES = 5
_LEAST_DICTIONARY = 1 << 12


class _Decompressor(Protocol):
    """What bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


def unpack(blocks: Iterable[bytes], method: int, size: int, name: str) -> Iterator[bytes]:
    """Return what packed bytes unpack to, in pieces of at most 1 MiB.

    Args:
        blocks: the packed bytes, in order.
        method: how they are packed.
        size: the most bytes that are wanted; they may give more.
        name: of the member, for messages.

    Raises:
        FormatError: they do not unpack, or are packed by a method that Python does not know.
    """
    if method == STORED:
        yield from blocks
        return
    if method == DEFLATED:
        yield from _inflate(blocks, name)
        return
    if method == BZIP2:
        import bz2

        yield from _decompress(bz2.BZ2Decompressor(), blocks, name)
        return
    if method == LZMA:
        yield from _unpack_lzma(iter(blocks), size, name)
        return
    raise FormatError(
        ENVIRONMENT, f"{name!r} is packed by method {method}, which this Python does not know."
    )


def _inflate(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    import zlib

    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for block in blocks:
            data = inflate.decompress(block, _PIECE)
            while data:
                yield data
                data = inflate.decompress(inflate.unconsumed_tail, _PIECE)
    except zlib.error as error:
        raise _broken(name, error) from None


def _decompress(unpacker: _Decompressor, blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    try:
        for block in blocks:
            waiting = block
            while not unpacker.eof and (waiting or not unpacker.needs_input):
                data = unpacker.decompress(waiting, _PIECE)
                waiting = b""
                if data:
                    yield data
    except (OSError, EOFError, ValueError) as error:
        raise _broken(name, error) from None


def _unpack_lzma(blocks: Iterator[bytes], size: int, name: str) -> Iterator[bytes]:
    """Read a stream of LZMA 1 behind its header; no larger window than what is needed."""
    import lzma

    head = b""
    for block in blocks:
        head += block
        if len(head) >= _LZMA_HEADER:
            break
    length = int.from_bytes(head[2:4], "little")
    properties = head[4 : 4 + _LZMA_PROPERTIES]
    if length != _LZMA_PROPERTIES or len(properties) < _LZMA_PROPERTIES:
        raise _broken(name, ValueError("its LZMA header is cut short"))
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    window = int.from_bytes(properties[1:], "little")
    unpacker = _lzma(name, lc, lp, pb, max(_LEAST_DICTIONARY, min(window, size)))

    def behind_header() -> Iterator[bytes]:
        yield head[_LZMA_HEADER:]
        yield from blocks

    try:
        yield from _decompress(unpacker, behind_header(), name)
    except lzma.LZMAError as error:
        raise _broken(name, error) from None


def _lzma(name: str, lc: int, lp: int, pb: int, window: int) -> _Decompressor:
    import lzma

    chosen = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen])
    except (lzma.LZMAError, ValueError) as error:
        raise _broken(name, error) from None


def _broken(name: str, error: Exception) -> FormatError:
    return FormatError(MALFORMED, f"{name!r} does not unpack: {error}.")
