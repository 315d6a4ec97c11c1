"""Digests against those that `model_signing sign key` of model-signing 1.1.1 wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.attestation import digests
from checkpointd.attestation.digests import FileDigest

if TYPE_CHECKING:
    from pathlib import Path

OF_DIRECTORY = "6ef82fafa2bbd8723999887e39bd135a64414ac6d11f70fa40f0642412470486"
OF_FILE = "bf5d3affb73efd2ec6c36ad3112dd933efed63c4e1cbffcfa88e2759c144f2d8"
"""What it signed for the directory that `model` makes, and for its a.txt alone."""


def model(directory: Path) -> list[FileDigest]:
    """Make the model, and return the digests of its files."""
    contents = {"a.txt": b"a", "d/b.bin": b"\0\1\2\3", "d.txt": b"zz"}
    found = []
    for name, data in contents.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        found.append(FileDigest(name, *digests._of_file(str(path))))
    return found


def test_the_digest_is_the_one_of_model_signing(tmp_path: Path) -> None:
    """Of a directory, whatever the order of its files, and of a single file."""
    files = model(tmp_path)
    assert digests.of_model(files) == digests.of_model(reversed(files)) == OF_DIRECTORY
    assert digests.of_model([FileDigest(".", 1, files[0].sha256)]) == OF_FILE


def test_names_are_those_below_the_model() -> None:
    """A directory's files, those of a prefix, a single file, and shards beside a map."""
    name = digests.name_in_model
    assert name("/r/m", "/variables/variables.index", alone=False) == "variables/variables.index"
    assert name("/r/ckpt-7", ".index", alone=False) == "ckpt-7.index"
    assert name("/r/a.keras", "", alone=True) == "."
    assert name("/r/a.weights.json", "", alone=False) == "a.weights.json"
    assert name("/r/a.weights.json", "/../a_0.weights.h5", alone=False) == "a_0.weights.h5"


def test_differences_name_the_files(tmp_path: Path) -> None:
    """Also where contents were swapped, which Model Signing's own digest may not show."""
    one, two, three = model(tmp_path)
    swapped = [FileDigest(one.name, one.size, two.sha256), two]
    assert digests.differences([one, two], swapped) == ["a.txt has other content"]
    assert digests.differences([one, two], [one, three]) == [
        "d/b.bin is missing",
        "d.txt is not in it",
    ]
    renamed = FileDigest("d/c.bin", two.size, two.sha256)
    assert digests.of_model([one, two]) == digests.of_model([one, renamed])
    assert len(digests.differences([one, two], [one, renamed])) == 2
