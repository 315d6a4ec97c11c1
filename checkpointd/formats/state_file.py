"""TensorFlow's `checkpoint` state file: which checkpoints a training job's manager keeps.

Source: `CheckpointState` in tensorflow/python/training/checkpoint_state.proto, in text form.
Standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import re

NAME = "checkpoint"
"""How the file is called, unless a Saver was given another `latest_filename`."""

_LATEST = re.compile(rb'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE)
_ANY = re.compile(
    rb'^\s*(?:all_)?model_checkpoint_paths?\s*:\s*"((?:[^"\\\n]|\\.)*)"', re.MULTILINE
)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f"}
_NUMBERED = re.compile(r"(?s)(.+-)[0-9]+\Z")


def latest(data: bytes) -> str | None:
    """The path that training would resume from, as it stands in the file; None if there is none."""
    match = _LATEST.search(data)
    return None if match is None else _text(match[1])


def stems(data: bytes) -> frozenset[str]:
    """What the names of the listed checkpoints begin with, up to the number: `weights-`.

    This is how the job itself declares `weights-7` and `weights-12` to be versions of one model.
    """
    names = (os.path.basename(_text(path)) for path in _ANY.findall(data))
    return frozenset(match[1] for name in names if (match := _NUMBERED.match(name)))


def _text(quoted: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(_unescape, quoted))


def _unescape(match: re.Match[bytes]) -> bytes:
    text: bytes = match[1]
    if text[:1] == b"x" and len(text) > 1:
        return bytes([int(text[1:], 16)])
    if text[:1].isdigit():
        return bytes([int(text, 8) & 0xFF]) if text[:1] < b"8" else text
    return _LETTERS.get(text, text)
