"""What the real loaders say of an artifact: the oracle that verdicts are held against.

Nothing of checkpointd is imported here. Each artifact is tried in a process of its own, which is
forked from one that has imported TensorFlow, Keras and tf-keras and run no op.
"""
