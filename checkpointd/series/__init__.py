"""Which checkpoints are versions of one model, from their names alone. Pure; core only.

`names` parses the name of a checkpoint with the help of `numbers`, or by a template of the config
(`templates`). `doubts` finds what the names of a series leave open, and the templates that settle
it.
"""
