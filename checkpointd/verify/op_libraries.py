"""Which library registers an op or a TypeSpec that TensorFlow alone does not have."""

from __future__ import annotations

import re

LIBRARIES = {
    "tensorflow_text": (
        r"CaseFoldUTF8|NormalizeUTF8\w*|SentencepieceOp|Sentencepiece\w+|\w*WordpieceTokenize\w*|"
        r"\w*BertNormalize\w*|UnicodeScript\w*|WhitespaceTokenize\w*|RegexSplit\w*|"
        r"SentenceFragments\w*|ConstrainedSequence|MaxSpanningTree|RougeL|NgramsStringJoin|"
        r"MstSolver|TFText>?\w*|\w*ByteSplit\w*|RoundRobinTrim\w*|SplitMergeTokenize\w*"
    ),
    "tensorflow_addons": r"Addons>\w+",
    "tensorflow_decision_forests": r"SimpleML\w+",
    "struct2tensor": r"DecodeProtoSparse\w*|DecodeProtoMap\w*|EquiJoin\w*|RunLengthBefore\w*",
    "tensorflow_recommenders_addons": r"TFRA>\w+",
    "tensorflow_io": r"IO>\w+",
    "tensorflow_data_validation or tfx_bsl": r"\w*RecordBatch\w*|TFXBSL\w*",
    "tensorflow_ranking": r"Ranking>\w+",
    "tensorflow_gnn": r"GNN>\w+",
    "a TensorFlow that is built with TensorRT": (
        r"TRTEngineOp|\w*TRTResource\w*|GetCalibrationData\w*"
    ),
    "a TensorFlow for TPUs": r"TPU\w+|\w+TPU\w*|_TPU\w+",
    "a TensorFlow of Horovod's": r"Horovod\w+",
    "a TensorFlow for AWS Neuron": r"NeuronOp",
}
"""The libraries that are known to register ops: a package, and the names of its ops."""

PACKAGES = {
    "tfp": "tensorflow_probability",
    "tensorflow_probability": "tensorflow_probability",
    "tfgnn": "tensorflow_gnn",
    "tensorflow_gnn": "tensorflow_gnn",
    "keras": "keras or tf_keras",
    "tfrs": "tensorflow_recommenders",
    "tf_agents": "tf_agents",
    "tfa": "tensorflow_addons",
    "s2t": "struct2tensor",
    "struct2tensor": "struct2tensor",
}
"""Which library registers a TypeSpec, by the part of its name before the first dot."""


def of_op(op: str) -> str:
    """Return the library that registers an op; empty if that is not known."""
    return next((name for name, ops in LIBRARIES.items() if re.fullmatch(ops, op)), "")


def of_type(name: str) -> str:
    """Return the library that registers a TypeSpec, by its name; empty if that is not known."""
    return PACKAGES.get(re.split(r"[.>]", name)[0], "")
