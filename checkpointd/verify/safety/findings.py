"""What a scanner of the room `safety` finds, and how findings are graded."""

from __future__ import annotations

from dataclasses import dataclass

CODE = "code"
FOREIGN_REFERENCE = "foreign_reference"
UNSAFE_OP = "unsafe_op"
TRAVERSAL = "traversal"
BOMB = "bomb"
NEEDS_CODE = "needs_code"

GRAVEST_FIRST = (CODE, UNSAFE_OP, FOREIGN_REFERENCE, TRAVERSAL, BOMB, NEEDS_CODE)
"""The words of the closed list; all but the last are failures, whatever the user allows."""

UNREADABLE = frozenset({BOMB, FOREIGN_REFERENCE})
"""With these the weights are not even read: they lie elsewhere, or have no end."""


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against loading.

    `word` is one of `GRAVEST_FIRST`, `message` a sentence for a person; `where` names the place
    in the checkpoint (a layer, a node, a dataset, a member), `what` the class, op or path there.
    `in_weights` tells that reading the weights alone would do the harm.
    """

    word: str
    message: str
    where: str = ""
    what: str = ""
    in_weights: bool = False
