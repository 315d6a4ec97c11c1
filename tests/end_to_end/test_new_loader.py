"""A loader is added by one row and one module: `verify` and the manual know it then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.helpers import models
from tests.helpers.extended import Extended

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
"""Loads every .keras file as the same function."""

from checkpointd.core.check_result import passed
from checkpointd.verify.load.loaded import Loaded, Signature, ArraySpec
from checkpointd.verify.load.loaders.attempt import Attempt


def load(source, spec, earlier):
    x, y = ArraySpec("x", "float32", (None, 2)), ArraySpec("y", "float32", (None, 2))
    signature = Signature((x,), (y,), lambda arrays: {"y": arrays["x"] * 2})
    result = passed("load", "Loaded by the toy.", loader=spec.name)
    return Attempt(spec, Loaded(None, None, {"double": signature}), result, is_final=True)
'''

ROW = """    LoaderSpec(
        name="toy",
        summary="a toy that doubles",
        formats=(Format.KERAS,),
        load="checkpointd.verify.load.loaders.toy:load",
        first_for=(3,),
    ),
"""


def test_one_row_adds_a_loader(tmp_path: Path) -> None:
    """It comes before the rows below it, the checks run what it loads, the manual lists it."""
    extended = Extended(tmp_path)
    extended.write("verify/load/loaders/toy.py", MODULE)
    extended.insert(
        "core/loader_specs.py",
        '    LoaderSpec(\n        name="keras",\n        summary="`load_model`',
        ROW,
    )
    path = tmp_path / "model.keras"
    models.sequential(models.library("keras"), trained=False).save(path)
    done = extended.run("-m", "checkpointd", "verify", "--json", str(path), home=tmp_path)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["verdict"] == "valid", done.stderr
    assert checks["load"]["details"]["loader"] == "toy"
    assert checks["inference"]["outcome"] == "pass"
    assert "double" in checks["inference"]["message"]
    manual = extended.run("-m", "checkpointd", "docs", "formats", home=tmp_path)
    assert "a toy that doubles" in manual.stdout, manual.stderr
