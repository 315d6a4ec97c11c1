"""Reasons of the checks that read, without TensorFlow."""

from __future__ import annotations

from checkpointd.core.reasons.reason import Basis, Reason, Severity

_F, _E, _W, _N = Severity.FAIL, Severity.ERROR, Severity.WARN, Severity.NOTE
_FILE, _RECORD, _DANGER, _READER = Basis.FILE, Basis.RECORD, Basis.DANGER, Basis.READER

STRUCTURE = {
    "structure.workers_lost": Reason(
        _E,
        "Two workers of the fleet were lost while they verified it: read the log of both hosts, "
        "then run `checkpointd verify` on it on a host where nothing else runs.",
        Basis.MACHINE,
    ),
    "structure.truncated": Reason(
        _F,
        (
            "The save was cut short: resume from an older checkpoint, and look for a full disk "
            "or a killed job."
        ),
        _FILE,
    ),
    "structure.missing_member": Reason(
        _F,
        "A file of the checkpoint is missing: if its job was killed while it saved, resume from an "
        "older one; if it is a copy, copy it again, whole, from its source.",
        _FILE,
    ),
    "structure.malformed": Reason(
        _F,
        "The file's own structure is broken: resume from an older checkpoint, check the disk.",
        _FILE,
    ),
    "structure.not_a_checkpoint": Reason(
        _F,
        (
            "It is named like a checkpoint and is something else: read the message for what it is, "
            "and copy or download the model again."
        ),
        _FILE,
    ),
    "structure.unsupported": Reason(
        _E,
        (
            "It is in an old format that checkpointd cannot read: read the message for how to "
            "convert it."
        ),
        _READER,
    ),
}

INTEGRITY = {
    "integrity.not_readable": Reason(
        _N,
        (
            "Its layout is one that checkpointd cannot read without TensorFlow, so its bytes were "
            "not checked: save it again with a current TensorFlow or Keras."
        ),
        _READER,
    ),
    "integrity.checksum_mismatch": Reason(
        _F,
        "Bytes changed after they were written: check the disk, the memory and network storage.",
        _FILE,
    ),
    "integrity.mixed_versions": Reason(
        _F,
        (
            "The graph and the variables come from two different saves: copy the whole checkpoint "
            "again."
        ),
        _FILE,
    ),
    "integrity.digest_mismatch": Reason(
        _F,
        "A weight on disk is not the one that the job held: check its memory and the disk.",
        _RECORD,
    ),
    "integrity.signature_mismatch": Reason(
        _F,
        "It is not what was signed with the key of signature_key: ask its writer before using it.",
        _FILE,
    ),
    "integrity.bit_rot": Reason(
        _F,
        "The content changed although no file was written: the disk is failing, restore a copy.",
        _FILE,
    ),
    "integrity.golden_unbound": Reason(
        _W,
        "The golden record beside it belongs to another save: save through GoldenCheckpoint.",
        _RECORD,
    ),
}

SAFETY = {
    "safety.code": Reason(
        _F,
        "Loading it would run code that is stored in it: do not load it unless you wrote it.",
        _DANGER,
    ),
    "safety.foreign_reference": Reason(
        _F,
        "It refers to files outside itself: do not load it, and ask where it came from.",
        _DANGER,
    ),
    "safety.unsafe_op": Reason(
        _F,
        (
            "An op of its graph reads or writes files, reaches other hosts or needs Python: the "
            "message names which, and what to do."
        ),
        _DANGER,
    ),
    "safety.traversal": Reason(
        _F, "A name in it points outside its directory: do not load it.", _DANGER
    ),
    "safety.bomb": Reason(_F, "Loading it would exhaust memory: do not load it.", _DANGER),
    "safety.needs_code": Reason(
        _E,
        (
            "It holds code, such as a Lambda layer: set allow_code = true in [watch.verify] if you "
            "trust its writer."
        ),
        _DANGER,
    ),
    "safety.given_path": Reason(
        _W,
        (
            "It opens the file whose path is its input: let only those whom you trust call it, or "
            "export it with the file's content as its input."
        ),
        _DANGER,
    ),
    "safety.keras_metadata_code": Reason(
        _W,
        (
            "Its keras_metadata.pb holds code that load_model of Keras 2 would run: load it with "
            "tf.saved_model.load, or set allow_code = true in [watch.verify] if you trust it."
        ),
        _DANGER,
    ),
    "safety.not_served": Reason(
        _W,
        (
            "A part of its graph that neither loading nor a signature runs reaches outside: do not "
            "run it by hand, and export the model without it."
        ),
        _DANGER,
    ),
}

FINITE = {
    "finite.nan": Reason(
        _F,
        (
            "The weights are destroyed: resume from an older checkpoint and lower the learning "
            "rate. If NaN is expected there, name the tensor in ignore_tensors of [watch.verify]."
        ),
        _FILE,
    ),
    "finite.inf": Reason(
        _F,
        (
            "The weights have overflowed: resume from an older checkpoint and look at the loss "
            "scale. If infinity is expected there, name the tensor in ignore_tensors of "
            "[watch.verify]."
        ),
        _FILE,
    ),
    "finite.nan_elsewhere": Reason(
        _W,
        "The weights are finite, but another stored variable (such as an optimizer's) is not.",
        _FILE,
    ),
}

DRIFT = {
    "drift.shape_changed": Reason(
        _W,
        (
            "It has other tensors than the last valid one of its series: save the new model in "
            "another directory."
        ),
        _FILE,
    ),
    "drift.exploding": Reason(
        _W,
        (
            "The weights grew out of bounds since the last valid checkpoint: look at the loss and "
            "the learning rate, or raise max_norm_ratio in [watch.verify] drift."
        ),
        _FILE,
    ),
    "drift.dead": Reason(
        _W,
        (
            "A tensor that had values is all zero now: look at the learning rate and at the inputs "
            "of its layer."
        ),
        _FILE,
    ),
    "drift.unchanged": Reason(
        _W,
        "It is identical to the last valid one: is the job still training?",
        _FILE,
    ),
}
