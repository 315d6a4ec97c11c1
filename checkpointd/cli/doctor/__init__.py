"""What can be wrong on a host, each with its cure: a table of checks, for `checkpointd doctor`."""
