"""A pickled module of torch in a configuration: what it would import is read, never run."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import pytest

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.scan.safety.keras import judge


def stored(names: str) -> str:
    """A module as `torch.save` writes it, whose pickle imports these names."""
    globals_ = b"".join(b"c%s\n%s\n" % tuple(n.encode().split(b" ")) for n in names.split("|"))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + globals_ + b".")
    return base64.b64encode(file.getvalue()).decode()


def words(module: Any) -> list[str]:
    """What is found in a configuration with this module."""
    layer = {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}}
    layer["config"] = {"name": "t", "module": module}
    return [finding.word for finding in judge([layer], VerifySettings())]


@pytest.mark.parametrize(
    "names",
    [
        "torch.nn.modules.linear Linear|torch._utils _rebuild_tensor_v2|torch FloatStorage",
        "torch.nn.modules.linear Linear|__builtin__ set|collections OrderedDict|mynet Net",
        "mynet Net|numpy.core.multiarray _reconstruct|numpy ndarray|numpy dtype",
    ],
)
def test_layers_of_torch_and_the_users_classes_need_to_be_allowed(names: str) -> None:
    """It is unpickled only with allow_code, as the code of a Lambda layer is run."""
    assert words(stored(names)) == ["needs_code"]


@pytest.mark.parametrize(
    "names",
    [
        "torch.nn.modules.linear Linear|posix system",
        "builtins eval",
        "torch.hub load",
        "torch.nn.modules.module warn",
        "numpy.testing._private.utils runstring",
        "functools partial",
        "subprocess Popen",
    ],
)
def test_a_pickle_that_calls_something_else_is_code(names: str) -> None:
    """No module of torch is made of it."""
    assert words(stored(names)) == ["code"]


@pytest.mark.parametrize("module", ["gASV", None, 7, [], base64.b64encode(b"PK").decode()])
def test_what_cannot_be_read_is_code(module: Any) -> None:
    """Nobody can say what it would call."""
    assert words(module) == ["code"]


def test_names_that_are_computed_are_code() -> None:
    """`torch.save` names what it imports in plain text."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x04\x8c\x08torch.nn\x8c\x06Linear\x93.")
    assert words(base64.b64encode(file.getvalue()).decode()) == ["code"]
