"""Which names in a directory are checkpoints, of which files, and which are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import (
    ProbeState,
    generation_of,
    is_left_out,
    member_path,
    probe,
    recognise,
)
from tests.helpers.bundles import bundle
from tests.helpers.formats import Metered, archive, savedmodel


def names(path: Path) -> dict[str, Format]:
    """The candidates in a directory, by their own names."""
    return {Path(f.path).name: f.hint for f in recognise(str(path)).found}


def test_each_kind_of_checkpoint_is_found_under_its_own_path(tmp_path: Path) -> None:
    """Files are themselves, bundles are prefixes; extensions give hints, other files none."""
    archive(tmp_path / "a.keras")
    for name in ("b.h5", "c.weights.h5", "d.hdf5", "events.out", "E.H5"):
        (tmp_path / name).touch()
    bundle(tmp_path / "ckpt-7", shards=2)
    assert names(tmp_path) == {
        "a.keras": Format.KERAS,
        "b.h5": Format.HDF5,
        "E.H5": Format.HDF5,
        "c.weights.h5": Format.HDF5_WEIGHTS,
        "d.hdf5": Format.HDF5,
        "events.out": Format.UNKNOWN,
        "ckpt-7": Format.TF_CHECKPOINT,
    }


def test_the_members_of_a_prefix_are_its_shards_index_and_meta_graph(tmp_path: Path) -> None:
    """A member's name is what is appended to the prefix; neighbours stay out."""
    bundle(tmp_path / "ckpt-1", shards=2)
    bundle(tmp_path / "ckpt-10")
    (tmp_path / "ckpt-1.meta").write_bytes(b"graph")
    (tmp_path / "ckpt-1.golden.npz").write_bytes(b"record")
    found = {f.path: f for f in recognise(str(tmp_path)).found}
    one = found[str(tmp_path / "ckpt-1")]
    assert [m.name for m in one.generation.members] == [
        ".data-00000-of-00002",
        ".data-00001-of-00002",
        ".index",
        ".meta",
    ]
    assert one.generation == generation_of(one.path, one.hint)
    assert len(found) == 2


def test_a_meta_file_without_a_bundle_is_an_ordinary_file(tmp_path: Path) -> None:
    """`.meta` belongs to a prefix only where there is one."""
    (tmp_path / "notes.meta").touch()
    assert names(tmp_path) == {"notes.meta": Format.UNKNOWN}


def test_shards_without_an_index_are_a_candidate(tmp_path: Path) -> None:
    """The index is written last: shards alone are a checkpoint under way."""
    bundle(tmp_path / "ckpt-1")[-1].unlink()
    assert names(tmp_path) == {"ckpt-1": Format.TF_CHECKPOINT}


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "checkpoint.tmp0123456789abcdef0123456789abcdef",
        "m.h5.golden.npz",
        ".model.h5.Xy3abC",
        ".checkpointd-tmp-0011223344556677.npz",
        "tmpab12_xyz",
        ".goutputstream-ABC123",
        "m.h5.1a2b3c4d.partial",
        ".nfs000000000000000100000001",
    ],
)
def test_state_files_records_and_temporary_names_are_no_candidates(
    tmp_path: Path, name: str
) -> None:
    """What a known writer has not finished, and what only belongs to checkpoints, is left out."""
    (tmp_path / name).write_bytes(b"x")
    assert recognise(str(tmp_path)).found == ()


@pytest.mark.parametrize(
    "name", ["tmp", "tmp.h5", "temp_model.h5", "checkpoint.h5", "my.tmp", "model_temp", ".hidden"]
)
def test_names_that_only_resemble_temporary_ones_are_candidates(tmp_path: Path, name: str) -> None:
    """Only exact patterns of known writers are ignored."""
    (tmp_path / name).write_bytes(b"x")
    assert list(names(tmp_path)) == [name]


def test_the_parts_of_a_running_save_are_ignored_only_in_its_own_directory(tmp_path: Path) -> None:
    """`ckpt-1_temp/part-*` is TensorFlow's; a user's own `x_temp` is walked like any directory."""
    inside = tmp_path / "ckpt-1_temp"
    inside.mkdir()
    for part in ("index", "data-00000-of-00001", "data-00000-of-00001.tempstate12"):
        (inside / f"part-00000-of-00001.{part}").touch()
    archive(inside / "mine.keras")
    assert recognise(str(tmp_path)).descend == (str(inside),)
    assert list(names(inside)) == ["mine.keras"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "part-00000-of-00001.index").touch()
    assert list(names(other)) == ["part-00000-of-00001"]


def test_weights_that_keras_unpacks_for_a_load_are_ignored(tmp_path: Path) -> None:
    """A low-memory load leaves `tmpXXXXXXXX/model.weights.h5` beside the archive for a moment."""
    inside = tmp_path / "tmp0a1b2c3d"
    inside.mkdir()
    (inside / "model.weights.h5").touch()
    assert names(inside) == {}


def test_the_trash_and_unfinished_directories_are_not_walked(tmp_path: Path) -> None:
    """A user's own `tmp` is; links are neither walked nor candidates."""
    for name in (".checkpointd-trash", ".checkpointd-tmp-00", "7.orbax-checkpoint-tmp-17", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "tmp")
    archive(tmp_path / "a.keras")
    (tmp_path / "latest.keras").symlink_to("a.keras")
    os.mkfifo(tmp_path / "pipe.h5")
    result = recognise(str(tmp_path))
    assert result.descend == (str(tmp_path / "tmp"),)
    assert [f.path for f in result.found] == [str(tmp_path / "a.keras")]


def test_a_savedmodel_is_one_candidate_and_is_not_walked(tmp_path: Path) -> None:
    """Its parts and whatever lies in them are its members, temporary names aside."""
    model = tmp_path / "7"
    savedmodel(model)
    (model / "assets.extra").mkdir()
    (model / "assets.extra" / "golden.npz").touch()
    (model / "assets" / "tmpab12cdef").touch()
    (model / f"saved_model.pb.tmp{'0f' * 16}").touch()
    (model / "variables" / "variables.data-00000-of-00001.tempstate3").touch()
    assert recognise(str(tmp_path)).descend == (str(model),)
    (found,) = recognise(str(model)).found
    assert recognise(str(model)).descend == ()
    assert (found.path, found.hint) == (str(model), Format.SAVEDMODEL)
    assert [m.name for m in found.generation.members] == [
        "/assets.extra/golden.npz",
        "/assets/tmpab12cdef",
        "/assets/vocabulary.txt",
        "/fingerprint.pb",
        "/saved_model.pb",
        "/variables/variables.data-00000-of-00001",
        "/variables/variables.index",
    ]
    assert generation_of(str(model), Format.SAVEDMODEL) == found.generation


def test_what_lies_beside_the_parts_of_a_savedmodel_is_found_for_itself(tmp_path: Path) -> None:
    """It is no member, whatever happens to it; other directories are walked, parts are not."""
    savedmodel(tmp_path / "m")
    before = generation_of(str(tmp_path / "m"), Format.SAVEDMODEL)
    archive(tmp_path / "m" / "best.keras")
    bundle(tmp_path / "m" / "cp_weights.ckpt")
    (tmp_path / "m" / "logs").mkdir()
    archive(tmp_path / "m" / "assets" / "inner.keras")
    result = recognise(str(tmp_path / "m"))
    assert {(Path(f.path).name, f.hint) for f in result.found} == {
        ("m", Format.SAVEDMODEL),
        ("best.keras", Format.KERAS),
        ("cp_weights.ckpt", Format.TF_CHECKPOINT),
    }
    assert result.descend == (str(tmp_path / "m" / "logs"),)
    (tmp_path / "m" / "assets" / "inner.keras").unlink()
    assert generation_of(str(tmp_path / "m"), Format.SAVEDMODEL) == before


def test_a_directory_called_like_a_graph_is_no_graph(tmp_path: Path) -> None:
    """`tf.saved_model.save(model, "run/saved_model.pb")` makes one, with the SavedModel inside."""
    savedmodel(tmp_path / "saved_model.pb")
    assert recognise(str(tmp_path)).found == ()
    assert recognise(str(tmp_path)).descend == (str(tmp_path / "saved_model.pb"),)


def test_a_prefix_may_be_empty(tmp_path: Path) -> None:
    """`save_weights("dir/")` writes `dir/.index` and `dir/.data-00000-of-00001`."""
    for file in bundle(tmp_path / "run" / "x"):
        file.rename(file.with_name(file.name.removeprefix("x")))
    (found,) = recognise(str(tmp_path / "run")).found
    assert (found.path, found.hint) == (f"{tmp_path}/run/", Format.TF_CHECKPOINT)
    assert [m.name for m in found.generation.members] == [".data-00000-of-00001", ".index"]
    assert generation_of(found.path, found.hint) == found.generation
    assert probe(found).state is ProbeState.COMPLETE


def test_a_savedmodel_is_found_before_its_graph_is_there(tmp_path: Path) -> None:
    """Its variables are written first; an empty `variables/` alone is how it begins."""
    begun = tmp_path / "begun"
    (begun / "variables").mkdir(parents=True)
    running = tmp_path / "running"
    (running / "variables" / "variables_temp").mkdir(parents=True)
    (running / "variables" / "variables_temp" / "part-00000-of-00001.index").touch()
    bundle(tmp_path / "later" / "variables" / "variables")
    assert recognise(str(begun)).descend == ()
    assert recognise(str(running)).descend == ()
    (found,) = recognise(str(tmp_path / "later")).found
    assert found.hint is Format.SAVEDMODEL


def test_a_directory_called_variables_is_not_enough_for_a_savedmodel(tmp_path: Path) -> None:
    """A user's own folder of that name is walked."""
    bundle(tmp_path / "variables" / "ckpt-1")
    assert recognise(str(tmp_path)).descend == (str(tmp_path / "variables"),)
    (tmp_path / "run" / "variables").mkdir(parents=True)
    (tmp_path / "run" / "notes.txt").touch()
    assert recognise(str(tmp_path / "run")).descend == (str(tmp_path / "run" / "variables"),)


def test_sharded_weights_are_one_checkpoint_with_their_map(tmp_path: Path) -> None:
    """Shards lie beside the map; without a map they are files like any other."""
    for name in ("m_00000.weights.h5", "m_00001.weights.h5", "n_00001.weights.h5"):
        (tmp_path / name).touch()
    assert len(names(tmp_path)) == 3
    (tmp_path / "m.weights.json").touch()
    found = {Path(f.path).name: f for f in recognise(str(tmp_path)).found}
    assert set(found) == {"m.weights.json", "n_00001.weights.h5"}
    whole = found["m.weights.json"]
    members = [member_path(whole.path, m.name) for m in whole.generation.members]
    parts = ("m.weights.json", "m_00000.weights.h5", "m_00001.weights.h5")
    assert members == [str(tmp_path / name) for name in parts]
    assert generation_of(whole.path, whole.hint) == whole.generation


@pytest.mark.parametrize(
    ("name", "where", "directory"),
    [
        (".nfs000000000000abcd00000001", "assets", False),
        (".vocabulary.txt.Xy3abC", "assets", False),
        ("variables.index.tempstate17", "variables", False),
        ("part-00000-of-00001.index", "variables_temp", False),
        (".rsync-partial", "", True),
        (".checkpointd-tmp-1", "assets", True),
    ],
)
def test_what_is_left_out_of_a_savedmodel_is_said_by_one_rule(
    tmp_path: Path, name: str, where: str, *, directory: bool
) -> None:
    """Temporary names change no generation, and `is_left_out` names exactly these."""
    savedmodel(tmp_path)
    before = generation_of(str(tmp_path), Format.SAVEDMODEL)
    home = tmp_path / where
    home.mkdir(exist_ok=True)
    if directory:
        (home / name).mkdir()
        (home / name / "half").touch()
    else:
        (home / name).touch()
    assert generation_of(str(tmp_path), Format.SAVEDMODEL) == before
    assert is_left_out(name, home.name, is_directory=directory)
    for member in before.members:
        own = Path(f"{tmp_path}{member.name}")
        assert not is_left_out(own.name, own.parent.name, is_directory=False)


def test_names_with_newlines_and_broken_bytes_are_names(tmp_path: Path) -> None:
    """Whatever the file system holds is found, looked at and probed."""
    strange = ["a\nb.h5", os.fsdecode(b"\xff\xfe.keras"), "\n", "é.h5", " "]
    for name in strange:
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    bundle(tmp_path / os.fsdecode(b"ck\xff\n-1"))
    found = recognise(str(tmp_path)).found
    assert {Path(f.path).name for f in found} == {*strange, os.fsdecode(b"ck\xff\n-1")}
    for candidate in found:
        assert candidate.generation.key
        assert probe(candidate).state in ProbeState
        assert generation_of(candidate.path, candidate.hint) == candidate.generation


def test_a_generation_changes_with_every_identity_that_a_member_has(tmp_path: Path) -> None:
    """Rewriting, touching and replacing a member each make another generation."""
    files = bundle(tmp_path / "c")
    seen = {generation_of(str(tmp_path / "c"), Format.TF_CHECKPOINT)}
    os.utime(files[0], ns=(1, 1))
    seen.add(generation_of(str(tmp_path / "c"), Format.TF_CHECKPOINT))
    files[0].write_bytes(b"other")
    seen.add(generation_of(str(tmp_path / "c"), Format.TF_CHECKPOINT))
    files[0].unlink()
    seen.add(generation_of(str(tmp_path / "c"), Format.TF_CHECKPOINT))
    assert len(seen) == 4


@pytest.mark.parametrize("kind", [Format.SAVEDMODEL, Format.TF_CHECKPOINT, Format.HDF5])
def test_a_checkpoint_that_is_gone_has_no_generation(tmp_path: Path, kind: Format) -> None:
    """The caller learns it by FileNotFoundError, also when the whole directory went."""
    with pytest.raises(FileNotFoundError):
        generation_of(str(tmp_path / "gone"), kind)
    with pytest.raises(FileNotFoundError):
        generation_of(str(tmp_path / "no" / "gone"), kind)


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(tmp_path: Path) -> None:
    """A failed listing must never look as if all checkpoints were gone."""
    with pytest.raises(FileNotFoundError):
        recognise(str(tmp_path / "gone"))


def test_a_thousand_entries_cost_one_listing_and_one_look_at_each(tmp_path: Path) -> None:
    """However large a directory is, it is walked once."""
    for index in range(250):
        for end in (".index", ".data-00000-of-00001", ".weights.h5", ".txt"):
            os.close(os.open(tmp_path / f"m-{index}{end}", os.O_CREAT | os.O_WRONLY))
    meter = Metered()
    result = recognise(str(tmp_path), meter)
    assert len(result.found) == 750
    assert (meter.scans, meter.stats, meter.read) == (1, 1_000, {})
