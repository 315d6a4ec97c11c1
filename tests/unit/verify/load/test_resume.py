"""What the check `resume` decides without TensorFlow: optimizers as facts, and how they differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome, passed
from checkpointd.core.report import Digest, Facts
from checkpointd.core.request import Previous
from checkpointd.core.verdict import decide
from checkpointd.golden import Golden, GoldenError
from checkpointd.tensors import MODEL, OPTIMIZER, TensorStats, roles
from checkpointd.training.recording import describe_optimizer as recorded
from checkpointd.training.recording import split
from checkpointd.verify.load.optimizers import Optimizer, differences, from_config
from checkpointd.verify.load.resume import (
    fell_back,
    judge,
    named_in,
    names_no_optimizer,
    saved_optimizer,
)
from checkpointd.verify.load.train_step import TrainStep

STEPS = Digest("optimizer/vars/0", "int64", (), 7)
MOMENTUM = Digest("optimizer/vars/2", "float32", (3, 5), 11)
VELOCITY = Digest("optimizer/vars/3", "float32", (3, 5), 13)
ADAM = Optimizer(
    ("Adam",), {"learning_rate": 0.01, "beta_1": 0.9}, (STEPS, MOMENTUM, VELOCITY), 200
)


def stats(key: str, role: str) -> TensorStats:
    """A tensor as the scan side has read it."""
    return TensorStats(key, key, role, "float32", (2,), 8, 0, 0, 1.0, 17)


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("optimizer/vars/0", OPTIMIZER),
        ("optimizer/inner_optimizer/vars/0", OPTIMIZER),
        ("generator_optimizer/vars/0", OPTIMIZER),
        ("optimizer_weights/adam/iteration", OPTIMIZER),
        ("layers/optimizer/vars/0", OPTIMIZER),
        ("layers/dense/vars/0", MODEL),
        ("optimizer", MODEL),
    ],
)
def test_a_model_may_have_several_optimizers(key: str, role: str) -> None:
    """What Keras stores below an attribute that is called so is an optimizer's."""
    assert roles.of_hdf5(key).role == role


def test_the_same_optimizer_differs_in_nothing() -> None:
    """Names and places of variables do not count, their values do."""
    renamed = tuple(replace(d, name=f"adam/{i}") for i, d in enumerate(ADAM.tensors))
    assert differences(ADAM, replace(ADAM, tensors=renamed[::-1]), bundle=False) == []


def test_what_is_not_known_is_not_compared() -> None:
    """A file without configuration holds variables alone; what came back may have more."""
    assert differences(Optimizer(tensors=(STEPS, MOMENTUM)), ADAM, bundle=False) == []


@pytest.mark.parametrize("shape", [(1,), (0,), ()])
def test_placeholders_of_keras_2_are_no_lost_variables(shape: tuple[int, ...]) -> None:
    """Its Adam stores a zero for each `vhat` that it does not keep; a value there is one."""
    zeros = np.zeros(shape, "float32")
    empty = golden.digest_of("training/Adam/Variable_8:0", zeros)
    saved = replace(ADAM, tensors=(*ADAM.tensors, empty))
    assert differences(saved, ADAM, bundle=False) == []
    if zeros.size:
        full = golden.digest_of("training/Adam/Variable_8:0", zeros + 1)
        assert differences(replace(ADAM, tensors=(full,)), ADAM, bundle=False)


def test_a_variable_that_does_not_come_back_is_named() -> None:
    """Another value, type or shape under any name is not that variable."""
    spoiled = replace(ADAM, tensors=(STEPS, replace(MOMENTUM, crc32=12), VELOCITY))
    assert differences(ADAM, spoiled, bundle=False) == [
        "1 of 3 stored variables do not come back (optimizer/vars/2)"
    ]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_a_learning_rate_in_another_type_has_come_back(kind: str) -> None:
    """Keras stores it in the type of the weights and makes a float32 of it when it loads."""
    stored = golden.digest_of("optimizer/vars/1", np.array(0.001, kind))
    rate = float(np.float32(0.001))
    saved = Optimizer(("Adam",), {"learning_rate": 0.001}, (stored,))
    back = Optimizer(("Adam",), {"learning_rate": rate})
    assert differences(saved, back, bundle=False) == []
    fell = replace(back, config={"learning_rate": 0.1})
    assert differences(saved, fell, bundle=False) == ["its learning_rate was 0.001 and is 0.1"]
    other = replace(saved, tensors=(golden.digest_of("optimizer/vars/1", np.array(0.002, kind)),))
    assert "optimizer/vars/1" in differences(other, back, bundle=False)[0]


@pytest.mark.parametrize(
    ("name", "shape", "missing"),
    [
        ("opt/beta_1", (), False),
        ("opt/_learning_rate", (), False),
        ("opt/iter", (), True),
        ("opt/_iterations", (), True),
        ("opt/_variables/4", (3,), True),
    ],
)
def test_hyperparameters_in_a_bundle_need_not_be_variables(
    name: str, shape: tuple[int, ...], missing: bool
) -> None:
    """A scalar of TensorFlow's format may come back as a number; a counter has to come back."""
    saved = Optimizer(tensors=(Digest(name, "float32", shape, 1),))
    assert bool(differences(saved, ADAM, bundle=True)) is missing
    assert differences(saved, ADAM, bundle=False)


def test_another_class_is_reported_and_its_hyperparameters_are_not() -> None:
    """RMSprop where Adam was saved is one sentence, not ten."""
    other = Optimizer(("RMSprop",), {"learning_rate": 0.001, "rho": 0.9}, ADAM.tensors)
    assert differences(ADAM, other, bundle=False) == ["Adam was saved and RMSprop comes back"]


@pytest.mark.parametrize(
    ("node", "names"),
    [
        ("rmsprop", ("rmsprop",)),
        ({"class_name": "Custom>Adam", "config": {}}, ("Adam",)),
        ({"class_name": "Slow", "registered_name": "mine>Slower"}, ("Slow", "Slower")),
        ({"class_name": 7}, ()),
        (None, ()),
        ([], ()),
    ],
)
def test_an_optimizer_is_read_from_what_keras_writes(node: Any, names: tuple[str, ...]) -> None:
    """By its class, by a mere name, or not at all."""
    assert from_config(node).names == names


def test_a_name_is_the_same_in_any_spelling() -> None:
    """`compile("rmsprop")` gives an RMSprop."""
    assert not differences(Optimizer(("rms_prop",)), Optimizer(("RMSprop",)), bundle=False)


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (0.9, np.float32(0.9), True),
        (0.01, 0.009999999776482582, True),
        (0.01, 0.001, False),
        (None, None, True),
        (None, 0.004, False),
        (True, False, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [1], False),
        ({"class_name": "Cosine", "config": {"steps": 5}}, {"class_name": "Cosine"}, True),
        ({"class_name": "Cosine"}, {"class_name": "Linear"}, False),
        ({"class_name": "mine>Cosine"}, {"class_name": "Cosine"}, True),
        ({"config": {"steps": 5}}, {"config": {"steps": 6}}, False),
        ({"class_name": "Cosine"}, 0.1, False),
        (object(), 1.0, True),
        (float("nan"), float("nan"), True),
        (10**400, 0.1, False),
        (-(10**400), 10**400, False),
        ([10**400], [10**5000], True),
    ],
)
def test_hyperparameters_are_compared_as_far_as_both_have_them(
    before: object, now: object, same: bool
) -> None:
    """Numbers within the precision of a float32, schedules by class and parameters."""
    found = differences(
        Optimizer(("A",), {"x": before, "name": "a_1", "old": 1}),
        Optimizer(("A",), {"x": now, "name": "a_2", "new": 2}),
        bundle=False,
    )
    assert (found == []) is same


def test_a_loss_scale_that_the_policy_puts_around_is_no_other_optimizer() -> None:
    """Keras 3 names Adam in the configuration and stores the variables of a loss scale."""
    saved = replace(ADAM, tensors=(replace(STEPS, name="optimizer/inner_optimizer/vars/0"),))
    inner = {"class_name": "Adam", "config": dict(ADAM.config)}
    scaled = Optimizer(("LossScaleOptimizer",), {"inner_optimizer": inner}, ADAM.tensors)
    assert differences(saved, scaled, bundle=False) == []
    assert differences(ADAM, scaled, bundle=False)


def test_the_golden_record_knows_better_than_the_file() -> None:
    """`compile("adam")` is all that some files hold; the record has each hyperparameter."""
    record = Golden(optimizer={"class_name": "Adam", "config": {"beta_1": 0.5}})
    known = saved_optimizer((STEPS,), Optimizer(("adam",)), record)
    assert differences(known, ADAM, bundle=False) == ["its beta_1 was 0.5 and is 0.9"]
    assert saved_optimizer((STEPS,), Optimizer(("adam",)), Golden()).names == ("adam",)


def test_a_configuration_without_its_optimizer_is_known() -> None:
    """As Keras 3 writes it after an `.h5`; one that was never compiled has an empty one."""
    keras = {"loss": "mse", "loss_weights": None, "metrics": None}
    assert names_no_optimizer(keras)
    assert not names_no_optimizer({**keras, "optimizer": None})
    assert not names_no_optimizer({})
    assert not names_no_optimizer(None)
    assert not names_no_optimizer({"pair": []})
    assert named_in({"optimizer_config": {"class_name": "Adam"}}) == {"class_name": "Adam"}


@pytest.mark.parametrize(
    ("now", "step", "before", "step_before", "word"),
    [
        (2000, 8, 1750, 7, ""),
        (1750, 8, 1750, 7, ""),
        (250, 8, 1750, 7, "problem"),
        (250, 1, 1750, 7, "note"),
        (250, 7, 1750, 7, "note"),
        (250, None, 1750, None, "note"),
        (250, 8, 1750, None, "note"),
        (250, 8, None, 7, ""),
    ],
)
def test_a_step_counter_falls_only_with_its_run(
    now: int, step: int | None, before: int | None, step_before: int | None, word: str
) -> None:
    """Where the job counts on, its optimizer has to; a new run may begin anew."""
    previous = Previous("/runs/ckpt-7", Facts(optimizer_step=before), step_before)
    problem, note = fell_back(now, step, previous)
    assert (bool(problem), bool(note)) == (word == "problem", word == "note")


def test_the_first_of_a_series_has_nothing_to_fall_back_behind() -> None:
    """Without a previous one nothing is compared."""
    assert fell_back(1, 1, None) == ("", "")


@pytest.mark.parametrize(
    ("problems", "step", "outcome", "reason"),
    [
        ([], TrainStep(made=True, note="on the golden batch", loss=0.5), Outcome.PASS, ""),
        ([], TrainStep(made=True, note="on its own outputs"), Outcome.PASS, ""),
        ([], TrainStep(note="it has no weight that is trained"), Outcome.SKIP, ""),
        (
            ["x was 1 and is 2"],
            TrainStep(made=True),
            Outcome.WARN,
            "resume.optimizer_changed",
        ),
        (
            ["x was 1 and is 2"],
            TrainStep(note="no"),
            Outcome.WARN,
            "resume.optimizer_changed",
        ),
        ([], TrainStep(failed="its loss is nan"), Outcome.WARN, "resume.step_failed"),
        (["x was 1 and is 2"], TrainStep(failed="no."), Outcome.WARN, "resume.step_failed"),
    ],
)
def test_only_a_whole_optimizer_and_a_step_show_that_it_resumes(
    problems: list[str], step: TrainStep, outcome: Outcome, reason: str
) -> None:
    """What fails warns; what could not be tried is skipped, and shows nothing."""
    result = judge(ADAM, problems, step)
    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.message.endswith(".")
    assert result.message[0].isupper()
    _, _, _, shown = decide([passed("integrity"), result])
    assert ("resumes" in shown) is (outcome is Outcome.PASS)


@pytest.mark.parametrize(
    ("batch", "parts"),
    [
        (None, (None, None, None)),
        ([1, 2], ([1, 2], None, None)),
        ((1,), (1, None, None)),
        ((1, 2), (1, 2, None)),
        ((1, 2, 3), (1, 2, 3)),
    ],
)
def test_a_golden_tuple_is_read_as_fit_reads_it(batch: Any, parts: Any) -> None:
    """Inputs, labels, sample weights; a list is several inputs."""
    assert split(batch) == parts


@pytest.mark.parametrize("batch", [(), (1, 2, 3, 4), (None, 1)])
def test_a_golden_tuple_that_is_no_batch_is_refused(batch: Any) -> None:
    """The message names what to give instead."""
    with pytest.raises(GoldenError, match="several inputs a list"):
        split(batch)


def test_a_recorded_configuration_holds_what_json_can() -> None:
    """Scalars of numpy are numbers, and what is no data is left out rather than guessed."""

    class Odd:
        def get_config(self) -> dict[str, Any]:
            return {"rate": np.float32(0.5), "call": print, "list": [1, print], "no": None}

    assert recorded(Odd()) == {"class_name": "Odd", "config": {"rate": 0.5, "no": None}}
    assert recorded(None) == {}
