"""Verification on the hosts of a Dask cluster.

The daemon (`dispatcher`) decides which worker gets which checkpoint, how often, and what counts as
an answer. It never imports distributed, which imports numpy and unpickles what it receives: a
process of its own (`client`) does, and exchanges lines of JSON with the daemon (`link`). On the
other hosts `checkpointd worker` (`worker`) is a Dask worker and owner of a local dispatcher in one
process. What crosses the network is JSON, to and from one function that is imported by its name
(`task`).
"""
