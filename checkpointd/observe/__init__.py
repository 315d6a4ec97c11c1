"""What the daemon shows: metrics, health, logs, its state for systemd, and the web server.

Nothing in this package decides anything. The daemon passes it facts, and it shows them.
"""
