"""The way back: removes the queue's schema, and others that go with it, and nothing that is not ours."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from . import errors
from .connection import Connection, Row
from .migrations import DIRECTORY, LOCK_TIMEOUT, MIGRATION_TIMEOUT, available, lock_schema
from .queries import Queries, quote_identifier

#: Counting stops here: more changes no decision.
COUNT_LIMIT = 100_000

#: Objects of others that an error names; of more it gives the number.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class SchemaContents:
    """A schema that is there."""

    name: str
    #: Whether migrations of ours have made it: it has a record like theirs, which begins with their first one.
    is_ours: bool
    tables: list[str]
    #: Of tables and indexes.
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What would be removed, and what speaks against it. Counts stop at :data:`COUNT_LIMIT`."""

    schemas: list[SchemaContents]
    waiting: int
    running: int
    dead: int
    #: Worker processes that live.
    workers: int
    #: What others have built on these schemas, in words.
    dependents: list[str]

    def objections(self, *, lose_jobs: bool) -> list[str]:
        """Why nothing may be removed, a line each; none when it may.

        Parameters:
          lose_jobs: jobs that wait or run, and workers that live, are no reason.
        """
        found = [
            f"expected schema {each.name} to be one that the migrations made, got one whose table migration is "
            "missing, not theirs or not readable: it is somebody else's, and stays"
            for each in self.schemas
            if not each.is_ours
        ]
        if self.dependents:
            more = len(self.dependents) - SHOWN
            shown = ", ".join(self.dependents[:SHOWN]) + (f" and {more} more" if more > 0 else "")
            found.append(f"expected nothing of others to stand on these schemas, got: {shown}; drop that first")
        if lose_jobs:
            return found
        if self.workers:
            found.append(f"expected no worker to live, got: {self.workers}; stop them first, and whatever sends jobs")
        if self.waiting or self.running:
            found.append(
                f"expected no job to wait or run, got: {self.waiting:,} waiting, {self.running:,} running; let them "
                "end, or purge them"
            )
        return found


class Removal:
    """Of a queue's schema and the schemas that go with it.

    Parameters:
      others: more schemas that :func:`migrations.migrate` made, with the directories of their migrations.
      lease: seconds of silence after which a worker does not live any more.
    """

    def __init__(self, url: str, schema: str, others: Mapping[str, Path], *, lease: float) -> None:
        self._url = url
        self._schema = schema
        directories = {schema: DIRECTORY, **others}
        self._schemas = list(directories)
        self._first = {name: available(directory)[0].name for name, directory in directories.items()}
        self._lease = lease
        self._queries = Queries(schema)

    def look(self) -> Found:
        """What there is. Changes nothing. Raises ``DatabaseUnavailable``."""
        with closing(Connection(self._url, "leasequeue uninstall")) as connection:
            return self._look(connection)

    def remove(self, *, lose_jobs: bool) -> Found:
        """Remove all of it in one transaction, or nothing. Returns what was removed.

        Raises:
          StillInUse: something speaks against it, a line each.
          DatabaseUnavailable: the server is away, or somebody held a table for longer than ``LOCK_TIMEOUT``.
        """
        with closing(Connection(self._url, "leasequeue uninstall")) as connection:
            connection.execute("BEGIN", timeout=LOCK_TIMEOUT)
            # Ends with the session when it is not committed.
            connection.execute(f"SET LOCAL lock_timeout TO '{LOCK_TIMEOUT:g}s'", timeout=LOCK_TIMEOUT)
            for schema in self._schemas:
                lock_schema(connection, schema)
            found = self._look(connection, lock=True)
            objections = found.objections(lose_jobs=lose_jobs)
            if objections:
                connection.execute("ROLLBACK", timeout=LOCK_TIMEOUT)
                raise errors.StillInUse("\n".join(objections))
            for each in found.schemas:
                connection.execute(f"DROP SCHEMA {quote_identifier(each.name)} CASCADE", timeout=MIGRATION_TIMEOUT)
            connection.execute("COMMIT", timeout=MIGRATION_TIMEOUT)
            return found

    def _look(self, connection: Connection, *, lock: bool = False) -> Found:
        names = {"schemas": self._schemas}
        rows = connection.execute(self._queries["schema_contents"], names, timeout=LOCK_TIMEOUT)
        schemas = [
            SchemaContents(name, recorded and self._begins_as_ours(connection, name), tables, size)
            for name, recorded, tables, size in rows
        ]
        lost: Row = (0, 0, 0, 0)
        if any(each.name == self._schema and each.is_ours for each in schemas):
            if lock:
                connection.execute(self._queries["lock_queue"], timeout=LOCK_TIMEOUT * 2)
            parameters = {"cap": COUNT_LIMIT, "lease": self._lease}
            (lost,) = connection.execute(self._queries["would_be_lost"], parameters, timeout=MIGRATION_TIMEOUT)
        dependents = connection.execute(self._queries["dependents"], names, timeout=MIGRATION_TIMEOUT)
        waiting, running, dead, workers = lost
        return Found(schemas, waiting, running, dead, workers, [text for (text,) in dependents])

    def _begins_as_ours(self, connection: Connection, schema: str) -> bool:
        rows = connection.execute(Queries(schema)["first_migration"], timeout=LOCK_TIMEOUT)
        return rows == [(self._first[schema],)]
