"""The broker for a command that asks the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from leasequeue import LeaseBroker
from settings import check_connection


@contextmanager
def connected() -> Iterator[LeaseBroker]:
    """The broker of the settings, whose database was just reached; its sessions end with the block.

    Raises SettingsError: the settings are wrong, or no session can be opened (which it has the best words for).
    """
    from broker import broker, settings  # Here: importing it reads the settings.

    with closing(broker):
        check_connection(settings.supabase_db_url)
        yield broker
