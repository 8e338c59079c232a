"""`python die_with_parent.py PARENT COMMAND…`: become COMMAND, and be killed when process PARENT ends.

The wish survives exec, so a supervisor that is killed without a chance to clean up takes its children along.
Run as a file, isolated from the project: it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"error: prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have ended before the wish was made.
    if os.getppid() != parent:
        sys.exit("error: the parent process has ended")
    try:
        os.execvp(command[0], command)  # noqa: S606 replaces this process on purpose
    except OSError as error:
        sys.exit(f"error: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
