"""A training job whose interpreter has no TensorFlow: Keras 3 on JAX or torch."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.golden import backends
from checkpointd.training.writers import check_writable

_IMPORTS = """
import sys
sys.modules["tensorflow"] = None
import checkpointd.training
from checkpointd.golden import backends, model_runner
from checkpointd.training import digests, recording, saving, writers
"""


def library(backend: str) -> SimpleNamespace:
    """As much of Keras as tells its backend."""
    return SimpleNamespace(backend=SimpleNamespace(backend=lambda: backend))


def test_nothing_that_a_job_imports_needs_tensorflow() -> None:
    """The import of TensorFlow is made to fail."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", [Format.SAVEDMODEL, Format.TF_CHECKPOINT])
def test_formats_of_tensorflow_are_refused_without_it(
    form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before training, with what to do instead."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"save as \.keras"):
        check_writable(library("jax"), form)
    check_writable(library("tensorflow"), form)
    check_writable(library("torch"), Format.KERAS)


def test_what_has_no_choice_of_a_backend_is_of_tensorflow() -> None:
    """A plain `tf.Module`, and Keras 2."""
    assert backends.name_of(None) == "tensorflow"
    assert backends.name_of(library("torch")) == "torch"


def test_a_backend_that_reports_no_device_is_named_all_the_same() -> None:
    """Saving comes first: what another version names otherwise is left out of the record."""
    assert backends.describe_device("nothing") == {"backend": "nothing"}
