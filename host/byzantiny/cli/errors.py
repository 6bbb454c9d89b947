"""One clear sentence and status 2, without a traceback, for everything a user can act on."""

from __future__ import annotations

import sys
from typing import NoReturn

from byzantiny.errors import ByzantinyError
from byzantiny_models.errors import ModelsError

USER_ERRORS = (ByzantinyError, ModelsError)
EXIT_USER = 2
EXIT_SUSPENDED = 130
"""What a shell calls 'ended by Ctrl-C': the run is suspended, not failed."""


def fail(error: BaseException) -> NoReturn:
    """Print the error's sentence to stderr and exit with status 2."""
    sys.stderr.write(f"byzantiny: {error}\n")
    raise SystemExit(EXIT_USER)
