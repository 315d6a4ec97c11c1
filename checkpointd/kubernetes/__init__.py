"""Kustomize bases for Kubernetes, as they ship, and the alert rules as the operator wants them.

`files/` holds them: `shared`, one daemon over a volume that jobs share; `sidecar`, a component that
adds the daemon to the Pods of a job; `monitoring`, a component for the Prometheus operator.
"""
