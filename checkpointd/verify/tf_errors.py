"""Whether an exception of TensorFlow's means that this machine or its libraries lack something.

Loading and running both ask here, so that no check takes a missing kernel, device, op or library
for damage. Any other exception is left to the caller: it may be evidence of damage.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.core import memory_errors
from checkpointd.verify import op_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping

_OP = re.compile(r"Op type not registered '([^']+)'")
_TYPE_SPEC = re.compile(r"The type '?\"?([\w.>:-]+)'?\"? has not been registered")
_KERNEL = re.compile(r"No OpKernel was registered to support Op '([^']+)'[^\[]*(\[[^\n]*\])?")
_DEVICE = re.compile(r"Could not find device for node:[^\n]*?= ([\w>]+)(\[[^\n]*\])?")
_REGISTERED = re.compile(r"^\s+device='([^']+)'(?:; ([^\n]*))?$", re.MULTILINE)
_PLACED = re.compile(
    r"(?:was explicitly assigned to|Could not satisfy explicit device specification|"
    r"Could not satisfy device specification) '?(/[^\s']+)"
)
_PLATFORM = re.compile(
    r"The current platform ([\w.]+) is not among the platforms required by the module:? "
    r"(\[[^\]]*\])"
)
_NEWER = re.compile(
    r"GraphDef min consumer version \d+ above current version \d+|"
    r"is not supported by this version of TensorFlow|"
    r"XlaCallModule(?:Op)? with version \d+ is not supported by this build"
)
_CLASS = re.compile(r"registry does not have name '?([^'\n]+?)'?(?:[.:\n]|$)")
_FOR_OTHERS = re.compile(
    r"only supports? (?:the )?NHWC|only supported (?:on|for) (?:the )?(?:GPU|NHWC|TPU)|"
    r"not (?:yet )?(?:supported|implemented) (?:on|for) (?:the )?(?:CPU|this platform)|"
    r"NCHW\w* (?:is |format )?(?:not|un)\w* ?supported|supports NHWC tensor format|"
    r"[Cc]ollective ops? .{0,40}not (?:been )?(?:initialized|configured)|"
    r"(?:No|no) (?:GPU|TPU|visible GPU)[^.\n]{0,20} (?:device|found|available)|"
    r"No registered implementation for [^\n]{0,40}custom call|"
    r"XLA compilation requires|TPU system is not initialized|UNIMPLEMENTED: .{0,80}\bCPU\b"
)
_BYTECODE = re.compile(
    r"bad marshal data|marshal data too short|unknown opcode|"
    r"code(?:\(\))? (?:expected at (?:least|most)|argument \d+ must be)|"
    r"XXX lineno: \d+, opcode: \d+"
)
_TEXT = 300
_MOST_KERNELS = 6

_STACKS = (
    re.compile(r"\n*Original stack trace for .*", re.DOTALL),
    re.compile(r"Restoring from checkpoint failed\.[^\n]*?Original error:\s*"),
    re.compile(r"Graph execution error:\s*"),
    re.compile(r"Detected at node[^\n]*\n(?:(?!Node:)[^\n]*\n)*?(?=Node:)"),
    re.compile(r"Detected at node[^\n]*\n(?: +[^\n]*\n)*"),
    re.compile(r"^Node: '[^\n]*'\n", re.MULTILINE),
    re.compile(r"^\s*File \"[^\n]*(?: \*)?\n(?: {8,}[^\n]*\n)*", re.MULTILINE),
    re.compile(r"in user code:\s*"),
    re.compile(r"\s*tf2xla conversion failed while .*", re.DOTALL),
    re.compile(r"\{\{function_node [^}]*\}\}\s*"),
    re.compile(r"^\s*\[\[[^\n]*\]\]\s*", re.MULTILINE),
    re.compile(r"\s*\[Op:[^\]]*\](?: name:)?"),
    re.compile(r"\d+ derived errors? ignored\.?"),
    re.compile(r"<stack traces unavailable>\s*"),
    re.compile(
        r"\s*You may be trying to load on a different device from the computational .*", re.DOTALL
    ),
    re.compile(r"\(\d+\) [A-Z_]+: (?=[^\n]*\n(?:.*\n)*?\(1\))"),
)
_NODE = re.compile(r"\{\{(?:node|colocation_node) ([^}]*)\}\}")


@dataclass(frozen=True)
class EnvironmentProblem:
    """What this machine or its libraries lack: the reason's word, a message, and details."""

    word: str
    message: str
    details: Mapping[str, str] = field(default_factory=dict)


def cause(text: str) -> str:
    """Strip a message of TensorFlow's to its cause, without stack traces and names of nodes."""
    for pattern in _STACKS:
        text = pattern.sub("", text)
    return _NODE.sub(r"\1", text).strip()


def environment_problem(error: BaseException) -> EnvironmentProblem | None:
    """Return what this machine or its libraries lack; None if that is not why something failed.

    Args:
        error: what was raised while a checkpoint was loaded or run.
    """
    text = str(error)
    if memory_errors.is_memory_error(error):
        return EnvironmentProblem("out_of_memory", "There was not enough memory for it.")
    return _of_libraries(error, text) or _of_device(text)


def _of_libraries(error: BaseException, text: str) -> EnvironmentProblem | None:
    for pattern, problem_of in (
        (_OP, _unregistered),
        (_TYPE_SPEC, _unknown_type),
        (_CLASS, _unknown),
    ):
        match = pattern.search(text)
        if match:
            return problem_of(match[1])
    if _NEWER.search(text):
        return EnvironmentProblem(
            "environment",
            "A newer TensorFlow wrote its graph than the one here reads: upgrade TensorFlow, or "
            f"set python in [watch.verify]. {shortened(text)}",
        )
    if _BYTECODE.search(text) and isinstance(error, (ValueError, TypeError, EOFError, SystemError)):
        return EnvironmentProblem("environment", other_python_message(shortened(text)))
    if isinstance(error, ImportError):
        return EnvironmentProblem(
            "environment", f"A module that it needs is not there: {shortened(text)}"
        )
    return None


def other_python_message(detail: str = "") -> str:
    """Return the message for stored bytecode of another Python than this one."""
    here = ".".join(str(part) for part in sys.version_info[:2])
    return (
        f"It stores the bytecode of a function, and that is not of Python {here}, which is "
        "verifying it: set python in [watch.verify] to an interpreter of the version that wrote "
        f"it. {detail}"
    ).strip()


def _unregistered(op: str) -> EnvironmentProblem:
    """Name the op, and the library that has it, if that is known."""
    library = op_libraries.of_op(op)
    cure = f"it is of {library}: set python in [watch.verify] to an interpreter that has it"
    if not library:
        cure = "set python in [watch.verify] to an interpreter whose libraries register it"
    return EnvironmentProblem(
        "environment",
        f"Its graph uses the op {op!r}, which this TensorFlow does not have: {cure}.",
        {"op": op, **({"library": library} if library else {})},
    )


def _unknown_type(name: str) -> EnvironmentProblem:
    """Name the TypeSpec, and the library that registers it, if that is known."""
    library = op_libraries.of_type(name)
    return EnvironmentProblem(
        "environment",
        f"It holds a value of the type {name!r}, which nothing here registers: install "
        f"{library or 'the library that defines it'} beside this TensorFlow, or set python in "
        "[watch.verify] to an interpreter that imports it.",
        {"type": name, **({"library": library} if library else {})},
    )


def _unknown(name: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "environment",
        f"It holds an object that is registered as {name!r}, which nothing here registers: set "
        "python in [watch.verify] to an interpreter whose libraries do.",
        {"type": name},
    )


def _of_device(text: str) -> EnvironmentProblem | None:
    match = _KERNEL.search(text) or _DEVICE.search(text)
    if match:
        return _kernel(match[1], text)
    placed = _PLACED.search(text)
    if placed:
        return EnvironmentProblem(
            "environment",
            f"Its graph puts an op on the device {placed[1].rstrip('.,')}, which this machine does "
            f"not have: {shortened(text)}",
        )
    platform = _PLATFORM.search(text)
    if platform:
        return EnvironmentProblem(
            "environment",
            f"It was exported for {platform[2].strip('[]')} alone, and is run here on "
            f"{platform[1]}: export it for the CPU too (jax2tf: native_serialization_platforms).",
        )
    if _FOR_OTHERS.search(text):
        return EnvironmentProblem(
            "environment",
            f"It has an op that the CPU's kernels do not support as it is used: {shortened(text)}",
        )
    return None


def _kernel(op: str, text: str) -> EnvironmentProblem:
    """Describe the kernels that an op has, none of which fits."""
    kernels = _REGISTERED.findall(text)
    devices = {device for device, _ in kernels if not device.startswith("XLA_")}
    if not devices:
        message = f"This TensorFlow has no kernel for the op {op!r} on any device"
    elif "CPU" in devices:
        fitting = [limits for device, limits in kernels if device == "CPU" and limits]
        types = sorted({kind for limits in fitting for kind in re.findall(r"DT_\w+", limits)})
        known = (
            f" (it has {', '.join(types[:_MOST_KERNELS])}{', …' * (len(types) > _MOST_KERNELS)})"
        )
        used = ", ".join(dict.fromkeys(re.findall(r"[(,\[ ](T\w*=DT_\w+)", text)))
        message = (
            f"This TensorFlow has no kernel for the op {op!r} on a CPU for the types it is used "
            f"with{f' ({used})' if used else ''}{known if types else ''}"
        )
    else:
        message = (
            f"This TensorFlow has a kernel for the op {op!r} on {', '.join(sorted(devices))} alone,"
            " and checkpointd runs models on the CPU"
        )
    return EnvironmentProblem("environment", f"{message}.", {"op": op})


def shortened(text: str, limit: int = _TEXT) -> str:
    """Return the cause in a message of TensorFlow's as one line; of a long one, head and tail."""
    line = " ".join(cause(text).split())
    if len(line) > limit:
        head = limit * 2 // 3
        line = f"{line[:head].rstrip()} … {line[-(limit - head) :].lstrip()}"
    return line if line.endswith((".", "!", "?")) else f"{line}."
