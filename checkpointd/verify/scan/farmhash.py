"""FarmHash's Fingerprint64, with which TensorFlow makes `fingerprint.pb`; about 28 MB a second.

Source: FarmHash's `farmhashna::Hash64` (github.com/google/farmhash, MIT). Names and order follow
the source, so that the two can be compared line by line.
"""

from __future__ import annotations

import struct

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_SEED = 81
_WORD, _HALF = struct.Struct("<Q"), struct.Struct("<I")
_BLOCK = struct.Struct("<8Q")


def fingerprint64(data: bytes) -> int:
    """Hash bytes as `tensorflow::Fingerprint64` does."""
    if len(data) <= 16:  # FarmHash's own limits, here and below
        return _up_to_16(data)
    if len(data) <= 32:
        return _up_to_32(data)
    if len(data) <= 64:
        return _up_to_64(data)
    return _long(data)


def _rotate(value: int, shift: int) -> int:
    value &= _MASK
    return ((value >> shift) | (value << (64 - shift))) & _MASK


def _shift_mix(value: int) -> int:
    return value ^ (value >> 47)


def _len16(u: int, v: int, mul: int) -> int:
    a = _shift_mix(((u ^ v) * mul) & _MASK)
    b = _shift_mix(((v ^ a) * mul) & _MASK)
    return (b * mul) & _MASK


def _word(data: bytes, at: int) -> int:
    return int(_WORD.unpack_from(data, at)[0])


def _up_to_16(data: bytes) -> int:
    n = len(data)
    mul = (_K2 + n * 2) & _MASK
    if n >= 8:
        a, b = (_word(data, 0) + _K2) & _MASK, _word(data, n - 8)
        c = (_rotate(b, 37) * mul + a) & _MASK
        d = ((_rotate(a, 25) + b) * mul) & _MASK
        return _len16(c, d, mul)
    if n >= 4:
        low, high = _HALF.unpack_from(data, 0)[0], _HALF.unpack_from(data, n - 4)[0]
        return _len16((n + (low << 3)) & _MASK, high, mul)
    if n:
        y, z = data[0] + (data[n >> 1] << 8), n + (data[n - 1] << 2)
        return (_shift_mix(((y * _K2) ^ (z * _K0)) & _MASK) * _K2) & _MASK
    return _K2


def _up_to_32(data: bytes) -> int:
    n = len(data)
    mul = (_K2 + n * 2) & _MASK
    a, b = (_word(data, 0) * _K1) & _MASK, _word(data, 8)
    c, d = (_word(data, n - 8) * mul) & _MASK, (_word(data, n - 16) * _K2) & _MASK
    u = (_rotate(a + b, 43) + _rotate(c, 30) + d) & _MASK
    return _len16(u, (a + _rotate(b + _K2, 18) + c) & _MASK, mul)


def _up_to_64(data: bytes) -> int:
    n = len(data)
    mul = (_K2 + n * 2) & _MASK
    a, b = (_word(data, 0) * _K2) & _MASK, _word(data, 8)
    c, d = (_word(data, n - 8) * mul) & _MASK, (_word(data, n - 16) * _K2) & _MASK
    y = (_rotate(a + b, 43) + _rotate(c, 30) + d) & _MASK
    z = _len16(y, (a + _rotate(b + _K2, 18) + c) & _MASK, mul)
    e, f = (_word(data, 16) * mul) & _MASK, _word(data, 24)
    g = ((y + _word(data, n - 32)) * mul) & _MASK
    h = ((z + _word(data, n - 24)) * mul) & _MASK
    u = (_rotate(e + f, 43) + _rotate(g, 30) + h) & _MASK
    return _len16(u, (e + _rotate(f + a, 18) + g) & _MASK, mul)


def _weak(words: tuple[int, ...], a: int, b: int) -> tuple[int, int]:
    a += words[0]
    b = _rotate(b + a + words[3], 21)
    c = a
    a += words[1] + words[2]
    b += _rotate(a, 44)
    return (a + words[3]) & _MASK, (b + c) & _MASK


def _long(data: bytes) -> int:
    n = len(data)
    x, y = _SEED, (_SEED * _K1 + 113) & _MASK
    z = (_shift_mix((y * _K2 + 113) & _MASK) * _K2) & _MASK
    v0 = v1 = w0 = w1 = 0
    x = (x * _K2 + _word(data, 0)) & _MASK
    # _rotate and _weak are inlined here: nearly all time is spent in this loop.
    for s0, s1, s2, s3, s4, s5, s6, s7 in _BLOCK.iter_unpack(
        memoryview(data)[: (n - 1) // 64 * 64]
    ):
        t = (x + y + v0 + s1) & _MASK
        x = ((((t >> 37) | (t << 27)) & _MASK) * _K1 & _MASK) ^ w1
        t = (y + v1 + s6) & _MASK
        y = ((((t >> 42) | (t << 22)) & _MASK) * _K1 + v0 + s5) & _MASK
        t = (z + w0) & _MASK
        z = (((t >> 33) | (t << 31)) & _MASK) * _K1 & _MASK
        a = c = v1 * _K1 + s0
        t = (x + w0 + a + s3) & _MASK
        b = (t >> 21) | (t << 43)
        a += s1 + s2
        t = a & _MASK
        v0, v1 = (a + s3) & _MASK, (b + ((t >> 44) | (t << 20)) + c) & _MASK
        a = c = z + w1 + s4
        t = (y + s2 + a + s7) & _MASK
        b = (t >> 21) | (t << 43)
        a += s5 + s6
        t = a & _MASK
        w0, w1 = (a + s7) & _MASK, (b + ((t >> 44) | (t << 20)) + c) & _MASK
        x, z = z, x
    mul = (_K1 + ((z & 0xFF) << 1)) & _MASK
    last = _BLOCK.unpack(data[-64:])
    w0 = (w0 + ((n - 1) & 63)) & _MASK
    v0 = (v0 + w0) & _MASK
    w0 = (w0 + v0) & _MASK
    x = (_rotate(x + y + v0 + last[1], 37) * mul) & _MASK
    y = (_rotate(y + v1 + last[6], 42) * mul) & _MASK
    x ^= (w1 * 9) & _MASK
    y = (y + v0 * 9 + last[5]) & _MASK
    z = (_rotate(z + w0, 33) * mul) & _MASK
    v0, v1 = _weak(last[:4], v1 * mul, x + w0)
    w0, w1 = _weak(last[4:], z + w1, y + last[2])
    x, z = z, x
    first = (_len16(v0, w0, mul) + _shift_mix(y) * _K0 + z) & _MASK
    return _len16(first, (_len16(v1, w1, mul) + x) & _MASK, mul)
