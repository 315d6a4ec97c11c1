"""Which tensors are paired, and that what is not certain is not."""

from __future__ import annotations

from checkpointd.verify.scan.diff.pairs import CONTENT, LAYER, RENUMBERED, Pairing, Tensor, pair


def tensors(*rows: tuple[str, tuple[int, ...], int], role: str = "model") -> list[Tensor]:
    """Make tensors from name, shape and checksum; numbered ones hold their layer in the name."""
    return [
        Tensor(
            number=number,
            name=name,
            key=f"layers/{name}" if "/vars/" in name else name,
            layer=name.split("/vars/")[0] if "/vars/" in name else "",
            role=role,
            dtype="float32",
            shape=shape,
            content=crc,
        )
        for number, (name, shape, crc) in enumerate(rows)
    ]


def names(found: Pairing) -> dict[tuple[str, str], str]:
    """Return the pairs as names, and why."""
    return {(p.first.name, p.second.name): p.by for p in found.pairs}


def test_numbered_variables_are_paired_in_the_order_in_which_keras_makes_them() -> None:
    """Four vectors of one shape, all with other values: only the order distinguishes them."""
    numbered = tensors(*((f"bn/vars/{i}", (4,), i) for i in range(4)))
    named = tensors(
        *(
            (f"bn/{leaf}", (4,), 100 + i)
            for i, leaf in enumerate(("beta", "gamma", "moving_mean", "moving_variance"))
        )
    )
    found = pair(numbered, named)
    assert names(found) == {
        ("bn/vars/0", "bn/gamma"): LAYER,
        ("bn/vars/1", "bn/beta"): LAYER,
        ("bn/vars/2", "bn/moving_mean"): LAYER,
        ("bn/vars/3", "bn/moving_variance"): LAYER,
    }


def test_variables_of_an_unknown_order_stay_unpaired() -> None:
    """A guess would report differences of weights of one shape that are none."""
    numbered = tensors(("mine/vars/0", (4,), 1), ("mine/vars/1", (4,), 2))
    named = tensors(("mine/alpha", (4,), 3), ("mine/omega", (4,), 4))
    found = pair(numbered, named)
    assert not found.pairs
    assert [len(side) for side in found.unclear] == [2, 2]


def test_equal_content_pairs_what_names_do_not() -> None:
    """A renamed layer whose weights stayed."""
    found = pair(
        tensors(("a/kernel", (4, 4), 1), ("a/bias", (4,), 2)),
        tensors(("head/kernel", (4, 4), 1), ("head/bias", (4,), 2)),
    )
    assert set(names(found).values()) == {CONTENT}


def test_a_renamed_layer_that_was_trained_on_is_gone_and_new() -> None:
    """Where both sides name their variables, only a name distinguishes them."""
    found = pair(tensors(("a/kernel", (4, 4), 1)), tensors(("b/kernel", (4, 4), 2)))
    assert [t.name for t in found.gone] == ["a/kernel"]
    assert [t.name for t in found.appeared] == ["b/kernel"]


def test_a_model_that_was_built_again_has_other_numbers_in_the_same_order() -> None:
    """`dense_1` of the one is not `dense_1` of the other."""
    found = pair(
        tensors(("dense/kernel", (4, 4), 1), ("dense_1/kernel", (4, 4), 2)),
        tensors(("dense_1/kernel", (4, 4), 3), ("dense_2/kernel", (4, 4), 4)),
    )
    assert names(found) == {
        ("dense/kernel", "dense_1/kernel"): RENUMBERED,
        ("dense_1/kernel", "dense_2/kernel"): RENUMBERED,
    }


def test_roles_are_not_mixed() -> None:
    """A weight is never paired with an optimizer's variable of the same content."""
    found = pair(tensors(("a", (4,), 1)), tensors(("a", (4,), 1), role="optimizer"))
    assert (len(found.gone), len(found.appeared)) == (1, 1)
