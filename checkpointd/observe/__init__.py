"""What the daemon lets others see: metrics, health, logs, the status page, and systemd's word.

Nothing in this room decides anything. The daemon hands it facts, and it shows them.
"""
