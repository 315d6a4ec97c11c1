"""checkpointd verifies every TensorFlow checkpoint as it is saved."""

__version__ = "0.1.0"
