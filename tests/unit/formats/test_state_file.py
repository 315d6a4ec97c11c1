"""TensorFlow's `checkpoint` state file, as protobuf's text format."""

from __future__ import annotations

import time

import pytest

from checkpointd.formats import state_file
from checkpointd.formats.state_file import CheckpointState, StateFileError


@pytest.mark.parametrize(
    "text",
    [
        (
            'model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-1"\n'
            'all_model_checkpoint_paths: "ckpt-2"\n'
        ),
        "model_checkpoint_path: 'ckpt-2' all_model_checkpoint_paths: ['ckpt-1', \"ckpt-2\"]",
        (
            "# mine\nmodel_checkpoint_path:\n  \"ckpt\" '-2';all_model_checkpoint_paths:'ckpt-1',"
            'all_model_checkpoint_paths:"\\143kpt\\x2d2"'
        ),
        (
            'all_model_checkpoint_paths: "ckpt-1" model_checkpoint_path: "ckpt-9" '
            'model_checkpoint_path: "ckpt-2" all_model_checkpoint_paths: "ckpt-\\u0032"'
        ),
    ],
)
def test_every_way_to_write_it_is_understood(text: str) -> None:
    """Of a field that is there twice the last counts; paths stay in the file's order."""
    assert state_file.parse(text.encode()) == CheckpointState("ckpt-2", ("ckpt-1", "ckpt-2"))


def test_save_times_are_read_where_each_path_has_one() -> None:
    """`CheckpointManager` writes them, `Saver` does not."""
    text = 'model_checkpoint_path: "b" all_model_checkpoint_paths: ["a", "b"] '
    times = "all_model_checkpoint_timestamps: 1.5e9 all_model_checkpoint_timestamps: 1600000000.5 "
    last = "last_preserved_timestamp: 1.4e9"
    assert state_file.parse((text + times + last).encode()).timestamps == (1.5e9, 1600000000.5)
    assert state_file.parse((text + last).encode()).timestamps == ()


def test_every_cut_of_a_file_is_noticed() -> None:
    """What TensorFlow writes ends with the latest: without it, the rest is missing."""
    lines = ['model_checkpoint_path: "ckpt-3"\n']
    lines += [f'all_model_checkpoint_paths: "ckpt-{n}"\n' for n in (1, 2, 3)]
    whole = "".join(lines).encode()
    assert not state_file.parse(whole).is_cut_off
    first = len(lines[0])
    for end in range(len(whole) - 1):
        try:
            state = state_file.parse(whole[:end])
        except StateFileError:
            continue
        assert state.is_cut_off or first - 1 <= end <= first


def test_stems_are_read_as_far_as_a_file_goes() -> None:
    """A file that is longer than what is read still declares its versions."""
    text = 'model_checkpoint_path: "w-7" all_model_checkpoint_paths: "x/v-6" all_model_ch'
    assert state_file.stems(text.encode()) == {"w-", "v-"}


def test_a_list_of_100_000_is_parsed_at_once() -> None:
    """Linear in the length of the file."""
    lines = [f'all_model_checkpoint_paths: "/data/runs/ckpt-{n}"\n' for n in range(100_000)]
    data = ('model_checkpoint_path: "/data/runs/ckpt-99999"\n' + "".join(lines)).encode()
    began = time.process_time()
    assert len(state_file.parse(data).paths) == 100_000
    assert time.process_time() - began < 3
