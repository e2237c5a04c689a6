"""Whether a schema is what its migrations make of an empty one."""

from __future__ import annotations

import secrets

from .. import migrations
from ..connection import Connection
from ..queries import Queries, quote_identifier

#: Seconds that the whole comparison may take.
TIMEOUT = 30.0

#: Of a schema: ``{(kind, name): definition}``; the kinds are those of the statement ``shape``.
Shape = dict[tuple[str, str], str]


def drift(connection: Connection, schema: str, queries: Queries) -> list[tuple[str, str]]:
    """What differs: pairs of a kind (column, index, constraint, function, table settings) and a sentence.

    The schema is made once more under another name, compared, and rolled back: nobody sees it, nobody waits for it.

    Raises:
      AccessDenied: the role may not create a schema.
    """
    twin = f"leasequeue_doctor_{secrets.token_hex(4)}"
    name = quote_identifier(twin)
    try:
        connection.execute("BEGIN", timeout=TIMEOUT)
        connection.execute(
            f"CREATE SCHEMA {name}; SET LOCAL search_path TO {name}; "
            "CREATE TABLE migration "
            "(version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            timeout=TIMEOUT,
        )
        for migration in migrations.available():
            connection.execute(migration.path.read_text("utf-8"), timeout=TIMEOUT)
        # As every other session sees them: names outside of the search path are written with their schema.
        connection.execute("SET LOCAL search_path TO pg_catalog", timeout=TIMEOUT)
        expected, found = (_shape(connection, each, queries) for each in (twin, schema))
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK", timeout=TIMEOUT)
    return _differences(expected, found)


def _shape(connection: Connection, schema: str, queries: Queries) -> Shape:
    rows = connection.execute(queries["shape"], {"schema": schema}, timeout=TIMEOUT)
    return {(kind, name): what or "" for kind, name, what in rows}


def _differences(expected: Shape, found: Shape) -> list[tuple[str, str]]:
    told = []
    for key in sorted(expected.keys() | found.keys()):
        kind, name = key
        if key not in found:
            told.append((kind, f"{name} is missing"))
        elif key not in expected:
            told.append((kind, f"{name} is not of this release"))
        elif expected[key] != found[key]:
            told.append((kind, f"{name} is ({found[key]}), expected ({expected[key]})"))
    return told
