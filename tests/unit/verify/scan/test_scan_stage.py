"""The scan side over containers built by hand: every end and the reasons it gives."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End
from checkpointd.golden import Golden
from checkpointd.retention.files import record_beside
from checkpointd.verify.keras_files import keras_config
from checkpointd.verify.scan.farmhash import fingerprint64
from checkpointd.verify.scan.inspect import inspect
from checkpointd.verify.scan.scan_stage import scan
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.files import flip
from tests.helpers.scan import request_for, scanned, seeded, write_weights

WEIGHTS = {"dense": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}


def test_a_good_weights_file_passes_with_its_totals(tmp_path: Path) -> None:
    """Format, counts and the norm are learned on the way."""
    write_weights(tmp_path / "m.weights.h5", WEIGHTS)
    result = scanned(tmp_path / "m.weights.h5")
    assert result.clean
    assert result.facts.format is Format.HDF5_WEIGHTS
    assert (result.facts.tensor_count, result.facts.parameter_count) == (1, 12)
    assert result.facts.weight_norm == pytest.approx(np.linalg.norm(WEIGHTS["dense"]))
    assert len(result.facts.digest) == 64


def test_a_truncated_file_is_incomplete_and_says_what_is_missing(tmp_path: Path) -> None:
    """Whether it is being written or torn is for the fence: here it is only not whole."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    cut = seeded().randrange(1, path.stat().st_size)
    path.write_bytes(path.read_bytes()[:cut])
    result = scanned(path)
    assert result.end is End.INCOMPLETE
    assert result.checks["structure"].reason == "structure.truncated"
    assert result.checks["integrity"].outcome is Outcome.SKIP


def test_a_pipe_in_place_of_a_golden_record_is_not_waited_for(tmp_path: Path) -> None:
    """It is no record; to open it would be to wait for somebody who writes."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    os.mkfifo(golden.path_for(str(path), Format.HDF5_WEIGHTS))
    assert scanned(path).clean


def test_a_data_set_is_unknown(tmp_path: Path) -> None:
    """HDF5 that holds no model is counted and left alone."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.ones(5)
    assert scanned(tmp_path / "data.h5").end is End.UNKNOWN


def test_a_cache_of_tf_data_is_unknown(tmp_path: Path) -> None:
    """Bundles whose keys are numbers hold no variables."""
    write_bundle(tmp_path / "cache", {"0_0": np.ones(3, np.float32), "0_1": np.ones(3, np.float32)})
    assert scanned(tmp_path / "cache").end is End.UNKNOWN


def test_what_changed_since_it_was_seen_is_superseded(tmp_path: Path) -> None:
    """A verdict belongs to one generation."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    request = request_for(path)
    write_weights(path, {"dense": np.zeros(99, np.float32)})
    assert scan(request, lambda _: None)[0] is End.SUPERSEDED


def test_what_changes_while_it_is_read_is_superseded(tmp_path: Path) -> None:
    """Identity is compared after reading, too."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    end, _, _ = scan(request_for(path), lambda _: os.utime(path, ns=(1, 1)))
    assert end is End.SUPERSEDED


def test_what_vanishes_while_it_is_read_is_superseded(tmp_path: Path) -> None:
    """A checkpoint that its trainer removed is nobody's fault."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    end, _, _ = scan(request_for(path), lambda _: path.unlink(missing_ok=True))
    assert end is End.SUPERSEDED


def test_nan_in_a_weight_is_a_failure_although_the_file_is_intact(tmp_path: Path) -> None:
    """Integrity and content are two questions."""
    values = np.ones((4, 4), np.float32)
    values[0, :3] = np.nan
    write_weights(tmp_path / "m.weights.h5", {"dense": values})
    result = scanned(tmp_path / "m.weights.h5")
    assert result.checks["integrity"].outcome is Outcome.PASS
    assert result.reasons == ["finite.nan"]
    assert result.checks["finite"].message == "dense/vars/0: 3 of 16 values are NaN"
    assert result.facts.non_finite_values == 3


def test_a_flipped_bit_in_a_bundle_keeps_finite_from_running(tmp_path: Path) -> None:
    """Statistics of bytes that are not those that were written say nothing."""
    write_bundle(tmp_path / "ckpt-1", {f"w{VALUE}": np.ones(9, np.float32)})
    flip(tmp_path / "ckpt-1.data-00000-of-00001", 8)
    result = scanned(tmp_path / "ckpt-1")
    assert result.reasons == ["integrity.checksum_mismatch"]
    assert result.checks["finite"].message == "Not run, because integrity failed."


@pytest.mark.parametrize("skip", [("structure",), ("integrity",), ("structure", "integrity")])
def test_finite_is_judged_also_where_the_checks_before_it_are_switched_off(
    tmp_path: Path, skip: tuple[str, ...]
) -> None:
    """What a check needs is read when it is needed."""
    write_weights(tmp_path / "m.weights.h5", {"dense": np.array([np.inf], np.float32)})
    assert scanned(tmp_path / "m.weights.h5", skip=skip).reasons == ["finite.inf"]


def bound_record(path: Path, kind: Format, digests: tuple[golden.Digest, ...]) -> None:
    """Leave a record beside a weights file that is bound to it."""
    with h5py.File(path, "a") as file:
        file.attrs[golden.SAVE_ID_ATTRIBUTE] = "abc"
    record = Golden(
        digests=digests,
        binding=golden.binding_of(str(path), kind),
        content=golden.content_of(str(path), kind),
        metrics={"loss": 0.5},
        step=7,
    )
    golden.write(golden.path_for(str(path), kind), record)


def test_the_digests_of_a_bound_record_catch_a_flipped_bit_in_hdf5(tmp_path: Path) -> None:
    """HDF5 has no checksums: the record is what shows that a weight is another."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    bound_record(path, Format.HDF5_WEIGHTS, (golden.digest_of("dense/kernel", WEIGHTS["dense"]),))
    result = scanned(path)
    assert result.clean
    assert (result.facts.has_golden, result.facts.step) == (True, 7)
    assert result.facts.metrics == {"loss": 0.5}
    with h5py.File(path, locking=False) as file:
        offset = file["layers/dense/vars/0"].id.get_offset()
    flip(path, offset + 5)
    result = scanned(path)
    assert result.reasons == ["integrity.digest_mismatch"]
    assert "dense/kernel" in result.checks["integrity"].message


def test_a_flipped_bit_in_a_name_is_caught_although_every_weight_is_as_it_was(
    tmp_path: Path,
) -> None:
    """A layer called dEnse is one that no model asks for."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    digest = golden.digest_of("dense/kernel", WEIGHTS["dense"])
    bound_record(path, Format.HDF5_WEIGHTS, (digest,))
    flip(path, path.read_bytes().index(b"dense\0") + 1, 5)
    with h5py.File(path, locking=False) as file:
        assert golden.digest_of("", file["layers/dEnse/vars/0"][()]).crc32 == digest.crc32
    assert scanned(path).reasons == ["integrity.checksum_mismatch"]


def test_a_record_of_an_older_checkpointd_says_nothing_of_the_rest_of_the_file(
    tmp_path: Path,
) -> None:
    """It counts for what it holds."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    bound_record(path, Format.HDF5_WEIGHTS, ())
    where = golden.path_for(str(path), Format.HDF5_WEIGHTS)
    golden.write(where, replace(golden.read(where), content=""))
    assert scanned(path).clean


def test_a_record_of_another_save_warns_and_is_not_used(tmp_path: Path) -> None:
    """A stale record counts as absent."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    bound_record(path, Format.HDF5_WEIGHTS, ())
    with h5py.File(path, "a") as file:
        file.attrs[golden.SAVE_ID_ATTRIBUTE] = "another"
    result = scanned(path)
    assert result.reasons == ["integrity.golden_unbound"]
    assert not result.facts.has_golden


def test_a_damaged_record_warns(tmp_path: Path) -> None:
    """The checkpoint is not to blame for its record."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    Path(golden.path_for(str(path), Format.HDF5_WEIGHTS)).write_bytes(b"rubbish")
    assert scanned(path).reasons == ["integrity.golden_unbound"]


def test_names_that_are_no_text_crash_nothing(tmp_path: Path) -> None:
    """A path may hold new lines and bytes that are not UTF-8."""
    directory = os.fsencode(tmp_path) + b"/a\nb\xff"
    path = Path(os.fsdecode(directory)) / "m.weights.h5"
    path.parent.mkdir()
    write_weights(path, WEIGHTS)
    assert scanned(path).clean


def test_inspect_lists_what_is_inside_without_reading_it(tmp_path: Path) -> None:
    """Names, types, shapes, bytes and roles, as JSON."""
    write_weights(tmp_path / "m.weights.h5", WEIGHTS)
    facts = inspect(str(tmp_path / "m.weights.h5"), Format.HDF5_WEIGHTS)
    json.dumps(facts)
    assert facts["tensors"] == [
        {
            "name": "dense/vars/0",
            "dtype": "float32",
            "shape": [3, 4],
            "bytes": 48,
            "role": "model",
            "decided_by": "path in the file: layers/dense/vars/0",
        }
    ]
    assert facts["totals"]["bytes"] == 48
    assert facts["problem"] == ""


def test_inspect_says_what_is_wrong_with_what_is_not_whole(tmp_path: Path) -> None:
    """A truncated file is shown as far as it goes."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, WEIGHTS)
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes" in inspect(str(path), Format.HDF5_WEIGHTS)["problem"]


@pytest.mark.parametrize(
    ("layer", "custom"),
    [
        ({"module": "keras.layers", "class_name": "Dense", "registered_name": None}, ()),
        ({"module": "mine", "class_name": "Mine", "registered_name": "Mine"}, ("Mine",)),
        ({"module": None, "class_name": "Mine", "registered_name": "pkg>Mine"}, ("Mine",)),
        ({"class_name": "Custom>Adam"}, ()),
        ({"module": "builtins", "class_name": "function", "config": "relu"}, ()),
    ],
)
def test_custom_objects_are_distinguished_from_keras_own(
    tmp_path: Path, layer: dict[str, object], custom: tuple[str, ...]
) -> None:
    """What has to be named in the config is what Keras does not bring."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    write_weights(tmp_path / "w.weights.h5", WEIGHTS)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.9.0"}')
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "w.weights.h5", "model.weights.h5")
    found = keras_config.read(str(tmp_path / "m.keras"), Format.KERAS)
    assert found.custom_objects == custom
    assert found.keras_version == "3.9.0"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0x9AE16A3B2F90404F),
        (b"a", 0xB3454265B6DF75E3),
        (b"TensorFlow", 0x3B32A5D4A84A82CE),
    ],
)
def test_the_fingerprint_is_a_number_of_64_bits(data: bytes, value: int) -> None:
    """Known values hold; against TensorFlow itself it is held in the integration tests."""
    assert fingerprint64(data) == value


def test_a_name_too_long_for_a_golden_record_is_no_damage(tmp_path: Path) -> None:
    """The name of a golden record is longer than its checkpoint's, and may be too long."""
    path = tmp_path / f"{'a' * 238}.weights.h5"
    write_weights(path, {"dense": np.ones((4, 3), np.float32)})
    assert scanned(path).clean
    parent = os.open(tmp_path, os.O_RDONLY)
    assert record_beside(parent, path.name) is None
    os.close(parent)
