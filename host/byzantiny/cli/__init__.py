"""The command line: thin. It parses, calls, prints; everything it does can be done from Python."""

from __future__ import annotations

import os
import sys

from byzantiny.cli.encoding import never_fail_on_encoding
from byzantiny.cli.errors import USER_ERRORS, fail


def main() -> None:
    """Run `byzantiny`; every error a user can meet is one sentence and exit status 2."""
    never_fail_on_encoding()
    # One client's matrices are too small for BLAS threads: with them the NumPy body takes twice the time (measured).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from byzantiny.cli.app import build_app

    try:
        build_app()()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except USER_ERRORS as error:
        fail(error)
