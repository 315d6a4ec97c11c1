"""The check `resume`: training can go on from what was loaded.

The optimizer that comes back is the one that was saved, and one real training step with it leaves
loss and weights finite. What was saved is known from the file (its tensors, by the scan side; its
compile configuration) and by the golden record (class and hyperparameters). What holds no
optimizer, such as an export for serving, is skipped: it was not saved to go on training from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, failed, passed, skipped
from checkpointd.core.format_specs import Format
from checkpointd.core.verify_settings import LOAD_STAGE
from checkpointd.verify import stored_digests
from checkpointd.verify.load import optimizers, runtime, train_step
from checkpointd.verify.load.loaders import weights
from checkpointd.verify.load.optimizers import Optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Digest
    from checkpointd.core.request import Previous
    from checkpointd.golden import Golden
    from checkpointd.verify.load.context import LoadContext
    from checkpointd.verify.load.loaded import Loaded
    from checkpointd.verify.load.train_step import TrainStep

NAME = "resume"
_UNKNOWN = (
    "What it holds of an optimizer is not known: integrity did not run, or there are more than "
    f"{stored_digests.MOST_TENSORS:,} variables of one."
)
_TRAINABLE_CHANGED = (
    "Keras restores none where their number differs: if trainable was changed after compile(), "
    "compile the model again before it is saved"
)
_SAVED_MODEL = (
    "It holds an optimizer, and no Keras brings that back from a SavedModel: save as .keras or as "
    "a TensorFlow checkpoint to go on training."
)
_UNKNOWN_TO_IT = "Unknown variable"
_NO_VARIABLES = (
    "A training step fails (Unknown variable), as Keras 3 brings the optimizer of an .h5 file back "
    "without its variables: save the model as .keras to go on training from it"
)
_OWN_COMPILE = (
    "Its class has a compile() of its own, so Keras loads it without an optimizer: compile it "
    "yourself and load its weights again to go on training."
)


def check(context: LoadContext) -> CheckResult:
    """Compare the optimizer that came back with the one that was saved, and make a step."""
    loaded, stored = context.loaded, context.facts.optimizer_tensors
    compile_config = loaded.compile_config if loaded is not None else None
    in_file = optimizers.from_config(named_in(compile_config))
    why_unusable = _why_unusable(context, in_file)
    if why_unusable or loaded is None or stored is None:
        return skipped(NAME, why_unusable)
    saved = saved_optimizer(stored, in_file, context.record)
    if not loaded.optimizers or (not stored and context.facts.format is Format.KERAS):
        return _missing(saved, loaded)
    back = _together([optimizers.from_memory(o) for o in loaded.optimizers])
    bundle = context.facts.format is Format.TF_CHECKPOINT
    problems = optimizers.differences(saved, back, bundle=bundle)
    same_kind = len(problems) == 1 and optimizers.lost(saved, back, bundle=bundle)
    another_count = len(saved.tensors) != len(back.tensors)
    if same_kind and another_count and context.facts.format is Format.KERAS:
        problems.append(_TRAINABLE_CHANGED)
    if not in_file.names and names_no_optimizer(compile_config):
        problems.insert(
            0,
            "the file does not name its optimizer, as Keras writes it once a model has been saved "
            f"as .h5, and Keras makes {back.name} in its place",
        )
    context.learn(optimizer_step=back.step)
    note = ""
    if not problems and back.step is not None:
        step_now = context.request.checkpoint.step
        step_now = context.facts.step if step_now is None else step_now
        fell, note = fell_back(back.step, step_now, context.request.previous)
        problems += [fell] if fell else []
    step = train_step.make(loaded, context.record, put_back=_is_used_again(context))
    if _UNKNOWN_TO_IT in step.failed and _is_keras_3_h5(context, loaded):
        step = replace(step, failed=_NO_VARIABLES)
    return judge(back, problems, step, note)


def _is_keras_3_h5(context: LoadContext, loaded: Loaded) -> bool:
    legacy = runtime.generation(loaded.library) == runtime.LEGACY
    return context.facts.format is Format.HDF5 and not legacy


def _is_used_again(context: LoadContext) -> bool:
    """Whether a later check needs the model as it was loaded."""
    settings = context.request.settings
    own = any(check.stage == LOAD_STAGE for check in settings.checks)
    return own or settings.evaluate.is_set


def _why_unusable(context: LoadContext, in_file: Optimizer) -> str:
    """Explain why there is nothing to resume from, without a fault; empty if there is."""
    loaded, stored = context.loaded, context.facts.optimizer_tensors
    if loaded is None:
        return context.nothing_loaded
    if stored is None:
        return _UNKNOWN
    if stored and context.facts.format is Format.SAVEDMODEL:
        return _SAVED_MODEL
    nothing = not stored and not in_file.names
    return loaded.no_optimizer or (weights.SAVED_WITHOUT if nothing else "")


def judge(back: Optimizer, problems: list[str], step: TrainStep, note: str = "") -> CheckResult:
    """Make the result of what was found.

    Args:
        back: the optimizer that came back.
        problems: parts of a sentence: in what it is not the one that was saved.
        step: what came of a training step.
        note: what else to report.
    """
    details = {
        "optimizer": back.name,
        "optimizer_step": back.step,
        "variables": len(back.tensors),
        "step_made": step.made,
        "loss": step.loss,
    }
    if step.failed:
        message = "; ".join([step.failed.rstrip("."), *problems])
        return failed(NAME, "step_failed", _sentence(message), **details)
    if problems:
        return failed(NAME, "optimizer_changed", _sentence("; ".join(problems)), **details)
    verb = "come" if "," in back.name else "comes"
    whole = f"{back.name} {verb} back whole ({len(back.tensors)} variables"
    whole += f", {back.step} steps)" if back.step is not None else ")"
    after = f" {note}" if note else ""
    if not step.made:
        made = _sentence(f"no training step was made: {step.note}")
        return replace(skipped(NAME, f"{_sentence(whole)} {made}{after}"), details=details)
    loss = f" gives a loss of {step.loss:.6g}" if step.loss is not None else " leaves all finite"
    return passed(NAME, f"{_sentence(whole)} A training step {step.note}{loss}.{after}", **details)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _missing(saved: Optimizer, loaded: Loaded) -> CheckResult:
    """Explain why no optimizer came back although one was saved."""
    compile_method = getattr(type(loaded.model), "compile", None)
    keras_compile = getattr(getattr(loaded.library, "Model", None), "compile", None)
    if not loaded.compile_failed and not loaded.optimizers and compile_method is not keras_compile:
        return skipped(NAME, _OWN_COMPILE)
    why = "Keras does not bring it back"
    if loaded.compile_failed:
        why = "its compile configuration does not load, as `load` explains"
    elif loaded.optimizers and runtime.generation(loaded.library) == runtime.LEGACY:
        why = "its variables are not in the file, as tf-keras leaves out a legacy optimizer's"
    elif loaded.optimizers:
        why = "its variables are not in the file, and Keras makes new ones"
    count = f" ({len(saved.tensors)} variables)" if saved.tensors else ""
    return failed(
        NAME,
        "optimizer_missing",
        f"It was saved with {saved.name}{count}, which does not come back: {why}.",
        optimizer=saved.name,
        stored=len(saved.tensors),
    )


def named_in(compile_config: Mapping[str, Any] | None) -> Any:
    """The part of a compile configuration that names the optimizer; None if there is none."""
    config = compile_config if isinstance(compile_config, dict) else {}
    return config.get("optimizer", config.get("optimizer_config"))


def names_no_optimizer(compile_config: Mapping[str, Any] | None) -> bool:
    """Whether a configuration is one as Keras writes it, but for the optimizer.

    Keras 3's writer of HDF5 takes the optimizer out of the very configuration that the model
    keeps (`model_metadata` in keras/src/legacy/saving/saving_utils.py, 3.15.1).
    """
    config = compile_config if isinstance(compile_config, dict) else {}
    return {"loss", "loss_weights", "metrics"} <= set(config) and "optimizer" not in config


def saved_optimizer(
    stored: tuple[Digest, ...], in_file: Optimizer, record: Golden | None
) -> Optimizer:
    """Put together what is known of the optimizer that was saved; the record comes first."""
    recorded = optimizers.from_config(dict(record.optimizer)) if record else Optimizer()
    known = recorded if recorded.names else in_file
    return replace(known, tensors=stored)


def _together(optimizers: list[Optimizer]) -> Optimizer:
    """Several optimizers as one: all variables, and the steps of the one that made most."""
    if len(optimizers) == 1:
        return optimizers[0]
    steps = [o.step for o in optimizers if o.step is not None]
    return Optimizer(
        (", ".join(o.name for o in optimizers),),
        {},
        tuple(d for o in optimizers for d in o.tensors),
        max(steps, default=None),
        tuple(count for o in optimizers for count in o.counts),
    )


def fell_back(now: int, step_now: int | None, previous: Previous | None) -> tuple[str, str]:
    """Check whether an optimizer counts fewer steps than the one before it in its series.

    Args:
        now: the steps that it counts.
        step_now: the step in the checkpoint's name or golden record.
        previous: the last valid checkpoint of the series.

    Returns:
        A problem, where the job went on counting while its optimizer started again; and a note,
        where it may as well be a new run.
    """
    before = previous.facts.optimizer_step if previous is not None else None
    if previous is None or before is None or now >= before:
        return "", ""
    fewer = f"{now} steps, and {before} in {previous.path}"
    if step_now is None or previous.step is None or step_now <= previous.step:
        return "", f"It counts {fewer}: another run."
    went_on = f"although the job went on from step {previous.step} to {step_now}"
    return f"it counts {fewer}, {went_on}: a new optimizer was made in between", ""
