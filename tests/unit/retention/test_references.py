"""What `checkpoint` state files and symbolic links below a root name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.retention import find_references

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-6"\n', "run/ckpt-7"),
        ('all_model_checkpoint_paths: "ckpt-6"\nmodel_checkpoint_path: "ckpt-7"', "run/ckpt-7"),
        ('model_checkpoint_path: "/another/mount/ckpt-7"\n', "run/ckpt-7"),
        (r'model_checkpoint_path: "a\"b\\c\303\251\n"', 'run/a"b\\cé\n'),
        (r'model_checkpoint_path: "\377"', "run/\udcff"),
    ],
)
def test_a_state_file_names_the_one_to_resume_from(tmp_path: Path, text: str, named: str) -> None:
    """Escapes are TensorFlow's text format; a moved directory does not hide what is meant."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_text(text)
    found = find_references(str(tmp_path))
    assert f"{tmp_path}/{named}" in found.paths
    assert f"{tmp_path}/run/ckpt-6" not in found.paths
    assert found.errors == ()


def test_a_state_file_of_another_name_counts_too(tmp_path: Path) -> None:
    """`latest_filename` may be anything; what begins like a state file and reads like one is."""
    (tmp_path / "checkpoint_best").write_text('model_checkpoint_path: "best-3"\n')
    (tmp_path / "checkpoint.txt").write_text("my notes")
    assert f"{tmp_path}/best-3" in find_references(str(tmp_path)).paths


def test_a_link_names_where_it_leads_in_the_end(tmp_path: Path) -> None:
    """Chains are followed, also from a root that is itself reached by a link."""
    real = tmp_path / "real"
    (real / "exports" / "7").mkdir(parents=True)
    (real / "exports" / "latest").symlink_to("7")
    (real / "serving").symlink_to("exports/latest")
    (real / "dangling").symlink_to("nowhere")
    (tmp_path / "root").symlink_to("real")
    root = f"{tmp_path}/root"
    found = find_references(root)
    assert f"{root}/exports/7" in found.paths
    assert found.errors == ()


def test_the_trash_names_nothing(tmp_path: Path) -> None:
    """A state file that was moved away holds nothing back."""
    trash = tmp_path / ".checkpointd-trash"
    trash.mkdir()
    (trash / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (tmp_path / "ckpt-1.index").write_text("")
    assert find_references(str(tmp_path)).paths == frozenset()


def test_an_empty_or_missing_root_is_trouble(tmp_path: Path) -> None:
    """A mount point without its mount looks just like this."""
    assert "empty: is it mounted?" in find_references(str(tmp_path)).errors[0]
    assert "does not exist" in find_references(f"{tmp_path}/missing").errors[0]


def test_odd_things_called_checkpoint_are_no_trouble(tmp_path: Path) -> None:
    """A pipe does not block, a directory is walked, rubbish names nothing."""
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "checkpoint")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint").write_bytes(b"\x00\xff model_checkpoint_path")
    assert find_references(str(tmp_path)) == find_references(str(tmp_path))
    assert find_references(str(tmp_path)).errors == ()


def test_what_a_state_file_lists_is_distinguished_from_the_one_to_resume_from(
    tmp_path: Path,
) -> None:
    """Paths of a directory that was moved since fit as far as their last components do."""
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "/old/run/sub/ckpt-7"  # the latest\n'
        "all_model_checkpoint_paths: [ 'ckpt-5' , '../run/ckpt' '-6', \"/old/run/sub/ckpt-7\" ]"
    )
    found = find_references(str(tmp_path))
    assert {f"{tmp_path}/sub/ckpt-7", f"{tmp_path}/ckpt-7"} <= found.paths
    assert {f"{tmp_path}/ckpt-5", f"{tmp_path}/ckpt-6"} <= found.listed
    assert not found.listed & found.paths
    assert found.unreadable == ()


def test_a_state_file_of_any_name_counts_beside_checkpoints(tmp_path: Path) -> None:
    """`Saver(latest_filename="best")`; one that begins like one and is torn is a doubt as well."""
    (tmp_path / "ckpt-3.index").write_text("x")
    (tmp_path / "best").write_text('model_checkpoint_path: "ckpt-3"\n')
    (tmp_path / "latest").write_text('model_checkpoint_path: "ckpt-')
    (tmp_path / "notes").write_text("model: ckpt-4")
    found = find_references(str(tmp_path))
    assert f"{tmp_path}/ckpt-3" in found.paths
    assert [u.path for u in found.unreadable] == [f"{tmp_path}/latest"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\0" * 200, "it is not in protobuf's text format (line 1)"),
        (b'model_checkpoint_path: "ckpt-', "it is not in protobuf's text format (line 1)"),
        (b"model_checkpoint_path:", "it ends in the middle of a field (line 1)"),
        (b"ckpt-7\n", "it ends in the middle of a field (line 2)"),
        (b"step: 7\n", "it has a field that is not known: 'step'"),
        (b"all_model_checkpoint_paths: 'a'\n", "it names no latest one"),
        (
            b'model_checkpoint_path: "b"\nall_model_checkpoint_paths: "a"\n',
            "its end is missing: its list lacks its latest checkpoint",
        ),
    ],
)
def test_a_state_file_that_cannot_be_parsed_is_a_doubt(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """It is about what is in its directory and below, and about nothing else."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_bytes(content)
    found = find_references(str(tmp_path))
    assert found.errors == ()
    (unreadable,) = found.unreadable
    assert unreadable.reason == reason
    assert found.unreadable_for(f"{tmp_path}/run/below/ckpt-1") == unreadable
    assert found.unreadable_for(f"{tmp_path}/run2/ckpt-1") is None


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80\x04\x95", b"\x93NUMPY"]
)
def test_other_data_of_this_name_is_no_doubt(tmp_path: Path, content: bytes) -> None:
    """A job of another framework may call its file so."""
    (tmp_path / "checkpoint").write_bytes(content + bytes(100))
    found = find_references(str(tmp_path))
    assert found.unreadable == ()


def test_directories_of_links_are_searched(tmp_path: Path) -> None:
    """Chains, links to members and into a SavedModel, state files, and the root by another path."""
    root = tmp_path / "root"
    (root / "run" / "7" / "variables").mkdir(parents=True)
    (root / "run" / "ckpt-5.index").write_text("x")
    (root / "run" / "7" / "saved_model.pb").write_text("x")
    (tmp_path / "alias").symlink_to("root")
    models = tmp_path / "srv" / "models"
    (models / "deep").mkdir(parents=True)
    (models / "deep" / "a").symlink_to("../b")
    (models / "b").symlink_to(tmp_path / "alias" / "run" / "ckpt-4")
    (models / "c").symlink_to(root / "run" / "ckpt-5.index")
    (models / "d").symlink_to("../../alias/run/7/saved_model.pb")
    (models / "checkpoint").write_text(f'model_checkpoint_path: "{tmp_path}/alias/run/ckpt-6"')
    found = find_references(str(root), links=[str(tmp_path / "srv")])
    wanted = ("ckpt-4", "ckpt-5.index", "7/saved_model.pb", "ckpt-6")
    assert {f"{root}/run/{name}" for name in wanted} <= found.paths
    assert found.link_errors == ()


def test_a_directory_of_links_that_cannot_be_searched_is_a_doubt(tmp_path: Path) -> None:
    """It may not be mounted."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "ckpt").write_text("x")
    (tmp_path / "empty").mkdir()
    links = [f"{tmp_path}/empty", f"{tmp_path}/missing"]
    found = find_references(str(tmp_path / "root"), links=links)
    assert found.errors == ()
    assert "is empty: is it mounted?" in found.link_errors[0]
    assert "does not exist" in found.link_errors[1]


def test_a_state_file_above_the_root_counts_if_it_begins_like_one(tmp_path: Path) -> None:
    """`CheckpointManager(directory, checkpoint_name="root/ckpt")`; a stranger's file is none."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "ckpt-7.index").write_text("x")
    (tmp_path / "checkpoint").write_text("my notes")
    found = find_references(str(tmp_path / "root"))
    assert (found.unreadable, found.errors) == ((), ())
    text = 'model_checkpoint_path: "root/ckpt-7"\nall_model_checkpoint_paths: "root/ckpt-6"\n'
    (tmp_path / "checkpoint").write_text(text + 'all_model_checkpoint_paths: "root/ckpt-7"\n')
    found = find_references(str(tmp_path / "root"))
    assert f"{tmp_path}/root/ckpt-7" in found.paths
    assert f"{tmp_path}/root/ckpt-6" in found.listed


_SPECIFIC = """
model_config_list: {
  config: {
    name: 'net',
    base_path: '/models/resnet/'   # as the container calls it
    model_version_policy: { specific: { versions: 2
      versions: 3  # versions: 4
    } }
    version_labels { key: 'stable' value: 5 }
  }
  config { name: "other" base_path: "gs://bucket/other" model_version_policy { all {} } }
"""


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        (_SPECIFIC, {"00000002", "3", "5"}),
        ("model_config_list { config { base_path: 'resnet' } }", set()),
        (
            "model_config_list < config < base_path: 'x/resnet' specific: { versions: [3, 2",
            {"00000002", "3"},
        ),
        (
            "model_config_list { config { base_path: '/resnet' latest { num_versions: 2 } } }",
            {"10", "5"},
        ),
        (
            "model_config_list { config { base_path: '/resnet' model_version_policy { all {} } } }",
            {"00000002", "3", "4", "5", "10"},
        ),
        ("# base_path: resnet versions: 3", set()),
    ],
)
@pytest.mark.parametrize("place", ["models.config", "top/models.config.b", "top/x/model_config"])
def test_a_config_of_tensorflow_serving_names_versions(
    tmp_path: Path, place: str, text: str, versions: set[str]
) -> None:
    """In the root or in the directory above it; a model is found by the name of its directory."""
    top = tmp_path / "top"
    for version in ("00000002", "3", "4", "5", "10", "temp-3"):
        (top / "a" / "resnet" / version).mkdir(parents=True)
    (top / "a" / "unet" / "3").mkdir(parents=True)
    (top / "a" / "config.json").write_text(text)
    config = tmp_path / place
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    found = find_references(str(top))
    assert found.served == {f"{top}/a/resnet/{version}": str(config) for version in versions}
    assert found.errors == ()
    assert found.unreadable == ()
