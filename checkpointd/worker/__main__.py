"""`python -m checkpointd.worker STAGE FD DAEMON_PID`: how the dispatcher starts a zygote.

Every Python can read this file, so that one that is too old is told in words.
"""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036 - the user's choice may be older
    _TOLD = '{"kind": "ready", "can_fork": false, "message": "is Python %d.%d.%d, and 3.9 or newer is needed"}'  # noqa: E501
    os.write(int(sys.argv[2]), (_TOLD % sys.version_info[:3]).encode("ascii"))
    sys.exit(1)

if __name__ == "__main__":
    import socket

    from checkpointd.worker.zygote import main

    sys.exit(main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3])))
