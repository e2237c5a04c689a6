"""Database sessions of actors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from broker import settings
from leasequeue.connection import session_defaults

#: Seconds to reach the database.
CONNECT_TIMEOUT = 10


@contextmanager
def opened_connection(role: str = "indexq index") -> Iterator[psycopg2.extensions.connection]:
    """A session of an actor's own: it neither waits for ever for a server that is gone, nor outlives the block.

    Parameters:
      role: what it is for; shown by ``pg_stat_activity`` as ``application_name``.
    """
    url = settings.supabase_db_url
    connection = psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT, **session_defaults(url, role))
    try:
        yield connection
    finally:
        connection.close()
