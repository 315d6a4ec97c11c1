"""What the scanners of the check `safety` find, and how severe it is."""

from __future__ import annotations

from dataclasses import dataclass

CODE = "code"
FOREIGN_REFERENCE = "foreign_reference"
UNSAFE_OP = "unsafe_op"
TRAVERSAL = "traversal"
BOMB = "bomb"
NEEDS_CODE = "needs_code"
KERAS_METADATA_CODE = "keras_metadata_code"
GIVEN_PATH = "given_path"
NOT_SERVED = "not_served"

_FAILURES = (CODE, UNSAFE_OP, FOREIGN_REFERENCE, TRAVERSAL, BOMB)
_WARNINGS = (GIVEN_PATH, KERAS_METADATA_CODE, NOT_SERVED)
BY_SEVERITY = (*_FAILURES, NEEDS_CODE, *_WARNINGS)
"""All words: of failures first, then what the user may allow, then warnings."""

ALLOWED_AS_CODE = frozenset({NEEDS_CODE, KERAS_METADATA_CODE})
"""The words that `allow_code` accepts."""

UNREADABLE = frozenset({BOMB, FOREIGN_REFERENCE})
"""With these the weights are not read: they are in other files, or exhaust memory."""


@dataclass(frozen=True)
class Finding:
    """One reason against loading.

    `word` is one of `BY_SEVERITY`, `message` a sentence for a person; `where` is the layer, node,
    dataset or member, `what` the class, op or path there. `in_weights` means that reading the
    weights alone does the harm.
    """

    word: str
    message: str
    where: str = ""
    what: str = ""
    in_weights: bool = False
