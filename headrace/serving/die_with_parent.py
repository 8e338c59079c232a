"""`python die_with_parent.py PARENT LIFELINE COMMAND…`: become COMMAND, and be killed when PARENT ends.

LIFELINE is the read end of a pipe whose other end only the parent holds. Two things see to it that a
supervisor which is killed without a chance to clean up takes its children along: the kernel kills COMMAND
itself, and a small watcher kills the rest of its process group, for a Python stub may survive its server.

Run as a file, isolated from the project: it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, lifeline, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    _start_watcher(lifeline)
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


def _start_watcher(lifeline: int) -> None:
    """A grandchild, so that COMMAND never sees a child that it did not start."""
    leader, leader_end = os.getpid(), os.pidfd_open(os.getpid())
    if child := os.fork():
        os.waitpid(child, 0)
        os.close(lifeline)
        os.close(leader_end)
        return
    if os.fork() == 0:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        select.select([lifeline, leader_end], [], [])
        os.killpg(leader, signal.SIGKILL)  # this process too
    os._exit(0)


if __name__ == "__main__":
    main()
