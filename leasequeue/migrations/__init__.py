"""Numbered SQL files, each run once in a transaction of its own, recorded in the table ``migration`` of its schema.

Ten processes may start at the same moment: a transaction-level advisory lock lets one of them do the work and the
others find it done. Nothing outlives a transaction, so a transaction pooler may stand in between.
"""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from .. import access, errors
from ..connection import Connection
from ..queries import quote_identifier

#: The broker's own migrations.
DIRECTORY = Path(__file__).parent

#: Seconds that one migration may take, and that it may wait for those who hold a table.
MIGRATION_TIMEOUT = 600.0
LOCK_TIMEOUT = 5.0

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    path: Path


def available(directory: Path = DIRECTORY) -> list[Migration]:
    """The migrations in a directory, in order. Raises ``ValueError`` when the numbers are not 1, 2, 3, ..."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"expected a migration to be named NNNN_name.sql, got: {path.name}")
        found.append(Migration(int(match[1]), match[2], path))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"expected migrations 1, 2, 3, ... in {directory}, got: {[m.version for m in found]}")
    return found


def latest(directory: Path = DIRECTORY) -> int:
    """The version that a schema has after all migrations in a directory; 0 when there are none."""
    return len(available(directory))


def current(connection: Connection, schema: str, *, timeout: float) -> int:
    """The version a schema has: 0 when the schema, or its record of migrations, is not there."""
    # Read from the catalogue itself: to_regclass() may answer from a cache that is as old as the transaction, which
    # for one who waited for the lock is too old.
    known = connection.execute(
        "SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %(schema)s AND c.relname = 'migration'",
        {"schema": schema},
        timeout=timeout,
    )
    if not known:
        return 0
    newest = f"SELECT max(version) FROM {quote_identifier(schema)}.migration"  # noqa: S608  # the name is quoted
    rows = connection.execute(newest, timeout=timeout)
    return int(rows[0][0] or 0)


def migrate(url: str, *, schema: str, directory: Path = DIRECTORY) -> list[Migration]:
    """Bring a schema to the newest version, creating it when it is missing. Returns what was run.

    Raises:
      SchemaMismatch: the schema is newer than this code.
      AccessDenied: it is older, and the role of ``url`` may not change it.
      ServerTooOld: the server is older than what this is tested with.
      DatabaseUnavailable: the server is away, or somebody held a table for longer than :data:`LOCK_TIMEOUT`
        (three attempts are made).
    """
    wanted = available(directory)
    connection = Connection(url, "leasequeue migrate")
    try:
        connection.check_server()
        run = []
        for migration in wanted:
            for attempt in (1, 2, 3):
                try:
                    if _run_once(connection, schema, migration):
                        run.append(migration)
                    break
                except errors.AccessDenied as error:
                    version = current(connection, schema, timeout=LOCK_TIMEOUT)
                    raise errors.AccessDenied(_not_ours(schema, len(wanted), version, str(error))) from None
                except errors.DatabaseUnavailable:
                    if attempt == 3 or connection.closed:
                        raise
                    _rollback(connection)
                    time.sleep(attempt)
        version = current(connection, schema, timeout=LOCK_TIMEOUT)
        if version > len(wanted):
            raise errors.SchemaMismatch(
                f"expected schema {schema} to have version {len(wanted)}, got: {version}. "
                "It was migrated by a newer release: upgrade this one."
            )
        return run
    finally:
        connection.close()


def expect(url: str, *, schema: str, directory: Path = DIRECTORY) -> None:
    """Make sure that a schema has the version that this code is for, without changing anything.

    Raises:
      SchemaMismatch: it has another one, or is not there.
      ServerTooOld: the server is older than what this is tested with.
    """
    wanted = latest(directory)
    connection = Connection(url, "leasequeue migrate")
    try:
        connection.check_server()
        version = current(connection, schema, timeout=LOCK_TIMEOUT)
    finally:
        connection.close()
    if version != wanted:
        told = f"expected schema {schema} to have version {wanted}, got: {version or 'none'}. "
        newer = "It was migrated by a newer release: upgrade this one."
        raise errors.SchemaMismatch(told + (newer if version > wanted else "Migrate it as the role that owns it."))


def _not_ours(schema: str, wanted: int, version: int, refused: str) -> str:
    return (
        f"expected schema {schema} to have version {wanted}, got: {version or 'none'}, and the role of this connection "
        f"may not change that ({refused}). Migrate it as the role that owns it."
    )


def _run_once(connection: Connection, schema: str, migration: Migration) -> bool:
    """Run one migration unless it was run before. Returns whether it was run now."""
    if current(connection, schema, timeout=LOCK_TIMEOUT) >= migration.version:
        return False
    name = quote_identifier(schema)
    try:
        connection.execute("BEGIN", timeout=LOCK_TIMEOUT)
        lock_schema(connection, schema)  # whoever waited for it looks again
        if current(connection, schema, timeout=LOCK_TIMEOUT) >= migration.version:
            connection.execute("ROLLBACK", timeout=LOCK_TIMEOUT)
            return False
        connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS {name};"
            f"SET LOCAL search_path TO {name}; SET LOCAL lock_timeout TO '{LOCK_TIMEOUT:g}s';"
            "CREATE TABLE IF NOT EXISTS migration "
            "(version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            timeout=LOCK_TIMEOUT * 2,
        )
        connection.execute(migration.path.read_text("utf-8"), timeout=MIGRATION_TIMEOUT)
        connection.execute(access.CLOSED.read_text("utf-8"), timeout=LOCK_TIMEOUT * 2)
        connection.execute(
            "INSERT INTO migration (version, name) VALUES (%(version)s, %(name)s)",
            {"version": migration.version, "name": migration.name},
            timeout=LOCK_TIMEOUT,
        )
        connection.execute("COMMIT", timeout=MIGRATION_TIMEOUT)
    except errors.QueueError:
        _rollback(connection)
        raise
    return True


def lock_schema(connection: Connection, schema: str) -> None:
    """Let nobody else migrate or remove the schema until the transaction ends. Waits for whoever does."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(%(space)s, %(key)s)",
        {"space": zlib.crc32(b"leasequeue") - 2**31, "key": zlib.crc32(schema.encode()) - 2**31},
        timeout=MIGRATION_TIMEOUT,
    )


def _rollback(connection: Connection) -> None:
    if not connection.closed:
        connection.execute("ROLLBACK", timeout=LOCK_TIMEOUT)
