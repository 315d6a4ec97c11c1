"""Reasons of the checks that load a checkpoint and run it."""

from __future__ import annotations

from checkpointd.core.reasons.reason import Basis, Reason, Severity

_F, _E, _W, _N = Severity.FAIL, Severity.ERROR, Severity.WARN, Severity.NOTE
_FILE, _RECORD, _REQUEST, _MACHINE, _INPUTS = (
    Basis.FILE,
    Basis.RECORD,
    Basis.REQUEST,
    Basis.MACHINE,
    Basis.INPUTS,
)

LOAD = {
    "load.load_error": Reason(
        _F,
        "It cannot be loaded: read the message, which is TensorFlow's or Keras's.",
        _FILE,
    ),
    "load.not_restored": Reason(
        _F,
        (
            "A part of the model is not in the file and has other values after each load: make it "
            "with add_weight, or save in a format that stores it."
        ),
        _FILE,
    ),
    "load.unknown_object": Reason(
        _E,
        "Name the custom object in [watch.verify] custom_objects, and its source in python_path.",
        _MACHINE,
    ),
    "load.needs_legacy": Reason(
        _E,
        "Keras 2 wrote it and Keras 3 cannot read it: pip install 'checkpointd[legacy]'.",
        _MACHINE,
    ),
    "load.sandbox_unavailable": Reason(
        _E,
        "This kernel cannot confine the loader: see `checkpointd status`.",
        _MACHINE,
    ),
    "load.compile_failed": Reason(
        _W,
        (
            "The model is whole, but its compile configuration does not load: load it with "
            "compile=False and compile it again, or name its custom loss or metric in "
            "[watch.verify] custom_objects."
        ),
        _FILE,
    ),
    "load.misnamed": Reason(
        _W,
        "The model is whole, but its file is named like another format: rename it as the message "
        "shows.",
        _FILE,
    ),
}

SIGNATURES = {
    "signatures.missing_signature": Reason(
        _F,
        "A signature that required_signatures names is missing: export the model with it.",
        _REQUEST,
    ),
    "signatures.signature_changed": Reason(
        _W,
        "Inputs or outputs differ from the last valid one of its series: adapt its callers.",
        _FILE,
    ),
}

INFERENCE = {
    "inference.uninitialized": Reason(
        _F,
        (
            "It reads a table or a variable that nothing in the checkpoint initialises, whatever "
            "the inputs: save it in a format that stores it (SavedModel or .keras)."
        ),
        _FILE,
    ),
    "inference.not_run": Reason(
        _N,
        (
            "It was not run, because it does not accept inputs that were made up from its "
            "description: give GoldenCheckpoint a golden batch."
        ),
        _INPUTS,
    ),
    "inference.non_finite_made_up": Reason(
        _W,
        (
            "It returns NaN or Inf for inputs that were made up, which may be correct: give "
            "GoldenCheckpoint a golden batch."
        ),
        _INPUTS,
    ),
    "inference.non_finite_unrecorded": Reason(
        _W,
        (
            "It returns NaN or Inf for given inputs, and there is no record of what the original "
            "returned: let GoldenCheckpoint record its outputs."
        ),
        _INPUTS,
    ),
    "inference.inference_error": Reason(
        _F, "It loads, but it cannot be run: read the message.", _RECORD
    ),
    "inference.non_finite_output": Reason(
        _F, "It runs, but returns NaN or Inf: do not serve it.", _RECORD
    ),
    "inference.wrong_shape": Reason(
        _F,
        "Its outputs have another shape than it declares and than the original's: do not serve it.",
        _RECORD,
    ),
    "inference.crashed": Reason(
        _E,
        "Running it crashes the interpreter, twice in a row: run it by hand before it is served.",
        _MACHINE,
    ),
}

PREDICTIONS = {
    "predictions.mismatch": Reason(
        _F,
        (
            "It does not predict what the original predicted: do not serve it, and compare what is "
            "restored with what was saved."
        ),
        _RECORD,
    ),
    "predictions.environment_differs": Reason(
        _E,
        (
            "It was recorded on other hardware or by another backend, and differs by more than "
            "rounding explains (or cross_atol and cross_rtol allow): verify it where it was "
            "recorded, or with the training job's interpreter as python in [watch.verify]."
        ),
        _MACHINE,
    ),
}

RESUME = {
    "resume.optimizer_missing": Reason(
        _W,
        (
            "The saved optimizer is not restored, so training would start with fresh moments: "
            "save as .keras, and correct what `load` reports."
        ),
        _FILE,
    ),
    "resume.optimizer_changed": Reason(
        _W,
        (
            "The optimizer that is restored is not the one that was saved: save as .keras, never "
            "as .h5 before that, and let a builder make the optimizer that the job used."
        ),
        _FILE,
    ),
    "resume.step_failed": Reason(
        _W,
        (
            "Training cannot continue from it as it is loaded: read the message, and save as "
            ".keras rather than .h5, from which Keras 3 restores no optimizer."
        ),
        _FILE,
    ),
    "resume.crashed": Reason(
        _N,
        (
            "The training step that was made up for it crashes the interpreter, twice in a row: "
            "the job's real step may succeed."
        ),
        _INPUTS,
    ),
}

EVALUATE = {
    "evaluate.below_threshold": Reason(
        _F,
        "Its metrics are outside the bounds of [watch.verify]: do not serve it.",
        _REQUEST,
    ),
    "evaluate.evaluate_error": Reason(
        _E,
        "The evaluation failed: correct the function or the data that the message names.",
        _MACHINE,
    ),
}
