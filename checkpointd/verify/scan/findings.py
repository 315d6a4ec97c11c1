"""What a scanner of the check `safety` finds, and how findings are graded."""

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
"""The words of the closed list: failures, whatever the user allows, and what forbids no loading."""

ALLOWED_AS_CODE = frozenset({NEEDS_CODE, KERAS_METADATA_CODE})
"""What `allow_code` says that the user knows of."""

UNREADABLE = frozenset({BOMB, FOREIGN_REFERENCE})
"""With these the weights are not even read: they lie elsewhere, or have no end."""


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against loading.

    `word` is one of `BY_SEVERITY`, `message` a sentence for a person; `where` names the place
    in the checkpoint (a layer, a node, a dataset, a member), `what` the class, op or path there.
    `in_weights` tells that reading the weights alone would do the harm.
    """

    word: str
    message: str
    where: str = ""
    what: str = ""
    in_weights: bool = False
