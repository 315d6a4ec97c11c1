"""The closed list of reasons: what went wrong, how grave it is, and what to do about it.

Standard library only, Python 3.9.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How a reason counts: a failure, an error (nobody knows), or a warning."""

    FAIL = "fail"
    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True)
class Reason:
    """One way in which a check can end other than well; `cure` is one plain sentence."""

    severity: Severity
    cure: str


_F, _E, _W = Severity.FAIL, Severity.ERROR, Severity.WARN

_OWN = {
    "structure.truncated": (
        _F,
        (
            "The save was cut short: resume from an older checkpoint, and look for a full disk "
            "or a killed job."
        ),
    ),
    "structure.missing_member": (
        _F,
        "A file of the checkpoint is not there: copy it again from where it was written, whole.",
    ),
    "structure.malformed": (
        _F,
        "The file's own structure is broken: resume from an older checkpoint, check the disk.",
    ),
    "integrity.checksum_mismatch": (
        _F,
        "Bytes changed after they were written: check disk, memory and network storage.",
    ),
    "integrity.mixed_versions": (
        _F,
        (
            "The graph and the variables come from two different saves: copy the directory again, "
            "whole."
        ),
    ),
    "integrity.digest_mismatch": (
        _F,
        "A weight on disk is not the one that the training job held: check memory and disk.",
    ),
    "integrity.bit_rot": (
        _F,
        "The content changed although nobody wrote it: the disk is going bad, restore from a copy.",
    ),
    "integrity.golden_unbound": (
        _W,
        "The golden record beside it belongs to another save: save through GoldenCheckpoint.",
    ),
    "safety.code": (
        _F,
        "Loading it would run code that is stored in it: do not load it unless you wrote it.",
    ),
    "safety.foreign_reference": (
        _F,
        "It refers to files outside itself: do not load it, and ask where it came from.",
    ),
    "safety.unsafe_op": (
        _F,
        "Its graph reads or writes files, or reaches the network: do not load it.",
    ),
    "safety.traversal": (_F, "A name in it points outside its directory: do not load it."),
    "safety.bomb": (_F, "Loading it would exhaust memory: do not load it."),
    "safety.needs_code": (
        _E,
        (
            "It holds code, such as a Lambda layer: set allow_code = true in [watch.verify] if you "
            "trust its writer."
        ),
    ),
    "finite.nan": (
        _F,
        "The weights are destroyed: resume from an older checkpoint and lower the learning rate.",
    ),
    "finite.inf": (
        _F,
        "The weights have overflowed: resume from an older checkpoint and look at the loss scale.",
    ),
    "finite.nan_elsewhere": (
        _W,
        "The weights are finite, but another stored variable (an optimizer's, for one) is not.",
    ),
    "drift.shape_changed": (
        _W,
        (
            "It has other tensors than the last valid one of its series: give the new model a "
            "directory of its own."
        ),
    ),
    "drift.exploding": (
        _W,
        (
            "The weights grew out of bounds since the last valid checkpoint: look at the loss and "
            "the learning rate, or raise max_norm_ratio in [watch.verify] drift."
        ),
    ),
    "drift.dead": (
        _W,
        (
            "A tensor that held values is all zero now: look at the learning rate and at what "
            "feeds it."
        ),
    ),
    "drift.unchanged": (
        _W,
        "It is identical to the last valid one: is the job still training?",
    ),
    "load.load_error": (
        _F,
        "It cannot be loaded: read the message, it is TensorFlow's own.",
    ),
    "load.unknown_object": (
        _E,
        "Name the custom object in [watch.verify] custom_objects, and its source in python_path.",
    ),
    "load.needs_legacy": (
        _E,
        "Keras 2 wrote it and Keras 3 cannot read it: pip install 'checkpointd[legacy]'.",
    ),
    "load.sandbox_unavailable": (
        _E,
        "This kernel cannot confine the loader: see `checkpointd status`.",
    ),
    "load.compile_failed": (
        _W,
        (
            "The model is whole, its compile configuration does not load: load it with "
            "compile=False and compile it again, or name its custom loss or metric in "
            "[watch.verify] custom_objects."
        ),
    ),
    "signatures.missing_signature": (
        _F,
        "A signature that required_signatures names is not there: export the model with it.",
    ),
    "signatures.signature_changed": (
        _W,
        "Inputs or outputs differ from the last valid one of its series: tell who serves it.",
    ),
    "inference.inference_error": (_F, "It loads, but it cannot be run: read the message."),
    "inference.non_finite_output": (_F, "It runs, but gives NaN or Inf: do not serve it."),
    "inference.wrong_shape": (_F, "Its outputs have another shape than it declares."),
    "predictions.mismatch": (
        _F,
        (
            "It does not predict what the original predicted: do not serve it, look at what is "
            "restored."
        ),
    ),
    "predictions.environment_differs": (
        _E,
        (
            "It was recorded on other hardware or another TensorFlow and differs by more than "
            "cross_atol and cross_rtol allow."
        ),
    ),
    "resume.optimizer_missing": (
        _W,
        (
            "The optimizer that was saved does not come back, training would begin its moments "
            "anew: save as .keras, and mend what `load` says."
        ),
    ),
    "resume.optimizer_changed": (
        _W,
        (
            "The optimizer that comes back is not the one that was saved: save as .keras, never as "
            ".h5 before that, and let a builder make the optimizer that the job used."
        ),
    ),
    "resume.step_failed": (
        _W,
        (
            "Training cannot go on from it as it is loaded: read the message, and save as .keras "
            "rather than .h5, from which Keras 3 restores no optimizer."
        ),
    ),
    "evaluate.below_threshold": (
        _F,
        "Its metrics are outside the bounds of [watch.verify]: do not serve it.",
    ),
    "evaluate.evaluate_error": (
        _E,
        "The evaluation could not be done: mend the function or the data that the message names.",
    ),
}

_ANY = {
    "timeout": (_E, "It took too long: raise [worker] timeout, or look at the disk."),
    "crashed": (_F, "Loading it crashes the interpreter, twice in a row: do not load it."),
    "out_of_memory": (_E, "The system ran out of memory: raise [worker] memory or free some."),
    "unreadable": (_E, "It could not be read: look at permissions and at the disk."),
    "environment": (
        _E,
        (
            "Read the message: it is about the verifier's settings, interpreter or machine, not "
            "about the checkpoint."
        ),
    ),
}

_CHECK_NAMES = sorted({reason.split(".")[0] for reason in _OWN})

REASONS = {
    **{name: Reason(*entry) for name, entry in _OWN.items()},
    **{f"{check}.{word}": Reason(*entry) for check in _CHECK_NAMES for word, entry in _ANY.items()},
}
"""Every reason that a report may hold, by name."""


def cure_of(reason: str) -> str:
    """What to do about a reason; empty for one of a user's own check that only they know."""
    known = REASONS.get(reason)
    if known is not None:
        return known.cure
    check, _, word = reason.partition(".")
    return _ANY[word][1] if check and word in _ANY else ""
