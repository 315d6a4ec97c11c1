"""`checkpointd diff`: pairs the tensors of two checkpoints, and compares what is paired."""
