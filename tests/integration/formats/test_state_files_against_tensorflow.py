"""State files are parsed as TensorFlow's own parser does, and nothing that it refuses is taken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.formats.state_file import StateFileError, parse

pytest.importorskip("tensorflow")

from google.protobuf import text_format
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

_CASES = 4_000

_SPACE = st.sampled_from(["", " ", "\n", "\t", "\r\n", "  # x 'y\"\n"])
_TEXT = st.text(alphabet="abc-/.0179 é日#\"'\\\n{}[]:", min_size=0, max_size=9)


def _quoted(text: str, quote: str, escape: str, split: int) -> str:
    def literal(part: bytes) -> str:
        plain = set(range(0x20, 0x7F)) - set(b"\\" + quote.encode())
        chars = (
            chr(b) if b in plain and not (escape and b % 5 == 0) else _escaped(b, escape)
            for b in part
        )
        return quote + "".join(chars) + quote

    data = text.encode()
    parts = [data[:split], data[split:]] if 0 < split < len(data) else [data]
    return " ".join(literal(part) for part in parts)


def _escaped(byte: int, escape: str) -> str:
    return f"\\x{byte:02x}" if escape == "x" else f"\\{byte:03o}"


_STRING = st.builds(
    _quoted, _TEXT, st.sampled_from("\"'"), st.sampled_from(["", "x", "o"]), st.integers(0, 12)
)
_FIELD = st.one_of(
    st.builds("model_checkpoint_path{}:{}{}".format, _SPACE, _SPACE, _STRING),
    st.builds("all_model_checkpoint_paths{}:{}{}".format, _SPACE, _SPACE, _STRING),
    st.builds(
        lambda strings, space: f"all_model_checkpoint_paths:[{space}{(',' + space).join(strings)}]",
        st.lists(_STRING, max_size=3),
        _SPACE,
    ),
    st.sampled_from(
        [
            "last_preserved_timestamp: 17.5",
            "all_model_checkpoint_timestamps: 1.5e9",
            "all_model_checkpoint_timestamps: [1, 2.5]",
            "another_field: 7",
        ]
    ),
)
_FILE = st.lists(
    st.builds("{}{}{}".format, _FIELD, st.sampled_from(["", ";", ",", " "]), _SPACE), max_size=5
).map(" ".join)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A file, half the time with a bit of damage: cut off, a byte changed, a character put in."""
    data = draw(_FILE).encode()
    how = draw(st.sampled_from(["no", "no", "no", "cut", "byte", "character"])) if data else "no"
    at = draw(st.integers(0, max(0, len(data) - 1)))
    if how == "cut":
        return data[:at]
    if how == "byte":
        return data[:at] + bytes([draw(st.integers(0, 127))]) + data[at + 1 :]
    if how == "character":
        return data[:at] + draw(st.sampled_from("\"'\\[]:,;\n")).encode() + data[at:]
    return data


@settings(max_examples=_CASES, deadline=None)
@given(_damaged())
def test_it_is_what_tensorflow_reads(data: bytes) -> None:
    """The same paths in the same order, or both refuse."""
    expected = CheckpointState()
    try:
        text_format.Merge(data.decode(), expected)
        is_read = bool(expected.model_checkpoint_path)
    except text_format.ParseError as error:
        if "'utf-8' codec" in str(error):  # a path that is not UTF-8: only TensorFlow refuses it
            return
        is_read = False
    except UnicodeError:
        is_read = False
    try:
        state = parse(data)
    except StateFileError:
        assert not is_read
        return
    assert is_read
    assert state.latest == expected.model_checkpoint_path
    assert list(state.paths) == list(expected.all_model_checkpoint_paths)
