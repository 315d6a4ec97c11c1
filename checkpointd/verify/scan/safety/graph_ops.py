"""TensorFlow's ops that reach outside of the graph, and the list of all its ops.

A test compares them with the registry of TensorFlow 2.21 (1,910 ops): every op with an argument
whose name suggests a file, an address or a program is in one of the tables here, or is listed in
the test as harmless. Sources: tensorflow/core/ops/*.cc, tensorflow/core/api_def.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

KNOWN_VERSION = (2, 21)
"""The TensorFlow whose ops `registered` gives."""

READS = frozenset(
    {"CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "ExperimentalLMDBDataset"}
    | {"ExperimentalMatchingFilesDataset", "ExperimentalSqlDataset", "FixedLengthRecordDataset"}
    | {"FixedLengthRecordDatasetV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2"}
    | {"GenerateVocabRemapping", "ImmutableConst", "LMDBDataset", "LMDBReader"}
    | {"ListSnapshotChunksDataset", "LoadAndRemapMatrix", "LoadDataset", "MatchingFiles"}
    | {"MatchingFilesDataset", "ReadFile", "RecordInput", "Skipgram", "SnapshotChunkDataset"}
    | {"SnapshotDatasetReader", "SnapshotNestedDatasetReader", "SqlDataset", "TFRecordDataset"}
    | {"TFRecordDatasetV2", "TFRecordReader", "TFRecordReaderV2", "TextLineDataset"}
    | {"TextLineReader", "TextLineReaderV2", "WholeFileReader", "WholeFileReaderV2"}
)
"""These read files."""

READS_ASSETS = frozenset(
    {"CSVDataset", "CSVDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"}
    | {"ReadFile", "TFRecordDataset", "TFRecordDatasetV2", "TextLineDataset"}
)
"""Of these ops that read files, the first input is the path: ordinary if that is an asset."""

WRITES = frozenset(
    {"CalibrationStatisticsSaver", "CreateSummaryDbWriter", "CreateSummaryFileWriter"}
    | {"DatasetToTFRecord", "DistributedSave", "DumpTensor", "ExperimentalDatasetToTFRecord"}
    | {"SaveDataset", "SaveDatasetV2", "SnapshotDataset", "SnapshotDatasetV2", "WriteFile"}
)
"""These write files."""

CONNECTS = frozenset(
    {"DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4"}
    | {"FileSystemSetConfiguration", "Recv", "RegisterDataset", "RegisterDatasetV2", "RpcCall"}
    | {"RpcClient", "RpcServer", "RpcServerRegister", "RpcServerStart", "Send"}
    | {"_HostRecv", "_HostSend", "_Recv", "_Send"}
    # of older versions and of their contrib
    | {"BigQueryReader", "GenerateBigQueryReaderPartitions", "KafkaDataset", "Rpc", "TryRpc"}
)
"""These connect to other processes and hosts, or configure how."""

PYTHON = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
"""These call Python functions of the process that they run in."""

EXECUTES = frozenset(
    {"Abort", "DatasetFromGraph", "RemoteFusedGraphExecute", "XlaCustomCall", "XlaCustomCallV2"}
)
"""These end the process, run a graph that is hidden in a string, or call a library by name."""

CHECKPOINT_READS = frozenset({"DTensorRestoreV2", "Restore", "RestoreSlice", "RestoreV2"})
CHECKPOINT_WRITES = frozenset({"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2"})
"""Ops of the saver, which every SavedModel with variables has."""

TABLES = {"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
"""These read a vocabulary, from the input of that number: ordinary if that is an asset."""

PATHS = {
    **dict.fromkeys(CHECKPOINT_READS | CHECKPOINT_WRITES, 0),
    **dict.fromkeys(READS_ASSETS | {"WriteFile", "MatchingFiles", "MatchingFilesDataset"}, 0),
    **dict.fromkeys(("LMDBDataset", "LoadDataset", "TFRecordDatasetV2"), 0),
    **TABLES,
}
"""The input that is the path, of ops that read and write files."""

CACHES = {"CacheDataset": 1, "CacheDatasetV2": 1}
"""These write a file unless its name, the input of that number, is empty."""

SUMMARIES = frozenset({"CreateSummaryDbWriter", "CreateSummaryFileWriter"})
"""Of those that write, these write what TensorBoard reads."""

LEFT_BEHIND = (
    READS
    | PYTHON
    | CACHES.keys()
    | TABLES.keys()
    | SUMMARIES
    | {"SnapshotDataset", "SnapshotDatasetV2"}
)
"""Ops that a training job of TensorFlow 1 leaves in the graph that it exports, not run."""

REMOTE = {"RemoteCall": 0}
"""These run a function on the device that the input of that number names."""

ATTRIBUTES = {
    "Copy": ("debug_ops_spec", ("",)),
    "CopyHost": ("debug_ops_spec", ("",)),
    "DebugIdentity": ("debug_urls", ("",)),
    "DebugIdentityV2": ("debug_urls", ("",)),
    "DebugIdentityV3": ("debug_urls", ("",)),
    "DebugNanCount": ("debug_urls", ("",)),
    "DebugNumericSummary": ("debug_urls", ("",)),
    "DecodeProtoV2": ("descriptor_source", ("", "local://", "bytes://")),
    "EncodeProto": ("descriptor_source", ("", "local://", "bytes://")),
    "FixedUnigramCandidateSampler": ("vocab_file", ("",)),
    "PrintV2": (
        "output_stream",
        ("", "stdout", "stderr", "log(info)", "log(warning)", "log(error)"),
    ),
}
"""Ops with an attribute that names a file or a host, unless it is one of these values.

A value that ends in "://" stands for all that begin with it.
"""

WATCHED = frozenset().union(
    *(READS, WRITES, CONNECTS, PYTHON, EXECUTES, CHECKPOINT_READS, CHECKPOINT_WRITES),
    *(TABLES, CACHES, REMOTE, ATTRIBUTES),
)
"""Every op of the tables."""


def purpose(op: str) -> str:
    """Return what an op of the tables does, as the end of "an op that ..."."""
    table = (
        (READS | TABLES.keys() | {"DecodeProtoV2", "EncodeProto"}, "reads files"),
        (frozenset({"FixedUnigramCandidateSampler"}), "reads files"),
        (frozenset({"PrintV2"}), "prints to a file"),
        (SUMMARIES, "writes summaries to a directory"),
        (frozenset(CACHES), "caches data in a file"),
        (WRITES, "writes files"),
        (CONNECTS | REMOTE.keys(), "reaches other processes or hosts"),
        (PYTHON, "calls a Python function of the process that made it"),
        (frozenset({"Abort"}), "ends the process"),
        (EXECUTES, "runs code that is not in the graph"),
        (CHECKPOINT_READS, "reads checkpoints"),
        (CHECKPOINT_WRITES, "writes checkpoints"),
    )
    return next(
        (does for ops, does in table if op in ops), "writes to a file or a host for debugging"
    )


@lru_cache(maxsize=1)
def registered() -> frozenset[str]:
    """Return the names of all ops that some build of TensorFlow registers."""
    file = Path(__file__).with_name("tensorflow_ops.txt")
    return frozenset(file.read_text(encoding="ascii").split()) | _ELSEWHERE


_ELSEWHERE = frozenset(
    {"CreateTRTResourceHandle", "GetCalibrationDataOp", "InitializeTRTResource"}
    | {"SerializeTRTResource", "TRTEngineOp", "TfLiteSubgraphExecute"}
)
"""Ops of the builds for a GPU, and of older versions."""
