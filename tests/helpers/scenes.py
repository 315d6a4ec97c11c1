"""Everyday situations in which pruning by save time alone loses what a person wanted to keep.

Each was reported of some tool that prunes, or follows from how names and times come about. A scene
is a directory with what is in it when the daemon starts, what is saved afterwards one by one, a
policy, and the checkpoints that a person would have kept, whatever else goes.
"""

from __future__ import annotations

import time

from tests.helpers.scene import (
    DAY,
    HOUR,
    Link,
    Save,
    Scene,
    Text,
    Touch,
    aged,
    all_of,
    each,
    live,
    numbered,
    shuffled,
)

EPOCH = "epoch_{:02d}.weights.h5"
LAST = numbered(EPOCH, (10, 11, 12))
WHOLE = tuple(aged(EPOCH, range(1, 13)))


_NOW = time.time()
_STATE = 'model_checkpoint_path: "ckpt-{0}"\n' + "".join(
    f'all_model_checkpoint_paths: "ckpt-{n}"\n' for n in (1, 4, 8)
)
_SERVED = """model_config_list { config { name: "net" base_path: "/models/net"
  model_version_policy { specific { versions: 1 } } version_labels { key: "old" value: 2 } } }
"""
_LOSS = "m-{:02d}-val_loss={}.weights.h5"
_LOSSES = ("0.9", "0.1", "0.5", "0.4", "0.6", "0.7", "0.8", "0.65")

_NOTHING_IN_DOUBT = (
    Scene("one a hour", WHOLE, LAST, removed=9),
    Scene("one a hour, live", WHOLE[:6], LAST, tuple(live(EPOCH, range(7, 13))), removed=9),
    Scene(
        "the host's clock is three seconds ahead",
        tuple(aged(EPOCH, range(1, 7))),
        LAST,
        tuple(Save(EPOCH.format(n), age=-3) for n in range(7, 13)),
        removed=9,
    ),
    Scene(
        "versions of TensorFlow Serving",
        tuple(aged("model/{}", range(1, 9))),
        numbered("model/{}", (6, 7, 8)),
        removed=5,
    ),
    Scene(
        "epoch and loss in the name",
        tuple(Save(_LOSS.format(i, v), age=DAY - i * 60) for i, v in enumerate(_LOSSES, 1)),
        frozenset({_LOSS.format(2, "0.1"), _LOSS.format(4, "0.4"), _LOSS.format(8, "0.65")}),
        policy='keep_last = 1\nkeep_best = { n = 2, metric = "val_loss", mode = "min" }',
        watch='version = "m-{epoch:02d}-val_loss={val_loss}.weights.h5"',
        removed=5,
    ),
)

SCENES = (
    *_NOTHING_IN_DOUBT,
    Scene("copied without times", shuffled(EPOCH, range(1, 13)), LAST),
    Scene("cloned, all with one time", tuple(Save(s.name, age=99.5) for s in WHOLE), LAST),
    Scene("save times of 0", tuple(Save(s.name, at=0.0) for s in WHOLE), LAST),
    Scene(
        "cloned, names without zeros",
        tuple(Save(f"m_epoch_{n}.weights.h5", age=99.5) for n in range(1, 13)),
        numbered("m_epoch_{}.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "touched the wrong way round",
        WHOLE,
        numbered(EPOCH, (11, 12, 13)),
        (*(Touch(s.name) for s in WHOLE[:-4:-1]), Save(EPOCH.format(13))),
    ),
    Scene(
        "an old one copied back without its time",
        WHOLE,
        LAST,
        (Save("epoch_00.weights.h5"),),
    ),
    Scene(
        "host's clock two hours behind from now on",
        tuple(aged(EPOCH, range(1, 8), step=60, last=60)),
        LAST,
        tuple(live(EPOCH, range(8, 13), _NOW - 2 * HOUR)),
    ),
    Scene(
        "host without a clock: 1970",
        tuple(aged(EPOCH, range(1, 8))),
        LAST,
        tuple(live(EPOCH, range(8, 13), 100.0)),
    ),
    Scene(
        "host's clock was a year ahead",
        tuple(Save(EPOCH.format(n), at=_NOW + 365 * DAY + n) for n in range(1, 8)),
        LAST,
        tuple(live(EPOCH, range(8, 13))),
    ),
    Scene(
        "clock ahead, names without numbers",
        tuple(Save(f"m_{w}.weights.h5", at=_NOW + DAY + i) for i, w in enumerate(("a", "b", "c"))),
        frozenset({"m_z.weights.h5", "m_y.weights.h5"}),
        tuple(Save(f"m_{w}.weights.h5") for w in ("v", "x", "y", "z")),
    ),
    Scene(
        "began again at step 0",
        tuple(aged("m_epoch_{:03d}.weights.h5", range(96, 101))),
        numbered("m_epoch_{:03d}.weights.h5", (100, 99, 1, 2, 3)),
        tuple(live("m_epoch_{:03d}.weights.h5", range(4))),
    ),
    Scene(
        "went on from an earlier one",
        tuple(aged(EPOCH, range(1, 11))),
        numbered(EPOCH, (7, 8, 10)),
        tuple(live(EPOCH, range(7, 9))),
    ),
    Scene(
        "week 52, then week 1",
        tuple(aged("model_w{:02d}.weights.h5", range(48, 53), step=7 * DAY)),
        numbered("model_w{:02d}.weights.h5", (52, 1, 2)),
        tuple(live("model_w{:02d}.weights.h5", range(1, 3))),
    ),
    Scene(
        "the day before the month",
        tuple(
            Save(f"model_{d}-{m:02d}-2026.weights.h5", age=(12 - m) * 30 * DAY + DAY)
            for m, d in zip(
                range(1, 13), (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 15), strict=True
            )
        ),
        frozenset({"model_15-12-2026.weights.h5", "model_30-11-2026.weights.h5"}),
    ),
    Scene(
        "from 999 to 1000",
        tuple(aged("ckpt-{}", range(995, 1003))),
        numbered("ckpt-{}", (1000, 1001, 1002)),
    ),
    Scene(
        "time stamps in the names, copied without times",
        shuffled("m_202611{:02d}-120000.weights.h5", range(1, 13)),
        numbered("m_202611{:02d}-120000.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "one a day by its name, all copied today",
        shuffled("m_2026-11-{:02d}.weights.h5", range(1, 13)),
        numbered("m_2026-11-{:02d}.weights.h5", range(6, 13)),
        policy="keep_daily = 7",
    ),
    Scene(
        "save times of 0 but for the newest",
        (*(Save(s.name, at=0.0) for s in WHOLE[:-1]), WHOLE[-1]),
        LAST,
        policy='keep_within = "7d"',
    ),
    Scene(
        "ttl, and save times of 0",
        tuple(Save(s.name, at=0.0) for s in WHOLE),
        frozenset(s.name for s in WHOLE),
        policy='keep_last = 12\nttl = "30d"',
    ),
    Scene(
        "TensorFlow Serving: the highest version has an old time",
        (
            *(Save(f"model/{n}", age=DAY - n * 60) for n in range(1, 8)),
            Save("model/100", age=30 * DAY),
        ),
        frozenset({"model/100", "model/7"}),
    ),
    Scene(
        "TensorFlow Serving: small numbers, then time stamps, copied without times",
        (
            *(Save(f"model/{n}", age=60 - n) for n in (3, 1, 2, 4)),
            *(Save(f"model/{n}", age=600 - n % 97) for n in (1764000000, 1764003600, 1764007200)),
        ),
        frozenset({"model/1764007200", "model/1764003600"}),
    ),
    Scene(
        "a config of TensorFlow Serving names older versions",
        (
            *(Save(f"net/{n}", age=DAY - n * 60) for n in range(1, 6)),
            Text("models.config", _SERVED),
        ),
        numbered("net/{}", (1, 2, 5)),
        policy="keep_last = 1",
        removed=1,
    ),
    Scene(
        "put into keep/ by a person",
        tuple(aged("keep/epoch_{:02d}.weights.h5", range(1, 6))),
        numbered("keep/epoch_{:02d}.weights.h5", range(1, 6)),
    ),
    Scene(
        "a CheckpointManager lists more than keep_last",
        (*aged("ckpt-{}", range(1, 9)), Text("checkpoint", _STATE.format(8))),
        numbered("ckpt-{}", (1, 4, 8, 7, 6)),
    ),
    Scene(
        "a state file in another directory names it",
        (
            *aged("train/ckpt-{}", range(1, 9)),
            Text("eval/checkpoint", 'model_checkpoint_path: "../train/ckpt-2"\n'),
        ),
        numbered("train/ckpt-{}", (2, 6, 7, 8)),
    ),
    Scene(
        "a state file that is torn",
        (*aged("ckpt-{}", range(1, 9)), Text("checkpoint", 'model_checkpoint_path: "ckpt-')),
        numbered("ckpt-{}", range(1, 9)),
    ),
    Scene(
        "a link to a link",
        (
            *WHOLE,
            Link("releases/stable", "../epoch_02.weights.h5"),
            Link("current", "releases/stable"),
        ),
        LAST | {"epoch_02.weights.h5"},
    ),
    Scene(
        "a link through a linked directory",
        (
            *(Save(f"runs/a/{s.name}", age=s.age) for s in WHOLE),
            Link("best", "runs/a"),
            Link("serving/model.h5", "../best/epoch_02.weights.h5"),
        ),
        frozenset(f"runs/a/{name}" for name in LAST | {"epoch_02.weights.h5"}),
    ),
    Scene(
        "the last five are torn",
        (*WHOLE[:7], *(Save(s.name, age=s.age, good=False) for s in WHOLE[7:])),
        numbered(EPOCH, (5, 6, 7)),
        watch='torn_after = "2s"',
    ),
    Scene(
        "keep_best by a metric that none has",
        tuple(Save(_LOSS.format(i, v), age=DAY - i) for i, v in enumerate(_LOSSES, 1)),
        frozenset({_LOSS.format(2, "0.1"), _LOSS.format(8, "0.65")}),
        policy='keep_last = 2\nkeep_best = { n = 2, metric = "valloss", mode = "min" }',
        watch='version = "m-{epoch:02d}-val_loss={val_loss}.weights.h5"',
    ),
    Scene(
        "keep_best in the wrong direction",
        tuple(Save(_LOSS.format(i, v), age=DAY - i) for i, v in enumerate(_LOSSES, 1)),
        frozenset({_LOSS.format(2, "0.1"), _LOSS.format(8, "0.65")}),
        policy='keep_last = 2\nkeep_best = { n = 2, metric = "val_loss", mode = "max" }',
        watch='version = "m-{epoch:02d}-val_loss={val_loss}.weights.h5"',
    ),
    Scene(
        "keep_best, and every loss is NaN",
        tuple(Save(_LOSS.format(i, "nan"), age=DAY - i) for i in range(1, 9)),
        frozenset(_LOSS.format(i, "nan") for i in range(1, 9)),
        policy='keep_last = 2\nkeep_best = { n = 2, metric = "val_loss", mode = "min" }',
        watch='version = "m-{epoch:02d}-val_loss={val_loss}.weights.h5"',
    ),
    Scene(
        "trials under a template",
        tuple(
            Save(f"trial_{t:03d}/checkpoint_{s:06d}/model.weights.h5", age=DAY - t * 999 - s)
            for t in (2, 0, 3, 1)
            for s in range(4)
        ),
        frozenset(f"trial_{t:03d}/checkpoint_000003/model.weights.h5" for t in range(4)),
        policy="keep_last = 2",
        watch='version = "{trial}/checkpoint_{step:06d}/model.weights.h5"',
    ),
    all_of("layer_{}.weights.h5", range(1, 9)),
    all_of("part_{}.weights.h5", range(1, 9)),
    all_of("member-{}.weights.h5", range(1, 6)),
    all_of("tf_model-{:05d}-of-00006.weights.h5", range(1, 7)),
    all_of("shard_{}_of_6.weights.h5", range(1, 7)),
    all_of("model ({}).weights.h5", range(1, 6)),
    Scene(
        "1.9 before 1.10, copied without times",
        shuffled("model_v1.{}.0.weights.h5", range(1, 13)),
        numbered("model_v1.{}.0.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "thousands as k, copied without times",
        shuffled("iter_{}0k.weights.h5", range(1, 13)),
        numbered("iter_{}0k.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "milliseconds since 1970 in the names, copied without times",
        shuffled("m_17640000{:02d}000.weights.h5", range(1, 13)),
        numbered("m_17640000{:02d}000.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "dates without zeros, copied without times",
        shuffled("m_2026-1-{}.weights.h5", range(1, 13)),
        numbered("m_2026-1-{}.weights.h5", (10, 11, 12)),
    ),
    Scene(
        "some copied back with a time of 0",
        (*(Save(s.name, at=0.0) for s in WHOLE[6:9]), *WHOLE[:6], *WHOLE[9:]),
        LAST,
    ),
    Scene(
        "half of the names lost their times",
        (*(Save(s.name, age=30) for s in WHOLE[:6]), *WHOLE[6:]),
        LAST,
    ),
    each("version_{}/checkpoints/epoch={}.weights.h5", (0, 1, 2)),
    each("{}/ckpt-{}", (1, 2, 3)),
    each("gen_{}_ind_{}.weights.h5", (1, 2, 3)),
    each("agent_{}_step_{}.weights.h5", (0, 1, 2)),
    each("rank{}_step_{}.weights.h5", (0, 1, 2)),
    each("phase_{}_epoch_{}.weights.h5", (1, 2, 3)),
    each("stage{}-epoch{}.weights.h5", (1, 2)),
    each("lang_de{}_epoch_{}.weights.h5", (1, 2)),
    each("batch{}_lr3_epoch_{}.weights.h5", (32, 64, 128)),
    each("T{}_epoch_{}.weights.h5", (24, 48, 96)),
    each("user_{}_model_v{}.weights.h5", (1001, 1002, 1003)),
    each("store-{:03d}-{}.weights.h5", (1, 2, 3)),
    each("{}-{:02d}.weights.h5", (2024, 2025, 2026)),
    each("exp{}.{}.weights.h5", (1, 2, 3)),
    each("fold_{}_epoch_{}.weights.h5", (0, 1, 2, 3)),
    each("fold{}-{:02d}.weights.h5", (1, 2, 3)),
    each("lr_{}_epoch_{:02d}.weights.h5", ("0.1", "0.01", "0.001")),
    each("seed{}_step_{}.weights.h5", (42, 43, 44)),
    each("slurm_{}_epoch_{}.weights.h5", (81234567, 81234570, 81235001)),
    each("resnet{}_v{}.weights.h5", (18, 50, 101)),
    each("model_int{}_v{}.weights.h5", (8, 16)),
    each("model_{}_epoch_{}.weights.h5", ("3fa91c2", "9120817", "77b0d1e")),
    each("{}/epoch_{:02d}.weights.h5", ("2026-11-01_10-00-00", "2026-11-01_12-30-00")),
    each("run_{}/epoch_{:02d}.weights.h5", (12345, 12399, 13001)),
    each("{}/artifacts/ckpt-{}", ("0a1b2c3d4e5f", "99887766aabb", "123456789012")),
    each("h{}/epoch_{:02d}.weights.h5", (1, 7, 14)),
    each("forecast_step_{}_epoch_{:02d}.weights.h5", (2, 1, 4, 3)),
    each("20261101-{:06d}_epoch_{:02d}.weights.h5", (90000, 101500, 134501)),
)
"""Every scene."""
