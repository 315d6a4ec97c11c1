"""`safety`: loading runs no foreign code, reads no foreign file and exhausts no memory.

Decided without TensorFlow and without Keras, from the metadata in the file, before anything is
loaded. One module for each kind of container yields `Finding`s, and `check` judges them.
Sources of the attacks: the page "security" of the manual, and the CVEs that each module names.
"""

from checkpointd.verify.scan.findings import Finding
from checkpointd.verify.scan.safety.check import NAME, blocks_reading, check

__all__ = ["NAME", "Finding", "blocks_reading", "check"]
