"""`python -m checkpointd.worker STAGE FD DAEMON_PID`: how the dispatcher starts a zygote."""

from __future__ import annotations

import socket
import sys

from checkpointd.worker.zygote import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3])))
