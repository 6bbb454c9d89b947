"""Runs a program until it ends or this process' standard input does: a child that cannot outlive its parent.

Run by path with the standard library only. A pipe is closed by the kernel however the parent dies, `kill -9` included;
PR_SET_PDEATHSIG would follow the *thread* that started the child.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading


def main() -> int:
    """Start the rest of the command line; its exit status is ours."""
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
