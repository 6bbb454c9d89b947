"""One clear sentence and status 2, without a traceback, for everything a user can act on."""

from __future__ import annotations

import sys
from typing import NoReturn

from byzantiny.errors import ByzantinyError
from byzantiny_models.errors import ModelsError

USER_ERRORS = (ByzantinyError, ModelsError, OSError)
"""OSError: the disk is full, a folder is forbidden; whatever else a user cannot act on keeps its traceback."""
EXIT_USER = 2
EXIT_SUSPENDED = 130
"""What a shell calls 'ended by Ctrl-C': the run is suspended, not failed."""


def fail(error: BaseException) -> NoReturn:
    """Print the error's sentence to stderr and exit with status 2."""
    sys.stderr.write(f"byzantiny: {_sentence(error)}\n")
    raise SystemExit(EXIT_USER)


def _sentence(error: BaseException) -> str:
    if not isinstance(error, OSError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the disk's free space and the permissions, then try again"
