"""Interprets a seccomp program as the kernel does, for any architecture."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.worker.seccomp import Instruction


def interpret(
    program: Sequence[Instruction], audit: int, number: int, arguments: Sequence[int] = ()
) -> int:
    """What the program returns for a call, as `SECCOMP_RET_*` with its data."""
    filled = [*arguments, *[0] * (6 - len(arguments))]
    words = [argument & (1 << 64) - 1 for argument in filled]
    data = struct.pack("<IIQ6Q", number, audit, 0, *words)
    accumulator = at = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            assert operand % 4 == 0
            accumulator = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            accumulator &= operand
        elif code == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            at += if_true if accumulator == operand else if_false
        elif code == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            at += if_true if accumulator >= operand else if_false
        elif code == 0x06:  # BPF_RET | BPF_K
            return operand
        else:
            raise AssertionError(f"no such instruction: {code:#x}")
