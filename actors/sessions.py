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
def opened_connection() -> Iterator[psycopg2.extensions.connection]:
    """A session of an actor's own: it neither waits for ever for a server that is gone, nor outlives the block."""
    url = settings.supabase_db_url
    connection = psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT, **session_defaults(url, "indexq index"))
    try:
        yield connection
    finally:
        connection.close()
