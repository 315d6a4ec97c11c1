"""`checkpointd demo`: a real training job beside a real daemon, good and spoiled checkpoints."""

from checkpointd.demo.show import main

__all__ = ["main"]
