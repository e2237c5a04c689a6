"""Who may do what in a migrated schema: plain SQL that an owner can read, and run with psql or from here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..connection import Connection
from ..queries import quote_identifier

_DIRECTORY = Path(__file__).parent

#: Takes all rights from everybody who was not given one by name; the migration runner runs it behind each migration.
CLOSED = _DIRECTORY / "closed.sql"

#: Makes the roles and gives each what it needs.
ROLES = _DIRECTORY / "roles.sql"

#: What the names of the roles begin with.
PREFIX = "indexq"

#: Seconds that all of it may take: it waits for a migration that runs.
APPLY_TIMEOUT = 60.0

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,40}")


def script(schemas: Iterable[str], *, prefix: str = PREFIX) -> str:
    """One transaction that closes these schemas and gives the roles their rights in them.

    Raises ``ValueError`` for a prefix that is no plain name.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"expected a prefix of letters in lower case, digits and _, at most 41, got: {prefix!r}")
    parts = [f"SET LOCAL leasequeue.role_prefix TO '{prefix}';"]
    for schema in schemas:
        parts += [f"SET LOCAL search_path TO {quote_identifier(schema)};", CLOSED.read_text("utf-8"), ROLES.read_text()]
    return "\n".join(["BEGIN;", *parts, "COMMIT;"])


def apply(url: str, schemas: Iterable[str], *, prefix: str = PREFIX) -> None:
    """Run :func:`script` as the role of ``url``. All of it or nothing.

    Raises:
      AccessDenied: the role does not own a schema, or may not make roles.
      QueueError: a schema is not there.
    """
    connection = Connection(url, "leasequeue roles")
    try:
        connection.execute(script(schemas, prefix=prefix), timeout=APPLY_TIMEOUT)
    finally:
        connection.close()
