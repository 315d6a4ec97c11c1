"""The checks of `checkpointd doctor`: what can be wrong on a host, each with its cure."""
