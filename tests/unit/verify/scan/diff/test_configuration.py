"""Sentences about configurations and signatures."""

from __future__ import annotations

from checkpointd.verify.scan.diff.configuration import differences, of_signatures


def layer(name: str, units: int) -> dict[str, object]:
    """A layer as Keras stores it."""
    return {
        "class_name": "Dense",
        "module": "keras.layers",
        "config": {"name": name, "units": units},
    }


def test_a_changed_setting_is_named_by_its_layer() -> None:
    """However many layers come before it."""
    one = {"layers": [layer("a", 4), layer("b", 5)]}
    other = {"layers": [layer("new", 1), layer("a", 4), layer("b", 6)]}
    found = differences(one, other, "", same_writer=True)
    assert "layers/b/config/units: 5 -> 6" in found
    assert not any(line.startswith("layers/a/") for line in found)
    assert "layers/new/config/units: nothing -> 1" in found


def test_what_another_version_adds_is_no_difference() -> None:
    """A key that one writer does not know."""
    assert not differences({"a": 1}, {"a": 1, "quantization_config": None}, "", same_writer=False)


def test_signatures_are_compared_by_name_shape_and_type() -> None:
    """New, gone, and other inputs."""
    one = {"serve": {"inputs": [["x", "float32", [None, 3]]], "outputs": []}, "old": {}}
    other = {"serve": {"inputs": [["x", "float32", [None, 4]]], "outputs": []}, "new": {}}
    assert of_signatures(one, other) == [
        "old is gone",
        "new is new",
        "serve takes x float32 [None, 3] -> x float32 [None, 4]",
    ]
