"""Links that lead out of a root are named, because nobody follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.watch.directory_tree import DirectoryTree
from checkpointd.watch.globs import select
from checkpointd.watch.links import explain_links

if TYPE_CHECKING:
    from pathlib import Path


def test_links_to_runs_and_to_checkpoints_elsewhere_are_named(tmp_path: Path) -> None:
    """Not those to what is found in the root, to other files, to nowhere, or that are excluded."""
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    (root / "run").mkdir(parents=True)
    (scratch / "exp1").mkdir(parents=True)
    for name in ("a.keras", "ckpt-1.index", "ckpt-1.data-00000-of-00001", "events.csv"):
        (scratch / name).write_text("x")
    (root / "run" / "m.keras").write_text("x")
    for name, target in {
        "exp1": scratch / "exp1",
        "a.keras": scratch / "a.keras",
        "run/ckpt-1.index": scratch / "ckpt-1.index",
        "run/ckpt-1.data-00000-of-00001": scratch / "ckpt-1.data-00000-of-00001",
        "events.csv": scratch / "events.csv",
        "best.keras": root / "run" / "m.keras",
        "latest": root / "run",
        "nowhere.keras": tmp_path / "missing",
        "excluded": scratch / "exp1",
    }.items():
        (root / name).symlink_to(target)
    tree = DirectoryTree(str(root), select(exclude=("excluded",)))
    list(tree.reconcile())
    found = sorted(link.removeprefix(f"{root}/") for link in tree.links_leaving())
    assert found == ["a.keras", "exp1", "run/ckpt-1.data-00000-of-00001"]


def test_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    """It names a link and where it leads."""
    (tmp_path / "exp1").symlink_to("/")
    assert explain_links([]) == ""
    one = explain_links([str(tmp_path / "exp1")])
    assert one.startswith("1 link leads out of the root and is not followed, such as")
    assert one.endswith("add a watch for '/' or a directory above it.")
    two = explain_links([str(tmp_path / "exp2"), str(tmp_path / "exp1")])
    assert two.startswith("2 links lead out of the root and are not followed")
