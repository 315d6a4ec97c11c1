"""`python -m checkpointd.worker STAGE FD DAEMON_PID`: how the dispatcher starts a zygote.

`become FD STDERR LIMITS DAEMON_PID` starts a child by itself, for a zygote that cannot fork.
Any Python can read this file, so that one that is too old reports a readable message.
"""

import os
import sys

if sys.version_info < (3, 9):  # noqa: UP036 - the user's choice may be older
    _TOO_OLD = '{"kind": "ready", "can_fork": false, "message": "is Python %d.%d.%d, and 3.9 or newer is needed"}'  # noqa: E501
    os.write(int(sys.argv[2]), (_TOO_OLD % sys.version_info[:3]).encode("ascii"))
    sys.exit(1)

if __name__ == "__main__":
    import socket

    # -m puts the scratch directory first: nothing may be imported from there.
    sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]
    connection = socket.socket(fileno=int(sys.argv[2]))
    if sys.argv[1] == "become":
        import json

        from checkpointd.worker.child import run
        from checkpointd.worker.protocol import ChildLimits

        run(connection, int(sys.argv[3]), ChildLimits(**json.loads(sys.argv[4])), int(sys.argv[5]))

    from checkpointd.worker.zygote import main

    sys.exit(main(sys.argv[1], connection, int(sys.argv[3])))
