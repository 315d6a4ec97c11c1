"""Reasons: what went wrong, what that rests on, and what to do about it.

A reason gets its severity here alone, so that no check calls a checkpoint invalid without evidence:

- A failure (the checkpoint is invalid) needs evidence in the file, in the golden record, in what
  the user asked for, or a danger that is really there.
- What depends on this machine, on inputs that were made up, or on what our own readers do not
  know is never a failure. It is an error (inconclusive) where it keeps `intact` or `loads` from
  being shown, and a note, which leaves the verdict to the other checks, everywhere else.

One dict for each check, in `scanning` and `loading`; its row in `checkpointd.core.suite` names it,
and `checkpointd.core.suite.REASONS` holds them all. Standard library only, Python 3.9.
"""
