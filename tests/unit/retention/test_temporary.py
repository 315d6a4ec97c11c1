"""That retention leaves out of a SavedModel exactly what the watch leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.checkpoint import Format
from checkpointd.formats import names
from checkpointd.retention import temporary

_HEX = "0123456789abcdef" * 2
TEMPORARY = [
    "variables.index.tempstate123",
    f"saved_model.pb.tmp{_HEX}",
    ".checkpointd-tmp-x",
    ".goutputstream-Ab12Cd",
    ".saved_model.pb.Ab12Cd",
    "m.h5.0a1b2c3d.partial",
    "m.h5_.gstmp",
    ".nfs000000000000abcd00000001",
    ".fuse_hidden000000000000abcd00000001",
    ".a\nb.Ab12Cd",
]
DIRECTORIES = ["x.orbax-checkpoint-tmp", "x.orbax-checkpoint-tmp-12", ".~tmp~", ".rsync-partial"]
OTHERS = [
    "part-00000-of-00001",
    "part-00000-of-00001.data",
    "saved_model.pb",
    ".hidden",
    ".checkpointd-trash",
    "tmpabcd1234",
    "vocab.tmp",
    ".nfs0001",
    "\udcff",
    "",
]
PLACES = ["variables_temp", f"variables_temp_{_HEX}", "variables", "3", "_temp"]


@pytest.mark.parametrize("name", [*TEMPORARY, *DIRECTORIES, *OTHERS])
def test_both_rooms_leave_out_the_same_names(name: str) -> None:
    """A name that one of them took for a member would be refused, or lost sight of."""
    assert temporary.is_temporary_directory(name) == names.is_temporary_directory(name)
    for place in PLACES:
        assert temporary.is_temporary_member(name, place) == names.is_temporary_member(name, place)


@pytest.mark.parametrize(
    "name",
    [
        *("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb", "saved_model.pb.keras"),
        *("saved_model.pb.H5", "variables", "assets", "assets.extra", "debug", "fingerprint.pb"),
        *("keras_metadata.pb", "config.json", "metadata.json", "model.weights.h5", "best.keras"),
        *("model.weights.npz", "model.h5", "notes.txt", "Variables", "checkpoint", ""),
    ],
)
def test_both_rooms_take_the_same_names_for_parts(name: str) -> None:
    """What the watch takes for another's would otherwise be moved along, or never be found."""
    for kind in (Format.SAVEDMODEL, Format.KERAS):
        assert temporary.belongs(name, kind) == names.belongs(name, kind)


def test_the_list_speaks_of_names_that_are_left_out() -> None:
    """Two rules that both say no to everything would agree as well."""
    assert all(temporary.is_temporary_member(name, "variables") for name in TEMPORARY)
    assert all(temporary.is_temporary_directory(name) for name in DIRECTORIES)
    assert temporary.is_temporary_member("part-00000-of-00001", "variables_temp")


@given(st.text(), st.sampled_from([*TEMPORARY, *DIRECTORIES, *OTHERS]), st.text())
def test_both_rooms_agree_about_names_like_these(before: str, name: str, after: str) -> None:
    """Something more before or behind changes both answers alike."""
    whole = before + name + after
    assert temporary.is_temporary_directory(whole) == names.is_temporary_directory(whole)
    for place in (*PLACES, whole):
        assert temporary.is_temporary_member(whole, place) == names.is_temporary_member(
            whole, place
        )


def test_both_rooms_have_the_same_patterns() -> None:
    """Whoever changes one rule is reminded of the other."""

    def bare(pattern: str) -> str:
        return "".join(line.partition(" #")[0].strip() for line in pattern.splitlines())

    assert bare(temporary._FILES.pattern) == bare(names._TEMPORARY_FILES.pattern)
    assert bare(temporary._DIRECTORIES.pattern) == bare(names._TEMPORARY_DIRECTORIES.pattern)
    assert temporary._BUNDLE_DIRECTORY.pattern == names._BUNDLE_TEMPORARY_DIRECTORY.pattern
    assert temporary._BUNDLE_PART.pattern == names._BUNDLE_TEMPORARY_PART.pattern
