"""How a command ends when it does not succeed: one line on stderr, and an exit code that a script can act on."""

from __future__ import annotations

from typing import Final

from leasequeue import DatabaseUnavailable, QueueError, SchemaMissing, WrongDatabase
from settings import ConnectionProblem, SettingsError

#: What was asked for failed, or there is no such thing.
FAILED: Final = 1
#: The command line or the settings have to change first. click ends so by itself for the former.
USAGE: Final = 2
#: The database is away or does not let us in: the same command may succeed later.
UNAVAILABLE: Final = 3
#: 128 + the number of the signal, as a shell has it.
INTERRUPTED: Final = 130
TERMINATED: Final = 143


class CommandFailed(Exception):
    """An expected failure. Each line of the message is for people, holds no secret, and says what to do."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain(error: SettingsError | DatabaseUnavailable | QueueError) -> CommandFailed:
    """The failure as the person at the terminal needs it."""
    if isinstance(error, ConnectionProblem):
        return CommandFailed(str(error), UNAVAILABLE)
    if isinstance(error, SettingsError):
        return CommandFailed(str(error), USAGE)
    text = " ".join(str(error).split())
    if isinstance(error, DatabaseUnavailable):
        return CommandFailed(f"the database is not available: {text}", UNAVAILABLE)
    if isinstance(error, WrongDatabase):
        return CommandFailed(f"{text} (url is SUPABASE_DB_URL, direct_url is SUPABASE_DB_DIRECT_URL)", USAGE)
    if isinstance(error, SchemaMissing):
        return CommandFailed(f"{text} Run: indexq migrate")
    return CommandFailed(text)
