"""What the daemon's look at the edges of tensor bundles and SavedModels says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import ProbeState
from tests.helpers.bundles import OBJECT_GRAPH, bundle, header, table
from tests.helpers.files import set_times
from tests.helpers.formats import graph, probed, savedmodel
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from pathlib import Path

TRUNCATED, MISSING = "structure.truncated", "structure.missing_member"
OTHER = "structure.not_a_checkpoint"


@pytest.mark.parametrize("variables", [3, 400])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_whole_bundle_is_certain(tmp_path: Path, variables: int, shards: int) -> None:
    """Footer, all shards, none newer than the index: no settle time is needed, at any size."""
    names = [OBJECT_GRAPH, *(b"layer_%04d/kernel" % i for i in range(variables))]
    bundle(tmp_path / "c", names, shards)
    result = probed(tmp_path / "c")
    assert (result.state, result.format, result.certain) == (
        ProbeState.COMPLETE,
        Format.TF_CHECKPOINT,
        True,
    )


def test_an_index_cut_at_any_length_is_incomplete(tmp_path: Path) -> None:
    """The footer is what its writer writes last."""
    index = bundle(tmp_path / "c")[-1]
    whole = index.read_bytes()
    for size in range(len(whole)):
        index.write_bytes(whole[:size])
        result = probed(tmp_path / "c")
        assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED), size


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_bundle_without_one_of_its_files_lacks_a_member(tmp_path: Path, part: int) -> None:
    """Shards or index, whichever is missing."""
    bundle(tmp_path / "c", shards=2)[part].unlink()
    result = probed(tmp_path / "c")
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, MISSING)


def test_a_shard_shorter_than_the_index_names_is_truncated(tmp_path: Path) -> None:
    """The index of a small bundle is read whole, so the sizes are known."""
    shard = bundle(tmp_path / "c")[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    result = probed(tmp_path / "c")
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED)
    assert "31 bytes" in result.message


def test_a_shard_newer_than_the_index_needs_the_settle_time(tmp_path: Path) -> None:
    """A writer that saves to the same prefix again, and a copy under way, leave such a one."""
    set_times(reversed(bundle(tmp_path / "c")))
    result = probed(tmp_path / "c")
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


@pytest.mark.parametrize("names", [[b"0_0", b"0_1"], [b"         0_         1"]])
def test_a_cache_of_tf_data_is_unknown(tmp_path: Path, names: list[bytes]) -> None:
    """Its keys are pairs of numbers; a bundle with one named variable is a model."""
    bundle(tmp_path / "cache", names)
    assert probed(tmp_path / "cache").state is ProbeState.UNKNOWN
    bundle(tmp_path / "model", [*names, b"kernel"])
    assert probed(tmp_path / "model").state is ProbeState.COMPLETE


def test_an_index_of_another_program_is_unknown(tmp_path: Path) -> None:
    """A `.index` without shards that is no table is no checkpoint."""
    for content in (b"", b"IxF2" + bytes(500)):
        (tmp_path / "faiss.index").write_bytes(content)
        assert probed(tmp_path / "faiss").state is ProbeState.UNKNOWN


def test_a_damaged_index_is_malformed(tmp_path: Path) -> None:
    """A block that does not unpack is, and a handle that points outside."""
    files = bundle(tmp_path / "c")
    pairs = [(b"", header()), (b"kernel", field(1, 1))]
    outside = bytearray(table(pairs))
    outside[-48:-8] = b"\0\0\xff\xff\x7f\x01".ljust(40, b"\0")
    for data in (table(pairs, kind=1), bytes(outside)):
        files[-1].write_bytes(data)
        result = probed(tmp_path / "c")
        assert (result.state, result.reason) == (ProbeState.INCOMPLETE, "structure.malformed")
    files[-1].write_bytes(table(pairs[1:]))
    assert probed(tmp_path / "c").reason == OTHER
    files[-1].write_bytes(table(pairs, kind=1))
    assert "Snappy" in probed(tmp_path / "c").message


@pytest.mark.parametrize("children", [3, 300])
def test_a_savedmodel_with_its_fingerprint_last_is_certain(tmp_path: Path, children: int) -> None:
    """No settle time is needed, however many objects hang on its root."""
    savedmodel(tmp_path / "m", children=children)
    result = probed(tmp_path / "m")
    assert (result.state, result.format, result.certain) == (
        ProbeState.COMPLETE,
        Format.SAVEDMODEL,
        True,
    )


def test_a_savedmodel_in_the_making_is_incomplete_until_its_graph_is_there(tmp_path: Path) -> None:
    """In the order of its writer: shard, index, assets, graph, fingerprint."""
    files = savedmodel(tmp_path / "whole")
    states = []
    for count in range(1, len(files) + 1):
        model = tmp_path / str(count)
        for file in files[:count]:
            target = model / file.relative_to(tmp_path / "whole")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        set_times(model / f.relative_to(tmp_path / "whole") for f in files[:count])
        result = probed(model)
        states.append((result.state.value, result.certain))
    assert states == [("incomplete", False)] * 3 + [("complete", False), ("complete", True)]


def test_a_savedmodel_of_an_older_tensorflow_needs_the_settle_time(tmp_path: Path) -> None:
    """Without a fingerprint nothing says that the writer has finished."""
    savedmodel(tmp_path / "m")[-1].unlink()
    result = probed(tmp_path / "m")
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


@pytest.mark.parametrize("newest", [0, 1, 2, 3])
def test_a_savedmodel_that_is_saved_over_itself_is_not_certain(tmp_path: Path, newest: int) -> None:
    """Any part newer than the fingerprint means that the fingerprint is the old one."""
    files = savedmodel(tmp_path / "m")
    set_times([*files, files[newest]])
    result = probed(tmp_path / "m")
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


def test_a_keras_2_model_is_certain_only_with_its_metadata(tmp_path: Path) -> None:
    """`keras_metadata.pb` follows the fingerprint, in place."""
    files = savedmodel(tmp_path / "m", "_tf_keras_network", metadata=True)
    assert probed(tmp_path / "m").certain
    whole = files[-1].read_bytes()
    set_times([files[-1], *files[:-1]])
    assert not probed(tmp_path / "m").certain
    files[-1].write_bytes(whole[:-1])
    set_times(files)
    assert not probed(tmp_path / "m").certain
    files[-1].unlink()
    result = probed(tmp_path / "m")
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


def test_a_root_object_too_far_away_counts_as_keras_2s(tmp_path: Path) -> None:
    """Where 4 KiB do not show who wrote it, time decides."""
    savedmodel(tmp_path / "m", children=2000)
    result = probed(tmp_path / "m")
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


def test_a_graph_cut_at_any_length_is_truncated(tmp_path: Path) -> None:
    """It is one message whose length stands at its beginning."""
    savedmodel(tmp_path / "m")
    path = tmp_path / "m" / "saved_model.pb"
    whole = path.read_bytes()
    for size in {0, 1, 2, 3, 4, 5, 100, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:size])
        result = probed(tmp_path / "m")
        assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED), size


def test_a_savedmodel_lacks_variables_only_if_its_graph_has_some(tmp_path: Path) -> None:
    """TF 1 writes models without variables, and then without a saver."""
    for saver, state in ((True, ProbeState.INCOMPLETE), (False, ProbeState.COMPLETE)):
        model = tmp_path / str(saver)
        model.mkdir()
        (model / "saved_model.pb").write_bytes(graph("", saver=saver))
        assert probed(model).state is state
        assert probed(model).reason == (MISSING if saver else "")


def test_the_variables_of_a_savedmodel_are_held_to_the_rules_of_bundles(tmp_path: Path) -> None:
    """A missing shard and a cut index are named as such."""
    files = savedmodel(tmp_path / "m")
    index = files[1].read_bytes()
    files[1].write_bytes(index[:-1])
    assert probed(tmp_path / "m").reason == TRUNCATED
    files[1].write_bytes(index)
    files[0].unlink()
    assert probed(tmp_path / "m").reason == MISSING
    assert probed(tmp_path / "m").message.startswith("variables: ")


def test_a_text_graph_is_a_savedmodel_and_an_image_graph_unknown(tmp_path: Path) -> None:
    """TF 1 writes `.pbtxt` on request; TF 2's `.cpb` is not known."""
    for name, content, state in (
        ("saved_model.pbtxt", b"meta_graphs {\n}\n", ProbeState.COMPLETE),
        ("saved_model.pbtxt", b"meta_graphs {\n", ProbeState.INCOMPLETE),
        ("saved_model.cpb", b"x", ProbeState.UNKNOWN),
    ):
        model = tmp_path / f"{state.value}"
        model.mkdir()
        (model / name).write_bytes(content)
        assert probed(model).state is state
