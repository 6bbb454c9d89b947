"""The root of every error a user can meet."""

from __future__ import annotations


class ByzantinyError(Exception):
    """A condition the user can act on: the message names the value, the limit and the remedy.

    The command line prints it as one sentence and exits with status 2; nothing else is caught there.
    """
