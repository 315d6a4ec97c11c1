"""Names as people's templates write them, and what is a version of what among them.

The sets are of names that jobs left side by side, after templates found in the documentation of
Keras, TensorFlow, Lightning, Ray and in public repositories. In each, `|` parts the series.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.series.names import parse_name

H5, SM, TF = Format.HDF5, Format.SAVEDMODEL, Format.TF_CHECKPOINT


def grouped(names: str, format_: Format) -> set[frozenset[str]]:
    """The names of each series, each a set."""
    series = defaultdict(set)
    for name in names.replace("|", " ").split():
        series[parse_name(name, format_).series].add(name)
    return {frozenset(group) for group in series.values()}


def wanted(names: str) -> set[frozenset[str]]:
    """The same as a person grouped them."""
    return {frozenset(part.split()) for part in names.split("|")}


MERGED = (
    # Keras's documentation and the tutorials of TensorFlow
    "weights.01-0.65.hdf5 weights.02-0.63.hdf5 weights.10-0.50.hdf5",
    "01-0.65.keras 02-0.63.keras 10-0.25.keras 100-0.10.keras",
    "cp-0001.ckpt cp-0002.ckpt cp-0010.ckpt",
    "training_2/cp-0005.weights.h5 training_2/cp-0010.weights.h5",
    "model_at_epoch_1.keras model_at_epoch_2.keras model_at_epoch_10.keras",
    "ckpt/ckpt-loss=0.25.keras",
    "mymodel_1.keras | mymodel_2.keras",
    "weights.1-0.65.h5 weights.2-1.63.h5 weights.10-nan.h5",
    # tutorials and public repositories
    "weights-improvement-01-0.68.hdf5 weights-improvement-12-0.75.hdf5",
    "saved-model-01-0.94.hdf5 saved-model-02-0.95.hdf5 saved-model-20-0.95.hdf5",
    "model-ep001-loss5.123-val_loss4.456.h5 model-ep002-loss4.321-val_loss4.100.h5",
    "ep003-loss12.345-val_loss10.123.h5 ep006-loss11.002-val_loss9.871.h5",
    "vgg16-ckpt-001-0.812.h5 vgg16-ckpt-010-0.900.h5",
    "Best-weights-my_model-001-0.6931-0.5000.hdf5 Best-weights-my_model-013-0.4000-0.8000.hdf5",
    "model-003-0.693100.h5 model-017-0.512345.h5",
    "k46_diabets_01-0.7123.hdf5 k46_diabets_27-0.4893.hdf5",
    "LSTM+BN5--04--0.123.hdf5 LSTM+BN5--16--0.087.hdf5",
    "model_01-0.78.hdf5 model_22-0.80.hdf5",
    "AVmodel-2p-001-0.61234.keras AVmodel-2p-043-0.51234.keras",
    "model_03_0.7812_0.6611.h5 model_14_0.8123_0.7000.h5",
    "epoch_01_valloss_0.123.keras epoch_11_valloss_0.099.keras",
    "dsm_05_0.123.h5 dsm_17_0.098.h5",
    "checkpoint_epoch_02_val_acc_0.8123.h5 checkpoint_epoch_13_val_acc_0.9000.h5",
    "model3_05_0.8123.keras model3_19_0.8765.keras",
    "ssd_07+12_epoch-01_loss-5.1234_val_loss-4.9.h5 ssd_07+12_epoch-102_loss-3.1_val_loss-3.5.h5",
    "model_epoch_01-0.65.keras model_epoch_02-0.63.keras",
    "epoch=01-val_loss=0.65.keras epoch=02-val_loss=0.63.keras",
    "model.epoch03-loss0.12.hdf5 model.epoch04-loss0.11.hdf5",
    "best_05_0.9123.h5 best_11_0.9345.h5",
    "model.05-val_loss_0.43.keras model.10-val_loss_0.41.keras",
    "model_05_val_loss_0.430.h5 model_10_val_loss_nan.h5",
    "01-val_loss=-0.52.keras 02-val_loss=1e-05.keras 10-val_loss=1.2.keras",
    "model-01-loss0.43-val_loss0.5.h5 model-12-loss0.41-val_loss0.4.h5",
    "net-08--0.35.h5 net-09--1.35.h5",
    # Lightning, Ray, Hugging Face, Estimator
    "epoch=3-step=450.ckpt epoch=4-step=600.ckpt",
    "epoch=3-step=450-val_loss=0.63-val_acc=0.81.ckpt epoch=4-step=600-val_loss=0.6-val_acc=1.ckpt",
    "best-epoch=003-val_f1=0.8123.ckpt best-epoch=010-val_f1=0.8300.ckpt",
    "checkpoint_000000/model.keras checkpoint_000010/model.keras",
    "checkpoint_000001/policies/default/model.keras checkpoint_000002/policies/default/model.keras",
    "checkpoint-500/tf_model.h5 checkpoint-1000/tf_model.h5",
    "epoch_01/model.keras epoch_02/model.keras",
    "out/global_step_100/weights.h5 out/global_step_200/weights.h5",
    "epoch=01-loss=0.5/model.keras epoch=02-loss=0.4/model.keras",
    "model.ckpt-0 model.ckpt-1000",
    "ckpt-1 ckpt-2 | ckpt-best",
    "weights.05.h5 weights.06.h5",
    "weights_0005.h5 weights_0010.h5",
    "chkpt_3.h5 chkpt_4.h5",
    "iter_100.h5 iter_20000.h5",
    "model_iter_1000.h5 model_iter_2000.h5",
    "ckpt_20261127_100000.h5 ckpt_20261128_093012.h5",
    "checkpoint-2026-11-27_10-00-00.h5 checkpoint-2026-12-01_09-30-12.h5",
)

APART = (
    # a run's time stamp before an epoch: each run is a series
    "20260101-120000/epoch_3.keras 20260101-120000/epoch_4.keras | 20260102-080000/epoch_3.keras",
    "run_20260101/weights.05.h5 run_20260101/weights.06.h5 | run_20260102/weights.05.h5",
    "20260101-120000_epoch_03.h5 20260101-120000_epoch_04.h5 | 20260102-080000_epoch_03.h5",
    "shapes20260101T1200/mask_rcnn_shapes_0001.h5 | shapes20260101T1200/mask_rcnn_shapes_0002.h5",
    # several numbers
    "trial_3_epoch_06.h5 trial_3_epoch_07.h5 | trial_4_epoch_06.h5",
    "fold_1_epoch_06.h5 fold_1_epoch_07.h5 | fold_2_epoch_06.h5",
    "fold1-01-0.65.h5 fold1-02-0.63.h5 | fold2-01-0.61.h5",
    "fold_1/weights.01-0.65.h5 fold_1/weights.02-0.64.h5 | fold_2/weights.01-0.65.h5",
    "forecast_step_1_epoch_1.h5 forecast_step_1_epoch_2.h5 | forecast_step_2_epoch_1.h5",
    "churn_version_1-epoch_1.keras churn_version_1-epoch_2.keras | churn_version_2-epoch_1.keras",
    "t_0/checkpoint_000000/m.keras t_0/checkpoint_000001/m.keras | t_1/checkpoint_000000/m.keras",
    "checkpoint_000001/fold_1.h5 checkpoint_000002/fold_1.h5 | checkpoint_000001/fold_2.h5",
    "lr0.01_epoch_1.h5 lr0.01_epoch_2.h5 | lr0.001_epoch_1.h5",
    "epoch_01_dropout_0.5.h5 | epoch_01_dropout_0.2.h5",
    "focal_loss_2.0_epoch_1.h5 focal_loss_2.0_epoch_2.h5 | focal_loss_0.5_epoch_1.h5",
    "net64_epoch_3.h5 net64_epoch_4.h5 | net128_epoch_3.h5",
    "version_0/epoch=1-step=9.ckpt version_0/epoch=2-step=18.ckpt | version_1/epoch=1-step=9.ckpt",
    "gan_g-01-0.65.h5 gan_g-02-0.63.h5 | gan_d-01-0.65.h5",
)

OWN = (
    "resnet50.h5 | resnet101.h5 | resnet152.h5",
    "fold_1.h5 | fold_2.h5 | fold_3.h5",
    "yolov3.h5 | yolov4.h5",
    "mobilenet_v2_1.0_224.h5 | mobilenet_v2_0.75_160.h5 | mobilenet_v2_1.0_128.h5",
    "mobilenet_1_0.25.h5 | mobilenet_1_0.50.h5",
    "bert_base_uncased_L-12_H-768 | bert_base_uncased_L-4_H-512",
    "horizon_24h.keras | horizon_48h.keras",
    "lstm_128_0.20.h5 | lstm_64_0.20.h5 | lstm_128_0.5.h5",
    "model_32_0.001.h5 | model_64_0.001.h5 | model_64_0.01.h5",
    "model_batch_16.h5 | model_batch_32.h5",
    "resnet_bs32_ep50.h5 | resnet_bs32_ep90.h5",
    "search_iter_1.h5 | search_iter_2.h5",
    "weights_1.h5 | weights_2.h5 | weights-1000.h5 | weights-1100.h5",
    "patient_0007.h5 | patient_0008.h5",
    "efficientnetb0_notop.h5 | efficientnetb1_notop.h5",
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5 | vgg19_weights_tf_dim_ordering_tf_kernels.h5",
    "inception_v3 | inception_v4",
    "epoch_1.5.h5 | epoch_2.5.h5",
    "epochs10.h5 | epochs20.h5",
    "alpha_0.25.h5 | alpha_0.75.h5",
    "seed1.h5 | seed2.h5 | seed_3.h5",
    "encoder.h5 | decoder.h5",
    "step_1/model.h5 | step_2/model.h5",
    "model_val_split_0.2.h5 | model_val_split_0.3.h5",
    "m_epoch_9_test_size_0.20.h5 | m_epoch_9_test_size_0.25.h5",
    "model_2024.h5 | model_2025.h5",
    "fold_1_val_loss_0.31.h5 | fold_2_val_loss_0.32.h5",
    "seed-1-val_acc=0.9.h5 | seed-2-val_acc=0.8.h5",
    "model_2026-11-26-val_loss_0.31.h5 | model_2026-11-27-val_loss_0.32.h5",
    "model_20261126-val_loss_0.31.h5 | model_20261127-val_loss_0.32.h5",
    "lr_0.001_val_loss_0.31.h5 | lr_0.01_val_loss_0.32.h5",
    "model_3_focal_loss_2.0.h5 | model_4_focal_loss_2.0.h5",
)


@pytest.mark.parametrize("names", [*MERGED, *APART, *OWN])
def test_names_of_a_template_are_grouped_as_a_person_would(names: str) -> None:
    """Versions together, and whatever else a number may mean apart."""
    format_ = TF if ".ckpt" in names and "cp-" not in names else H5
    assert grouped(names, format_) == wanted(names)


@pytest.mark.parametrize("names", [*MERGED, *APART, *OWN])
def test_a_series_does_not_depend_on_other_files(names: str) -> None:
    """Each name alone gives the label, whatever the format of the file."""
    for name in names.replace("|", " ").split():
        assert parse_name(name, H5).series == parse_name(name, Format.KERAS).series
        assert parse_name(name, H5).series.count("{}") <= 5


@pytest.mark.parametrize(
    ("name", "step", "version", "metrics"),
    [
        ("weights.07-0.65.h5", 7, "07", {}),
        ("model_epoch_07-0.65.keras", 7, "07", {}),
        ("epoch=02-val_loss=0.63.keras", 2, "02", {"val_loss": 0.63}),
        ("ep003-loss12.345-val_loss10.123.h5", 3, "003", {"loss": 12.345, "val_loss": 10.123}),
        ("epoch=3-step=450-val_acc=1.ckpt", 450, "3-450", {"val_acc": 1.0}),
        ("epoch_03_val_acc_0.8123.h5", 3, "03", {"val_acc": 0.8123}),
        ("epoch_03-nan.h5", 3, "03", {}),
        ("epoch=03-val_loss=nan.h5", 3, "03", {}),
        ("trial_1/checkpoint_000010/model.keras", 10, "000010", {}),
        ("m_val_acc_0.91.h5", None, "0.91", {"val_acc": 0.91}),
        ("best-val_loss=0.63.keras", None, "0.63", {"val_loss": 0.63}),
        ("val_loss=0.63-epoch=02.keras", 2, "02", {"val_loss": 0.63}),
    ],
)
def test_a_name_gives_its_step_and_the_metrics_that_it_names(
    name: str, step: int | None, version: str, metrics: dict[str, float]
) -> None:
    """A value without a name is no part of the label, and no metric either."""
    placed = parse_name(name, H5)
    assert (placed.step, placed.version, dict(placed.metrics)) == (step, version, metrics)
    assert "0." not in placed.series


def test_the_directory_of_a_checkpoint_is_part_of_its_series() -> None:
    """So the series of a trial has the trial's name."""
    placed = parse_name("tune/trial_00002/checkpoint_000003/model.keras", Format.KERAS)
    assert placed.series == "tune/trial_00002/checkpoint_{}/model.keras"
    assert parse_name("export/7", SM).series == "export/{}"
    assert parse_name("7/model.keras", Format.KERAS).series == "7/model.keras"
