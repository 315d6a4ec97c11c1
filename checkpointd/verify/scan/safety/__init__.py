"""`safety`: loading it would run no foreign code, read no foreign file, exhaust no memory.

Decided without TensorFlow and without Keras, from what the file says of itself, before anything
is loaded. One module for each kind of container; each gives `Finding`s, `check` judges them.
Sources of the attacks: the page "security" of the manual, and the CVEs that each module names.
"""

from checkpointd.verify.scan.findings import Finding
from checkpointd.verify.scan.safety.check import NAME, blocks_reading, check

__all__ = ["NAME", "Finding", "blocks_reading", "check"]
