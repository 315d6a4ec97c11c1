"""What an exception of TensorFlow's means: a lack of this machine or its libraries, or none."""

from __future__ import annotations

import pytest

from checkpointd.verify.suite import from_exception
from checkpointd.verify.tf_errors import cause, environment_problem, shortened

KERNEL = """Graph execution error:

Detected at node 'b' defined at (most recent call last):
    File "/job/train.py", line 20, in <module>
    File "/job/train.py", line 6, in build
Node: 'b'
No OpKernel was registered to support Op '%s' used by {{node b}} with these attrs: [T=DT_UINT8]
Registered devices: [CPU]
Registered kernels:
%s

 [[b]]

Original stack trace for 'b':
  File "/job/train.py", line 20, in <module>
"""


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's is."""


def problem_text(error: BaseException) -> str:
    """The sentence on what is lacking."""
    found = environment_problem(error)
    assert found is not None
    assert found.word == "environment"
    return found.message


def test_an_op_that_only_a_gpu_has_is_distinguished_from_one_that_was_removed() -> None:
    """A GPU is asked for where the op has a kernel there, and for no other op."""
    gpu = problem_text(ValueError(KERNEL % ("CudnnRNN", "  device='GPU'; T in [DT_FLOAT]")))
    gone = problem_text(ValueError(KERNEL % ("BoostedTreesBucketize", "  <no registered kernels>")))
    types = "  device='XLA_CPU_JIT'; T in [DT_HALF]\n  device='CPU'; T in [DT_FLOAT]"
    other = problem_text(ValueError(KERNEL % ("MatMul", types)))
    assert "'CudnnRNN' on GPU alone" in gpu
    assert gone == (
        "This TensorFlow has no kernel for the op 'BoostedTreesBucketize' on any device."
    )
    assert "'MatMul' on a CPU for the types it is used with (T=DT_UINT8) (it has DT_FLOAT)" in other


def test_an_eager_op_without_a_kernel_is_the_same() -> None:
    """TensorFlow words it otherwise outside of a graph."""
    text = (
        "Could not find device for node: {{node C}} = CudnnRNN[T=DT_FLOAT]\n"
        "All kernels registered for op CudnnRNN:\n  device='GPU'; T in [DT_FLOAT]\n [Op:CudnnRNN]"
    )
    assert "'CudnnRNN' on GPU alone" in problem_text(ValueError(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Op type not registered 'CaseFoldUTF8' in binary running on vm.", "tensorflow_text"),
        ("Op type not registered 'Addons>Sparsemax' in binary", "tensorflow_addons"),
        ("Op type not registered 'SimpleMLLoadModelFromPath' in b", "tensorflow_decision_forests"),
        ("Op type not registered 'DecodeProtoSparseV2' in binary", "struct2tensor"),
        ("Op type not registered 'TRTEngineOp' in binary", "TensorRT"),
        ("Op type not registered 'MyOwn' in binary running on vm.", "whose libraries register it"),
        (
            "The type 'tfp.bijectors.Scale_ACTTypeSpec' has not been registered.  It must be",
            "install tensorflow_probability beside",
        ),
        ("The type 'my.Spec' has not been registered.", "the library that defines it"),
        ("GraphDef min consumer version 9999 above current version 2474 for", "upgrade TensorFlow"),
        ("XlaCallModuleOp with version 99 is not supported by this build.", "upgrade TensorFlow"),
        (
            "The current platform CPU is not among the platforms required by the module: [CUDA]",
            "exported for CUDA alone, and is run here on CPU",
        ),
        (
            "operation a: {{node a}} was explicitly assigned to /device:GPU:0 but available",
            "on the device /device:GPU:0",
        ),
        ("The Conv2D op currently only supports the NHWC tensor format on the CPU.", "NHWC"),
        ("bad marshal data (unknown type code)", "not of Python"),
    ],
)
def test_what_is_lacking_is_named(text: str, expected: str) -> None:
    """The library to install, the device, the version: what a reader can do about it."""
    assert expected in problem_text(ValueError(text))


@pytest.mark.parametrize("error", [MemoryError(), ResourceExhaustedError("OOM when allocating")])
def test_memory_is_a_lack_of_its_own(error: BaseException) -> None:
    """It is the limit's fault."""
    found = environment_problem(error)
    assert found is not None
    assert found.word == "out_of_memory"


@pytest.mark.parametrize(
    "text",
    [
        "Table not initialized.",
        "Key w not found in checkpoint",
        "NodeDef missing attr 'T' from Op<name=Mul>",
        "Dimensions must be equal, but are 3 and 4",
        "'in' is not a valid parameter name",
    ],
)
def test_what_lies_in_the_file_is_excused_by_nothing(text: str) -> None:
    """The caller decides what that is evidence of."""
    assert environment_problem(ValueError(text)) is None


def test_the_cause_is_left_of_a_dump() -> None:
    """No stack, no list of nodes, and both ends of what is long."""
    text = KERNEL % ("X", "  <no registered kernels>")
    assert cause(text).startswith("No OpKernel was registered to support Op 'X' used by b with")
    assert "File" not in cause(text)
    restored = (
        "Restoring from checkpoint failed. This is most likely due to a mismatch between the "
        "current graph and the graph from the checkpoint. Please ensure that you have not altered "
        "the graph expected based on the checkpoint. Original error:\n\nKey w not found in "
        "checkpoint\n\t [[{{node save/RestoreV2}}]]"
    )
    assert shortened(restored) == "Key w not found in checkpoint."
    assert shortened("a" * 400 + " the end", 100).endswith(" the end.")


def test_a_check_that_raises_says_what_is_lacking() -> None:
    """Not that it failed itself: `predictions` runs a model whose op has no kernel here."""
    error = ValueError(KERNEL % ("CudnnRNN", "  device='GPU'; T in [DT_FLOAT]"))
    result = from_exception("predictions", error)
    assert result.reason == "predictions.environment"
    assert result.message.startswith("This TensorFlow has a kernel for the op 'CudnnRNN' on GPU")
