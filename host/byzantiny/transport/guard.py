"""Runs a program until it ends or this process' standard input does: a child that cannot outlive its parent.

Run by path with the standard library only. A pipe is closed by the kernel however the parent dies, `kill -9` included;
PR_SET_PDEATHSIG would follow the *thread* that started the child.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading

DESCRIPTORS = 65_536


def main() -> int:
    """Start the rest of the command line; its exit status is ours."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The usual soft limit of 1,024 would be the broker's limit of clients, and it drops those beyond without a word.
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as child:

        def watch() -> None:
            while os.read(0, 1):  # not sys.stdin: its lock would hold up the end of the interpreter
                pass
            child.terminate()
            try:
                child.wait(2.0)
            except subprocess.TimeoutExpired:
                child.kill()

        threading.Thread(target=watch, daemon=True).start()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main())
