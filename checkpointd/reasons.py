"""The closed list of reasons: what went wrong, what that rests on, and what to do about it.

Here alone a reason becomes a severity, so that no check can convict without evidence:

- A failure (the checkpoint is invalid) needs evidence in the file, in the golden record, in what
  the user asked for, or a danger that is really there.
- What hangs on this machine, on inputs that were made up, or on what our own readers do not know
  is never a failure. It is an error (inconclusive) where it keeps `intact` or `loads` from being
  shown, and a note, which leaves the verdict to the other checks, everywhere else.

Standard library only, Python 3.9.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How a reason counts: a failure, an error (nobody knows), a warning, or a note.

    A note says why something was not shown; it changes no verdict by itself.
    """

    FAIL = "fail"
    ERROR = "error"
    WARN = "warn"
    NOTE = "note"


class Basis(enum.Enum):
    """What a reason rests on; only the first four are evidence against a checkpoint."""

    FILE = "the file"
    RECORD = "the golden record"
    REQUEST = "what the user asked for"
    DANGER = "a danger that is really there"
    MACHINE = "this machine and its libraries"
    INPUTS = "inputs that were made up"
    READER = "what our own readers know"


EVIDENCE = frozenset({Basis.FILE, Basis.RECORD, Basis.REQUEST, Basis.DANGER})


@dataclass(frozen=True)
class Reason:
    """One way in which a check can end other than well; `cure` is one plain sentence.

    Raises:
        ValueError: it would convict without evidence.
    """

    severity: Severity
    cure: str
    basis: Basis

    def __post_init__(self) -> None:
        if self.severity is Severity.FAIL and self.basis not in EVIDENCE:
            raise ValueError(f"a failure needs evidence, and {self.basis.value} is none")


_F, _E, _W, _N = Severity.FAIL, Severity.ERROR, Severity.WARN, Severity.NOTE
_FILE, _RECORD, _REQUEST, _DANGER = Basis.FILE, Basis.RECORD, Basis.REQUEST, Basis.DANGER
_MACHINE, _INPUTS, _READER = Basis.MACHINE, Basis.INPUTS, Basis.READER

_OWN = {
    "structure.truncated": (
        _F,
        (
            "The save was cut short: resume from an older checkpoint, and look for a full disk "
            "or a killed job."
        ),
        _FILE,
    ),
    "structure.missing_member": (
        _F,
        "A file of the checkpoint is not there: copy it again from where it was written, whole.",
        _FILE,
    ),
    "structure.malformed": (
        _F,
        "The file's own structure is broken: resume from an older checkpoint, check the disk.",
        _FILE,
    ),
    "structure.not_a_checkpoint": (
        _F,
        (
            "It has a checkpoint's name and is none: read the message for what it is, and copy or "
            "download the model again."
        ),
        _FILE,
    ),
    "structure.unsupported": (
        _E,
        (
            "It is in a format of old that checkpointd cannot read: read the message for how to "
            "convert it."
        ),
        _READER,
    ),
    "integrity.not_readable": (
        _N,
        (
            "Its layout is one that checkpointd cannot read by itself, so nothing was shown about "
            "its bytes: save it again with a current TensorFlow or Keras."
        ),
        _READER,
    ),
    "integrity.checksum_mismatch": (
        _F,
        "Bytes changed after they were written: check disk, memory and network storage.",
        _FILE,
    ),
    "integrity.mixed_versions": (
        _F,
        (
            "The graph and the variables come from two different saves: copy the directory again, "
            "whole."
        ),
        _FILE,
    ),
    "integrity.digest_mismatch": (
        _F,
        "A weight on disk is not the one that the training job held: check memory and disk.",
        _RECORD,
    ),
    "integrity.bit_rot": (
        _F,
        "The content changed although nobody wrote it: the disk is going bad, restore from a copy.",
        _FILE,
    ),
    "integrity.golden_unbound": (
        _W,
        "The golden record beside it belongs to another save: save through GoldenCheckpoint.",
        _RECORD,
    ),
    "safety.code": (
        _F,
        "Loading it would run code that is stored in it: do not load it unless you wrote it.",
        _DANGER,
    ),
    "safety.foreign_reference": (
        _F,
        "It refers to files outside itself: do not load it, and ask where it came from.",
        _DANGER,
    ),
    "safety.unsafe_op": (
        _F,
        (
            "An op of its graph reads or writes files, reaches other hosts or needs Python: the "
            "message says which, and what to do."
        ),
        _DANGER,
    ),
    "safety.traversal": (_F, "A name in it points outside its directory: do not load it.", _DANGER),
    "safety.bomb": (_F, "Loading it would exhaust memory: do not load it.", _DANGER),
    "safety.needs_code": (
        _E,
        (
            "It holds code, such as a Lambda layer: set allow_code = true in [watch.verify] if you "
            "trust its writer."
        ),
        _DANGER,
    ),
    "safety.given_path": (
        _W,
        (
            "It opens the file whose path it is given: let only those call it whom you trust, or "
            "export it with the file's content as its input."
        ),
        _DANGER,
    ),
    "safety.keras_metadata_code": (
        _W,
        (
            "Its keras_metadata.pb holds code that load_model of Keras 2 would run: load it with "
            "tf.saved_model.load, or set allow_code = true in [watch.verify] if you trust it."
        ),
        _DANGER,
    ),
    "safety.not_served": (
        _W,
        (
            "A part of its graph that neither loading nor a signature runs reaches outside: do not "
            "run it by hand, and export the model without it."
        ),
        _DANGER,
    ),
    "finite.nan": (
        _F,
        "The weights are destroyed: resume from an older checkpoint and lower the learning rate.",
        _FILE,
    ),
    "finite.inf": (
        _F,
        "The weights have overflowed: resume from an older checkpoint and look at the loss scale.",
        _FILE,
    ),
    "finite.nan_elsewhere": (
        _W,
        "The weights are finite, but another stored variable (an optimizer's, for one) is not.",
        _FILE,
    ),
    "drift.shape_changed": (
        _W,
        (
            "It has other tensors than the last valid one of its series: give the new model a "
            "directory of its own."
        ),
        _FILE,
    ),
    "drift.exploding": (
        _W,
        (
            "The weights grew out of bounds since the last valid checkpoint: look at the loss and "
            "the learning rate, or raise max_norm_ratio in [watch.verify] drift."
        ),
        _FILE,
    ),
    "drift.dead": (
        _W,
        (
            "A tensor that held values is all zero now: look at the learning rate and at what "
            "feeds it."
        ),
        _FILE,
    ),
    "drift.unchanged": (
        _W,
        "It is identical to the last valid one: is the job still training?",
        _FILE,
    ),
    "load.load_error": (
        _F,
        "It cannot be loaded: read the message, it is TensorFlow's own.",
        _FILE,
    ),
    "load.not_restored": (
        _F,
        (
            "A part of the model is not in the file, and comes back as something else at each "
            "load: make it with add_weight, or save in a format that stores it."
        ),
        _FILE,
    ),
    "load.unknown_object": (
        _E,
        "Name the custom object in [watch.verify] custom_objects, and its source in python_path.",
        _MACHINE,
    ),
    "load.needs_legacy": (
        _E,
        "Keras 2 wrote it and Keras 3 cannot read it: pip install 'checkpointd[legacy]'.",
        _MACHINE,
    ),
    "load.sandbox_unavailable": (
        _E,
        "This kernel cannot confine the loader: see `checkpointd status`.",
        _MACHINE,
    ),
    "load.compile_failed": (
        _W,
        (
            "The model is whole, its compile configuration does not load: load it with "
            "compile=False and compile it again, or name its custom loss or metric in "
            "[watch.verify] custom_objects."
        ),
        _FILE,
    ),
    "signatures.missing_signature": (
        _F,
        "A signature that required_signatures names is not there: export the model with it.",
        _REQUEST,
    ),
    "signatures.signature_changed": (
        _W,
        "Inputs or outputs differ from the last valid one of its series: tell who serves it.",
        _FILE,
    ),
    "inference.uninitialized": (
        _F,
        (
            "It reads a table or a variable that nothing in the checkpoint initialises, whatever "
            "the inputs: save it in a format that stores it (SavedModel or .keras)."
        ),
        _FILE,
    ),
    "inference.not_run": (
        _N,
        (
            "It was not shown to run, because it does not take inputs that were made up from its "
            "own description: give GoldenCheckpoint a golden batch."
        ),
        _INPUTS,
    ),
    "inference.non_finite_made_up": (
        _W,
        (
            "It gives NaN or Inf for inputs that were made up, and may be right to: give "
            "GoldenCheckpoint a golden batch."
        ),
        _INPUTS,
    ),
    "inference.non_finite_unrecorded": (
        _W,
        (
            "It gives NaN or Inf for inputs that were given, and no record says whether the "
            "original did: let GoldenCheckpoint record what it gives."
        ),
        _INPUTS,
    ),
    "inference.inference_error": (_F, "It loads, but it cannot be run: read the message.", _RECORD),
    "inference.non_finite_output": (_F, "It runs, but gives NaN or Inf: do not serve it.", _RECORD),
    "inference.wrong_shape": (
        _F,
        "Its outputs have another shape than it declares, and than the original gave.",
        _RECORD,
    ),
    "predictions.mismatch": (
        _F,
        (
            "It does not predict what the original predicted: do not serve it, look at what is "
            "restored."
        ),
        _RECORD,
    ),
    "predictions.environment_differs": (
        _E,
        (
            "It was recorded on other hardware or by another backend, and differs by more than "
            "rounding explains (or cross_atol and cross_rtol allow): verify it where it was "
            "recorded, or with the training job's interpreter as python in [watch.verify]."
        ),
        _MACHINE,
    ),
    "resume.optimizer_missing": (
        _W,
        (
            "The optimizer that was saved does not come back, training would begin its moments "
            "anew: save as .keras, and mend what `load` says."
        ),
        _FILE,
    ),
    "resume.optimizer_changed": (
        _W,
        (
            "The optimizer that comes back is not the one that was saved: save as .keras, never as "
            ".h5 before that, and let a builder make the optimizer that the job used."
        ),
        _FILE,
    ),
    "resume.step_failed": (
        _W,
        (
            "Training cannot go on from it as it is loaded: read the message, and save as .keras "
            "rather than .h5, from which Keras 3 restores no optimizer."
        ),
        _FILE,
    ),
    "evaluate.below_threshold": (
        _F,
        "Its metrics are outside the bounds of [watch.verify]: do not serve it.",
        _REQUEST,
    ),
    "evaluate.evaluate_error": (
        _E,
        "The evaluation could not be done: mend the function or the data that the message names.",
        _MACHINE,
    ),
}

_ANY = {
    "timeout": (_E, "It took too long: raise [worker] timeout, or look at the disk.", _MACHINE),
    "crashed": (_F, "Loading it crashes the interpreter, twice in a row: do not load it.", _FILE),
    "out_of_memory": (
        _E,
        "There was not enough memory: raise [worker] memory, or free some on this machine.",
        _MACHINE,
    ),
    "unreadable": (_E, "It could not be read: look at permissions and at the disk.", _MACHINE),
    "environment": (
        _E,
        (
            "Read the message: it is about the verifier's settings, interpreter or machine, not "
            "about the checkpoint."
        ),
        _MACHINE,
    ),
}

_NOTED = frozenset({"drift", "signatures", "inference", "predictions", "resume"})
"""Checks that show neither `intact` nor `loads`, and that nobody asked for."""

_MISSING_HERE = frozenset({"environment", "out_of_memory"})

_CRASHES = {
    "inference": (
        _E,
        "Running it crashes the interpreter, twice in a row: run it by hand before it is served.",
        _MACHINE,
    ),
    "resume": (
        _N,
        (
            "The training step that was made up for it crashes the interpreter, twice in a row: "
            "that says nothing of the step that the job would make."
        ),
        _INPUTS,
    ),
}
"""What may crash because of this machine, or of what we make up for the model."""


def _any(check: str, word: str) -> Reason:
    """What a word that any check may end in means for this one."""
    severity, cure, basis = _ANY[word]
    if word == "crashed" and check in _CRASHES:
        severity, cure, basis = _CRASHES[check]
    if check in _NOTED and word in _MISSING_HERE:
        severity = _N
    return Reason(severity, cure, basis)


_CHECK_NAMES = sorted({reason.split(".")[0] for reason in _OWN})

REASONS = {
    **{name: Reason(*entry) for name, entry in _OWN.items()},
    **{f"{check}.{word}": _any(check, word) for check in _CHECK_NAMES for word in _ANY},
}
"""Every reason that a report may hold, by name."""


def cure_of(reason: str) -> str:
    """What to do about a reason; empty for one of a user's own check that only they know."""
    known = REASONS.get(reason)
    if known is not None:
        return known.cure
    check, _, word = reason.partition(".")
    return _ANY[word][1] if check and word in _ANY else ""
