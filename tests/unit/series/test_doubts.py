"""Names that leave open what is a version of what, and the templates that settle it.

Each line is what a job leaves side by side, after names in public repositories, and what a person
would want to be asked about it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.series import doubts
from checkpointd.series.doubts import Doubt, names_of
from checkpointd.series.names import parse_name

H5 = Format.HDF5
CONDITIONS = {
    "number_unclear": doubts.number_unclear,
    "steps_unclear": doubts.steps_unclear,
    "numbers_independent": doubts.numbers_independent,
}


def series_of(names: list[str], templates: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The names by the label of their series."""
    found = defaultdict(list)
    for name in names:
        found[parse_name(name, H5, templates).series].append(name)
    return dict(found)


def doubts_about(names: list[str], templates: tuple[str, ...] = ()) -> dict[str, Doubt]:
    """The doubts about all series of some names, by the condition."""
    found = {}
    for label, group in series_of(names, templates).items():
        compared = names_of(label, group, H5, templates)
        for reason, condition in CONDITIONS.items():
            if compared and (doubt := condition(compared)):
                found[reason] = doubt
    return found


def proposed(doubt: Doubt) -> list[str]:
    """The templates that a cure names."""
    return [json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', doubt.cure)]


UNCLEAR = {
    "number_unclear": (
        "model_0_0.8123.h5 model_1_0.7991.h5 model_2_0.8210.h5",
        "tomato_disease_05_0.9123.h5 tomato_disease_11_0.9345.h5",
        "modelo_01_0.45.h5 modelo_02_0.43.h5 modelo_10_0.31.h5",
        "k46_diabets_01-0.7123.hdf5 k46_diabets_27-0.4893.hdf5",
        "LSTM+BN5--04--0.123.hdf5 LSTM+BN5--16--0.087.hdf5",
        "20260101120000_weights_n128_05_0.3112.hdf5 20260101120000_weights_n128_06_0.3001.hdf5",
        "dsm_05_0.123.h5 dsm_17_0.098.h5",
        "net-08--0.35.h5 net-09--1.35.h5",
        "machine_07-0.93.h5 machine_08-0.94.h5",
        "weights_01.h5 weights_02.h5 weights_03.h5",
        "g/gan_g-01-0.65.h5 g/gan_g-02-0.63.h5",
        "1-0.651.h5 2-0.631.h5",
        "w.05-val_loss_0.30.weights.h5 w.10-val_loss_0.28.weights.h5",
        "model_1_val_acc_0.91.h5 model_2_val_acc_0.93.h5 model_3_val_acc_0.90.h5",
        "resnet-50-val_acc_0.91.h5 resnet-101-val_acc_0.93.h5",
    ),
    "steps_unclear": (
        "model_step_1.keras model_step_2.keras model_step_24.keras",
        "step_1.h5 step_2.h5 step_3.h5",
        "tide_step=6.keras tide_step=12.keras tide_step=48.keras",
        "a{b}_step_1.h5 a{b}_step_2.h5",
    ),
    "numbers_independent": (
        "epoch_1_step_1.h5 epoch_1_step_2.h5 epoch_2_step_1.h5 epoch_2_step_2.h5",
        "epoch_50_0.1.h5 epoch_50_0.2.h5 epoch_50_0.3.h5",
        "fold_3_epoch_10_0.5.h5 fold_3_epoch_10_0.7.h5 fold_3_epoch_20_0.9.h5",
        "epoch_1_kl_2.0.h5 epoch_2_kl_2.0.h5 epoch_1_kl_0.5.h5 epoch_2_kl_0.5.h5",
    ),
}

CLEAR = (
    "weights.01-0.65.hdf5 weights.02-0.63.hdf5 weights.10-0.50.hdf5",
    "01-0.65.keras 02-0.63.keras 10-0.25.keras",
    "weights-improvement-01-0.68.hdf5 weights-improvement-12-0.75.hdf5",
    "saved-model-01-0.94.hdf5 saved-model-02-0.95.hdf5",
    "model_03_0.7812_0.6611.h5 model_14_0.8123_0.7000.h5",
    "model_05_0.81.h5 model_10_0.79.h5",
    "vgg16-ckpt-001-0.812.h5 vgg16-ckpt-010-0.900.h5",
    "weights_05_0.4213.h5 weights_06_0.4101.h5",
    "weights.05.h5 weights.06.h5",
    "epoch=3-step=450.keras epoch=4-step=600.keras epoch=5-step=750.keras",
    "epoch_1_batch_100.h5 epoch_1_batch_200.h5 epoch_2_batch_100.h5 epoch_2_batch_200.h5",
    "step_100.h5 step_200.h5 step_300.h5",
    "step_50.h5 step_100.h5",
    "ckpt-1 ckpt-2 ckpt-3",
    "checkpoint_000000/model.keras checkpoint_000001/model.keras",
    "model.ckpt-0 model.ckpt-1000",
    "e1-val_acc_0.98.h5 epoch_1-val_acc_0.98.h5 epoch_2-val_acc_0.98.h5 epoch_1-val_acc_0.97.h5",
    "generator_epoch_10.h5 generator_epoch_20.h5 discriminator_epoch_10.h5",
    "forecast_step_1_epoch_1.keras forecast_step_1_epoch_2.keras forecast_step_2_epoch_1.keras",
    "run-20260101-120000_epoch_07.keras run-20260101-120000_epoch_08.keras",
    "seed42_ep001.h5 seed42_ep002.h5 seed43_ep001.h5",
    "model_lr0.001_bs32_step_100.h5 model_lr0.001_bs32_step_200.h5 model_lr0.01_bs32_step_100.h5",
    "3_label_7_epoch_1_val-loss_0.31.h5 3_label_7_epoch_2_val-loss_0.30.h5",
    "best_f1_0.83.h5 best_f1_0.85.h5",
    "model_20260101-120000.h5 model_20260102-120000.h5",
)


@pytest.mark.parametrize(
    ("reason", "names"), [(reason, names) for reason in UNCLEAR for names in UNCLEAR[reason]]
)
def test_what_names_leave_open_is_a_doubt_with_its_templates(reason: str, names: str) -> None:
    """Of the two templates the one keeps the series as it is, the other takes it apart."""
    every = names.split()
    [(found, doubt)] = doubts_about(every).items()
    assert found == reason
    together, apart = proposed(doubt)
    series, whole, parts = (series_of(every, t) for t in ((), (together,), (apart,)))
    assert doubts_about(every, (together,)) == doubts_about(every, (apart,)) == {}
    assert sorted(whole.values()) == sorted(series.values())
    assert len(parts) > len(series)


@pytest.mark.parametrize("names", CLEAR)
def test_names_that_leave_nothing_open_are_pruned(names: str) -> None:
    """No template is needed for what a name says by itself."""
    assert doubts_about(names.split()) == {}


def test_a_template_for_one_series_matches_its_siblings() -> None:
    """Other numbers are fields too: one template is enough for all stores of a fold."""
    names = [f"fold_{k}_net-{e:02d}-0.3{e}.h5" for k in (1, 2) for e in (8, 9)]
    found = doubts_about(names)
    together, _ = proposed(found["number_unclear"])
    assert together == "fold_{fold}_net-{epoch}-{metric:.2f}.h5"
    assert series_of(names, (together,)).keys() == series_of(names).keys()
    assert doubts_about(names, (together,)) == {}


def test_a_doubt_is_a_sentence_that_names_examples() -> None:
    """Somebody who has never seen the code knows what to decide, and what to write."""
    names = [f"model_step_{h}.keras" for h in (2, 1, 24, 12, 6)]
    doubt = doubts_about(names)["steps_unclear"]
    assert doubt.message == (
        "The steps 1, 2, 6, … in 'model_step_{}.keras' are so few that each may be another model: "
        "of a forecast's step or of a stage, not the same model after more training."
    )
    assert doubt.cure == (
        'If they are versions of one model, set version = "model_step_{step}.keras" for this watch '
        "in config.toml; if each is a model of its own, set version = "
        '"model_step_{model}.keras".'
    )


def test_a_watch_with_templates_is_asked_to_add_one() -> None:
    """What the config holds already stays."""
    names = ["step_1.h5", "step_2.h5"]
    [doubt] = doubts_about(names, ("other_{epoch}.h5",)).values()
    assert 'add "step_{step}.h5" to version for this watch' in doubt.cure
